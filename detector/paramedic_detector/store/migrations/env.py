"""Run by Alembic: migrates over the connection that `database.migrate` hands in."""

from alembic import context

from paramedic_detector.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

"""The first tables"""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_checkpoint"),
    )
    op.create_table(
        "desk",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("raw_alerts", sa.Integer(), nullable=False),
        sa.Column("raw_alerts_at_once", sa.Integer(), nullable=False),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("stopped_by", sa.String(), nullable=False),
        sa.Column("stopped_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_desk"),
    )
    op.create_table(
        "incident",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("worst_severity", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("done", sa.String(), nullable=False),
        sa.Column("you", sa.String(), nullable=False),
        sa.Column("needs_you", sa.Boolean(), nullable=False),
        sa.Column("verification", sa.String(), nullable=False),
        sa.Column("fault_class", sa.String(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("guard", sa.String(), nullable=False),
        sa.Column("decision_mode", sa.String(), nullable=False),
        sa.Column("decision_reason", sa.String(), nullable=False),
        sa.Column("decision_rule", sa.String(), nullable=False),
        sa.Column("decision_sentence", sa.String(), nullable=False),
        sa.Column("onset_at", sa.Float(), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("acknowledged_at", sa.Float(), nullable=True),
        sa.Column("acted_at", sa.Float(), nullable=True),
        sa.Column("verified_at", sa.Float(), nullable=True),
        sa.Column("mitigated_at", sa.Float(), nullable=True),
        sa.Column("resolved_at", sa.Float(), nullable=True),
        sa.Column("last_alert_at", sa.Float(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("bad_calls", sa.Integer(), nullable=False),
        sa.Column("callers_hurt", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("traces", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("evidence", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_how", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_incident"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incident_state", "incident", ["state"], unique=False)
    op.create_table(
        "action",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("incident", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("spec", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("treatment", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("before", sa.Float(), nullable=True),
        sa.Column("after", sa.Float(), nullable=True),
        sa.Column("probing", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("approved_at", sa.Float(), nullable=True),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("applied_at", sa.Float(), nullable=True),
        sa.Column("judged_from", sa.Float(), nullable=True),
        sa.Column("verifying_at", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("rolled_back_at", sa.Float(), nullable=True),
        sa.Column("recovered_at", sa.Float(), nullable=True),
        sa.Column("lease_ends_at", sa.Float(), nullable=True),
        sa.Column("command_id", sa.String(), nullable=False),
        sa.Column("command_version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_how", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incident.number"], name="fk_action_incident"),
        sa.PrimaryKeyConstraint("number", name="pk_action"),
        sa.UniqueConstraint("command_id", name="uq_action_command_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_action_incident", "action", ["incident"], unique=False)
    op.create_index("ix_action_state", "action", ["state"], unique=False)
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("parts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("signal", sa.String(), nullable=False),
        sa.Column("onset_at", sa.Float(), nullable=False),
        sa.Column("first_at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("usual", sa.Float(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("hurt", sa.Float(), nullable=False),
        sa.Column("explanation", sa.String(), nullable=False),
        sa.Column("error_types", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incident.number"], name="fk_alert_incident"),
        sa.PrimaryKeyConstraint("id", name="pk_alert"),
        sa.UniqueConstraint("incident", "fingerprint", name="uq_alert_incident_fingerprint"),
    )
    op.create_index("ix_alert_incident", "alert", ["incident"], unique=False)
    op.create_table(
        "diagnosis",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("fault_class", sa.String(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("classes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("suspects", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incident.number"], name="fk_diagnosis_incident"),
        sa.PrimaryKeyConstraint("id", name="pk_diagnosis"),
    )
    op.create_index("ix_diagnosis_incident", "diagnosis", ["incident"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incident.number"], name="fk_event_incident"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_index("ix_event_incident", "event", ["incident"], unique=False)
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("next_try_at", sa.Float(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("message_ts", sa.String(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incident.number"], name="fk_notification_incident"),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sa.UniqueConstraint("key", name="uq_notification_key"),
    )
    op.create_index("ix_notification_incident", "notification", ["incident"], unique=False)
    op.create_index("ix_notification_state_next_try_at", "notification", ["state", "next_try_at"], unique=False)
    op.create_table(
        "ack",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("action", sa.Integer(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("guards", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("command_version", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["action"], ["action.number"], name="fk_ack_action"),
        sa.PrimaryKeyConstraint("id", name="pk_ack"),
        sa.UniqueConstraint("action", "instance", "state", name="uq_ack_action_instance_state"),
    )
    op.create_index("ix_ack_action", "ack", ["action"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_ack_action", "ack")
    op.drop_table("ack")
    op.drop_index("ix_notification_state_next_try_at", "notification")
    op.drop_index("ix_notification_incident", "notification")
    op.drop_table("notification")
    op.drop_index("ix_event_incident", "event")
    op.drop_table("event")
    op.drop_index("ix_diagnosis_incident", "diagnosis")
    op.drop_table("diagnosis")
    op.drop_index("ix_alert_incident", "alert")
    op.drop_table("alert")
    op.drop_index("ix_action_state", "action")
    op.drop_index("ix_action_incident", "action")
    op.drop_table("action")
    op.drop_index("ix_incident_state", "incident")
    op.drop_table("incident")
    op.drop_table("desk")
    op.drop_table("checkpoint")
    op.drop_table("audit")

"""What is said before a start that takes longer than the next ones."""

from paramedic_collector.columns.kept import stamp


def first_start() -> list[str]:
    """A sentence when the collector is going to be compiled; nothing when this machine has it already."""
    return [] if stamp().exists() else ["compiling the collector for this machine, once: about half a minute"]

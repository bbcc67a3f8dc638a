"""Short names for what tests of evaluation say often."""

from paramedic_detector.evaluate.truth import Fault, Opening


def fault(
    start: float, end: float | None = None, root: str = "orders", kind: str = "slow", fault_class: str | None = None
) -> Fault:
    return Fault(f"f{start:g}", start, start + 180 if end is None else end, (root,), kind, fault_class)


def opening(at: float, target: str = "orders", **more: object) -> Opening:
    given = {"onset": at - 5, "resolved_at": at + 100, "fault_class": "unknown", "probability": 0.5}
    return Opening(id=f"INC-{at:g}", at=at, target=target, **(given | more))  # type: ignore[arg-type]

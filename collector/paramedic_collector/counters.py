"""What the collector counts of itself, in the names that the OpenTelemetry Collector uses where it has one.

counters.add(ACCEPTED[Signal.TRACES], 512, transport="http");  text() -> Prometheus text format
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from paramedic_collector.otlp import Signal

ITEMS: Final = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "log_records"}
ACCEPTED: Final = {signal: f"otelcol_receiver_accepted_{items}" for signal, items in ITEMS.items()}
REFUSED_REQUESTS: Final = "otelcol_receiver_refused_requests"  # by reason
LATE: Final = "paramedic_late_spans"  # counted in a window that had been given out before
OUT_OF_RANGE: Final = "paramedic_out_of_range_items"  # too old or in the future: recorded, in no window
REDACTED: Final = "paramedic_redacted_values"
SPAN_METRICS_IGNORED: Final = "paramedic_span_metrics_ignored"  # made from spans that came here too
HINT: Final = "paramedic_hint"  # a gauge: what a bot should mend
FOLD_FAILURES: Final = "paramedic_fold_failures"  # drains that could not be folded: recorded, in no window
BATCHES: Final = "paramedic_window_batches"
ROWS: Final = "paramedic_window_rows"
SENT: Final = {signal: f"otelcol_exporter_sent_{items}" for signal, items in ITEMS.items()}
SEND_FAILED: Final = {signal: f"otelcol_exporter_send_failed_{items}" for signal, items in ITEMS.items()}  # by reason
EXPORT_RETRIES: Final = "paramedic_exporter_retries"  # tries that failed and were repeated

_HELP: Final = {
    **dict.fromkeys(ACCEPTED.values(), "Items that were acknowledged; a request that came again counts once."),
    REFUSED_REQUESTS: "Requests that were not acknowledged, by reason.",
    LATE: "Spans that came after their window had been given out; counted in a later batch.",
    OUT_OF_RANGE: "Items whose time is too far from now; recorded, but in no window.",
    REDACTED: "Values with personal data or secrets, removed before recording.",
    SPAN_METRICS_IGNORED: "Points that a Collector made from spans which came here too, not counted again.",
    FOLD_FAILURES: "Groups of payloads that could not be folded into windows.",
    BATCHES: "Window batches published.",
    ROWS: "Window rows published.",
    **dict.fromkeys(SENT.values(), "Items that a backend took."),
    **dict.fromkeys(SEND_FAILED.values(), "Items that no backend will get, by reason."),
    EXPORT_RETRIES: "Requests to a backend that failed and were sent again.",
}
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})  # as the text format wants values
Labels = tuple[tuple[str, str], ...]


class Counters:
    """Named numbers that only grow, and gauges that are asked when somebody looks. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, Labels], int] = defaultdict(int)
        self._gauges: dict[tuple[str, Labels], tuple[str, Callable[[], float]]] = {}

    def add(self, name: str, by: int = 1, **labels: str) -> None:
        if by:
            with self._lock:
                self._values[name, tuple(sorted(labels.items()))] += by

    def gauge(self, name: str, about: str, ask: Callable[[], float], **labels: str) -> None:
        self._gauges[name, tuple(sorted(labels.items()))] = (about, ask)

    def total(self, name: str, **labels: str) -> int:
        """Sum over all label sets that contain `labels`."""
        wanted = set(labels.items())
        with self._lock:
            return sum(v for (one, has), v in self._values.items() if one == name and wanted <= set(has))

    def as_dict(self) -> dict[str, float]:
        """Every counter and every gauge, summed over its labels."""
        with self._lock:
            names = {name for name, _ in self._values} | set(_HELP)
        counted: dict[str, float] = {name: self.total(name) for name in sorted(names)}
        for (name, _), (_, ask) in list(self._gauges.items()):
            counted[name] = counted.get(name, 0) + ask()
        return counted

    def text(self) -> str:
        """Prometheus text format 0.0.4."""
        with self._lock:
            values = sorted(self._values.items())
        lines: list[str] = []
        for name, about in _HELP.items():
            lines += [f"# HELP {name}_total {about}", f"# TYPE {name}_total counter"]
            mine = [(labels, value) for (one, labels), value in values if one == name]
            lines += [f"{name}_total{_labels(labels)} {value}" for labels, value in mine] or [f"{name}_total 0"]
        headed = set[str]()
        for (name, labels), (about, ask) in sorted(self._gauges.items(), key=lambda one: one[0]):
            if name not in headed:
                lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
            headed.add(name)
            lines.append(f"{name}{_labels(labels)} {ask():g}")
        return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{key}="{value.translate(_ESCAPED)}"' for key, value in labels) + "}" if labels else ""

"""The three arms side by side: what guards add to a bare bot, and what the platform adds to guards. Pure."""

from collections.abc import Sequence
from typing import Any

from paramedic_cli.evidence import Request, Run
from paramedic_cli.intervals import percentile
from paramedic_cli.users import availability, sent_between


def arm_figures(runs: Sequence[Run]) -> dict[str, Any]:
    """What one arm came to over all its runs."""
    everyone = availability([r for run in runs for r in run.requests])
    during = _during_faults(runs)
    hurt = availability(during)
    waits = [r.seconds for r in during]
    return {
        "requests": everyone.total,
        "availability": everyone.value,
        "availability_interval": everyone.interval,
        "availability_during_faults": hurt.value,
        "availability_during_faults_interval": hurt.interval,
        "fault_latency_p50_seconds": percentile(waits, 0.5),
        "fault_latency_p95_seconds": percentile(waits, 0.95),
        "provider_calls": sum(run.spend.calls for run in runs),
        "wasted_calls": sum(run.spend.failed for run in runs),
        "cost_usd": sum(run.spend.cost_usd for run in runs),
        "notifications": sum(run.counts.notifications for run in runs),
    }


def _during_faults(runs: Sequence[Run]) -> list[Request]:
    return [
        request
        for run in runs
        for injection in run.injections
        for request in sent_between(run.requests, injection.injected_at, injection.healed_at)
    ]

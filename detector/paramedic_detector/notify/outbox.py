"""Delivery: takes what is due from the store, tries it, and writes down how it went.

    store --claim--> channel.send --Outcome--> sent | next try later | dead, each with one log line

At least once: a message is claimed before the try and recorded after it. One try an endpoint and call, paced;
a hanging endpoint costs its own delivery five seconds and nobody else anything.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from paramedic_detector.notify.channels import Channel, Outcome
from paramedic_detector.notify.pacing import TRIES, Endpoint, wait_s
from paramedic_detector.store import outbox
from paramedic_detector.store.incidents import log as log_event
from paramedic_detector.store.store import Store
from paramedic_detector.store.tables import NotificationRow

log = logging.getLogger("paramedic.notify")


class Outbox:
    """Messages of all channels.

    Args:
        clock: Unix seconds.
        rng: Uniform in [0, 1), for jitter.
    """

    def __init__(
        self, store: Store, channels: Sequence[Channel], *, clock: Callable[[], float], rng: Callable[[], float]
    ) -> None:
        self.channels = tuple(channels)
        self._store, self._clock, self._rng = store, clock, rng
        self._endpoints = {channel.name: Endpoint() for channel in channels}
        self._unrecorded: dict[str, tuple[NotificationRow, Outcome]] = {}

    def deliver(self, channel: Channel) -> Outcome | None:
        """Try the next message of this channel; None when there is none, or the endpoint is left alone.

        Raises:
            StoreDown: The store cannot be reached; what was sent is remembered and recorded by the next call.
        """
        self._record(channel)
        endpoint, now = self._endpoints[channel.name], self._clock()
        if not endpoint.ready(now):
            return None
        row = self._claim(channel, now)
        if row is None:
            return None
        outcome = channel.send(_marked(row))
        if outcome.ok:
            endpoint.worked(self._clock())
        else:
            endpoint.failed(self._clock(), outcome.retry_after_s)
        self._unrecorded[channel.name] = (row, outcome)
        self._record(channel)
        return outcome

    def _claim(self, channel: Channel, now: float) -> NotificationRow | None:
        with self._store.reading() as session:
            if outbox.due(session, channel.name, now) is None:
                return None
        with self._store.writing(shown=False) as session:
            row = outbox.due(session, channel.name, now)
            if row is not None:
                outbox.claim(row, now)
            return row

    def _record(self, channel: Channel) -> None:
        if channel.name not in self._unrecorded:
            return
        claimed, outcome = self._unrecorded[channel.name]
        with self._store.writing() as session:
            row = session.get(NotificationRow, claimed.id)
            if row is not None:
                self._write_down(row, outcome, channel)
                if row.state == "sent":
                    text = f"Told {channel.name.capitalize()}: {row.reason.replace('_', ' ')}."
                    log_event(session, row.incident, at=row.sent_at or 0.0, kind="notify", text=text)
        del self._unrecorded[channel.name]

    def _write_down(self, row: NotificationRow, outcome: Outcome, channel: Channel) -> None:
        now = self._clock()
        if outcome.ok:
            row.state, row.sent_at, row.last_error = "sent", now, ""
            return
        row.uncertain, row.last_error = row.uncertain or outcome.uncertain, outcome.said
        pause_s = None if outcome.final else wait_s(row.tries, outcome.retry_after_s, self._rng)
        if pause_s is None:
            row.state = "dead"
        else:
            row.state, row.next_try_at = "pending", now + pause_s
        log.warning("%s", _failure(row, outcome, channel))


def _failure(row: NotificationRow, outcome: Outcome, channel: Channel) -> str:
    what = f"{channel.name} at {channel.host}: {outcome.said} for {row.key}, try {row.tries} of {TRIES}"
    if row.state == "dead":
        cure = "check the webhook's address with `paramedic doctor`" if outcome.final else "see `paramedic incidents`"
        return f"{what}; given up, {cure}"
    return f"{what}; next try at {datetime.fromtimestamp(row.next_try_at, UTC):%H:%M:%S} UTC"


def _marked(row: NotificationRow) -> dict[str, Any]:
    """The message, marked as a possible repeat where an earlier try may have arrived."""
    if not row.uncertain:
        return row.body
    text = {"type": "mrkdwn", "text": "May be a repeat: an earlier try got no answer."}
    return row.body | {"blocks": [*row.body.get("blocks", []), {"type": "context", "elements": [text]}]}

"""The stage that hears what other systems say: their alerts join ours before these become incidents."""

from dataclasses import replace
from typing import Final

from paramedic_detector.engine.parts import Parts, Tick
from paramedic_detector.incidents.outside import SILENT_S, OutsideAlert, alerts_of
from paramedic_detector.store import context

EVERY_S: Final = 1.0  # between two looks into a store that others may have written into


class Hear:
    """Alerts from outside, as the API took them; read again only when the store was written into."""

    name = "hear"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._firing: list[OutsideAlert] = []
        self._read_at: tuple[int | None, float] | None = None  # mark of the store, and when

    def __call__(self, tick: Tick) -> Tick:
        mark = self._parts.store.mark
        if self._is_due(mark, tick.now):
            with self._parts.store.reading() as session:
                rows = context.firing(session, since=tick.now - SILENT_S)
                self._firing = [context.outside_of(row) for row in rows]
            self._read_at = (mark, tick.now)
        heard = alerts_of(self._firing, tick.now)
        return replace(tick, alerts=(*tick.alerts, *heard)) if heard else tick

    def _is_due(self, mark: int | None, now: float) -> bool:
        if self._read_at is None or self._read_at[0] != mark:
            return True
        stale_s = SILENT_S / 100 if mark is not None else EVERY_S  # what is never repeated ends at last
        return not 0 <= now - self._read_at[1] < stale_s

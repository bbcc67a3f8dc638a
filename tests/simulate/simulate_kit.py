"""Short runs of the demo's system, folded into one table that remembers everything."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey, WindowBatch
from paramedic_detector.series.table import SeriesTable, Totals
from paramedic_detector.simulate.demo_world import demo_graph
from paramedic_detector.simulate.plan import Happening, Plan
from paramedic_detector.simulate.world import World

AT_S, UNTIL_S, END_S = 120.0, 180.0, 200.0


def broken(kind, target, *, zone="", severity=1.0, until_s=UNTIL_S, **parameters):
    root = Target(target or "front-door", zone)
    return Happening(f"{kind} of {root}", AT_S, until_s, kind, target, zone, severity, parameters, "unknown", root)


class Played:
    """A run, and what its windows say."""

    def __init__(self, *happenings, duration_s=END_S, rate=10.0, seed=1, graph=None):
        self.plan = Plan("test", graph or demo_graph(nlu=True, tools=True), duration_s, happenings, rate, bursts=False)
        self.world = World(self.plan, seed)
        self.table = SeriesTable(3600)
        self.batches = list(self.world.batches())
        families = {family for batch in self.batches for family in batch.tables}
        self._whole = {
            family: pa.Table.from_batches([b.tables[family] for b in self.batches if family in b.tables])
            for family in sorted(families)
        }
        whole = {family: table.combine_chunks().to_batches()[0] for family, table in self._whole.items()}
        self.table.add(WindowBatch("test", 1, self.batches[-1].watermark, whole))

    def totals(self, family, *parts, since=AT_S + 2, until=UNTIL_S) -> Totals:
        names = {"op": 7, "edge": 3, "callee": 2}[family]
        key = SeriesKey(family, (*parts, *["*"] * (names - len(parts))))
        return self.table.totals(key, self.plan.start + since, self.plan.start + until)

    def before(self, family, *parts) -> Totals:
        return self.totals(family, *parts, since=30, until=AT_S - 2)

    def column(self, family, name, since=AT_S + 2, until=UNTIL_S, **keys):
        """Values of a column, with their second after the start, of rows with these keys."""
        table = self._whole[family]
        wanted = pc.and_(
            pc.greater_equal(table["ts"], self.plan.start + since), pc.less(table["ts"], self.plan.start + until)
        )
        for key, value in keys.items():
            wanted = pc.and_(wanted, pc.equal(table[key], value))
        table = table.filter(wanted)
        ages = (at - self.plan.start for at in table["ts"].to_pylist())
        return list(zip(ages, table[name].to_pylist(), strict=True))

    def quantile_s(self, family, name, q=0.5, **keys):
        """Of a histogram column, from its buckets' upper edges."""
        counts = Counter()
        for _, histogram in self.column(family, name, **keys):
            for index, count in zip(
                (histogram or {}).get("index", ()), (histogram or {}).get("count", ()), strict=True
            ):
                counts[index] += count
        values = np.repeat(sorted(counts), [counts[index] for index in sorted(counts)])
        return float(2 ** ((np.quantile(values, q) + 1) / 8)) if len(values) else float("nan")

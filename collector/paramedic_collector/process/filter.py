"""`filter`: drops what one of its conditions means.

resource > scope > span > spanevent        the outer ones first; what they drop is not asked about again
resource > scope > metric > datapoint      a metric without points goes, a span without events stays
resource > scope > log
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from paramedic_collector.config.model import Processor
from paramedic_collector.otlp import Signal
from paramedic_collector.process.ottl import Condition
from paramedic_collector.process.ottl_paths import LEVELS, Scene
from paramedic_collector.process.ottl_values import OttlError
from paramedic_collector.process.requests import items_of, keep, points_of, prune, resource_groups, scope_groups

if TYPE_CHECKING:
    from google.protobuf.message import Message

log = logging.getLogger(__name__)

ERROR_MODES: Final = ("ignore", "silent", "propagate")


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition, and what to do when it cannot be answered."""

    text: str  # as the file has it, for messages
    drops: Condition
    error_mode: str = "ignore"


Rules = Mapping[Signal, Mapping[str, tuple[Rule, ...]]]  # by signal and context


class Filter(Processor):
    """Drops by rules; one that holds is enough."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name, self._rules = name, rules
        self.failed = 0  # conditions that could not be answered

    def process(self, signal: Signal, request: "Message", now: float) -> list["Message"]:
        rules = self._rules.get(signal)
        if not rules:
            return [request]
        try:
            self._resources(signal, request, rules)
        except OttlError as error:
            log.warning("%s drops a payload of %s: %s", self.name, signal, error)  # error_mode: propagate
            return []
        return [request] if prune(signal, request) else []

    def due(self, now: float) -> list["Message"]:
        return []

    def _resources(self, signal: Signal, request: Any, rules: Mapping[str, tuple[Rule, ...]]) -> None:
        context = LEVELS[signal][2]
        groups = resource_groups(signal, request)
        keep(groups, lambda group: not self._drops(rules, "resource", {"resource": group.resource}))
        for group in groups:
            inner = scope_groups(signal, group)
            around = {"resource": group.resource}
            keep(inner, lambda one: not self._drops(rules, "scope", {**around, "scope": one.scope}))  # noqa: B023 - used at once
            for one in inner:
                scene = {**around, "scope": one.scope}
                keep(items_of(signal, one), lambda item: self._keeps(rules, context, {**scene, context: item}))  # noqa: B023

    def _keeps(self, rules: Mapping[str, tuple[Rule, ...]], context: str, scene: Scene) -> bool:
        if self._drops(rules, context, scene):
            return False
        if context == "span" and "spanevent" in rules:
            keep(scene["span"].events, lambda event: not self._drops(rules, "spanevent", {**scene, "spanevent": event}))
        if context == "metric" and "datapoint" in rules:
            points = points_of(scene["metric"])
            keep(points, lambda point: not self._drops(rules, "datapoint", {**scene, "datapoint": point}))
            return bool(points)
        return True

    def _drops(self, rules: Mapping[str, tuple[Rule, ...]], context: str, scene: Scene) -> bool:
        return any(self._holds(rule, scene) for rule in rules.get(context, ()))

    def _holds(self, rule: Rule, scene: Scene) -> bool:
        try:
            return rule.drops(scene)
        except OttlError as error:
            self.failed += 1
            if rule.error_mode == "propagate":
                raise
            if rule.error_mode == "ignore":
                log.warning("%s: %s in: %s", self.name, error, rule.text)
            return False

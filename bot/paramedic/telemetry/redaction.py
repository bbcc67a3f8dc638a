"""Spans without what is private in them: copies, as others may export the same span in their own way."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from paramedic.telemetry.private import Private


def masked_spans(spans: Sequence[ReadableSpan], private: Private) -> list[ReadableSpan]:
    """The same spans; of those with something private, a copy without it."""
    return [masked_span(span, private) for span in spans]


def masked_span(span: ReadableSpan, private: Private) -> ReadableSpan:
    """The span itself when nothing in it is private, else a copy."""
    raw: Any = span.attributes or {}
    name, attributes = private.mask(span.name), private.attributes(raw)
    events = [_event(event, private) for event in span.events]
    links = [_link(link, private) for link in span.links]
    told = span.status.description
    told_masked = told if told is None else private.mask(told)
    if name == span.name and attributes is raw and told_masked == told:
        same = all(a is b for a, b in zip(events, span.events, strict=True))
        if same and all(a is b for a, b in zip(links, span.links, strict=True)):
            return span
    return ReadableSpan(
        name=name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=events,
        links=links,
        kind=span.kind,
        status=Status(span.status.status_code, told_masked),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _event(event: Event, private: Private) -> Event:
    raw: Any = event.attributes or {}
    attributes: Any = private.attributes(raw)
    return event if attributes is raw else Event(event.name, attributes, event.timestamp)


def _link(link: Link, private: Private) -> Link:
    raw: Any = link.attributes or {}
    attributes: Any = private.attributes(raw)
    return link if attributes is raw else Link(link.context, attributes)

"""A trace as bars in time: parents in outline, the culprit in colour, refused calls as marks.

The culprit is the failed span that has no failed child: its parents only pass the failure on, and to
colour them too would hide it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from paramedic_dashboard.contact.answers import Span, Trace
from paramedic_dashboard.paint.html import empty
from paramedic_dashboard.words import milliseconds, plural

MOST_SPANS = 60
LLM_FACTS = (
    ("gen_ai.provider.name", "{}"),
    ("gen_ai.request.model", "{}"),
    ("paramedic.fallback.level", "fallback {}"),
    ("gen_ai.response.time_to_first_chunk", "first token {} s"),
)


def culprits(spans: Sequence[Span]) -> set[str]:
    """Ids of the failed spans below which nothing failed."""
    failed = {span.span_id for span in spans if span.status == "error"}
    blamed_on = {span.parent_id for span in spans if span.span_id in failed}
    return failed - blamed_on


def in_order(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    """Every span after its parent, with its depth; a span whose parent is missing stands at the left."""
    known = {span.span_id for span in spans}
    children: defaultdict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda one: one.start_ms, reverse=True):
        children[span.parent_id if span.parent_id in known and span.parent_id != span.span_id else ""].append(span)
    todo, done = [(span, 0) for span in children[""]], set[str]()
    while todo:
        span, depth = todo.pop()
        if span.span_id in done:
            continue
        done.add(span.span_id)
        yield span, depth
        todo.extend((child, depth + 1) for child in children[span.span_id])


def waterfall(trace: Trace) -> Markup:
    if not trace.spans:
        return empty("The flight recorder no longer has the spans of this trace.")
    length_ms = max(span.start_ms + span.duration_ms for span in trace.spans) or 1.0
    guilty = culprits(trace.spans)
    parents = {span.parent_id for span in trace.spans}
    shown = list(in_order(trace.spans))
    rows = Markup("").join(
        _row(span, depth, length_ms, _look(span, guilty, parents)) for span, depth in shown[:MOST_SPANS]
    )
    left_out = len(trace.spans) - min(len(shown), MOST_SPANS)
    more = Markup('<p class="pm-quiet">and {}</p>').format(plural(left_out, "more span")) if left_out else ""
    return Markup('<div class="pm-trace" role="list">{}</div>{}').format(rows, more)


def _look(span: Span, guilty: set[str], parents: set[str]) -> str:
    if span.span_id in guilty:
        return "guilty"
    if span.refused_by:
        return "refused"
    return "parent" if span.span_id in parents else "leaf"


def _row(span: Span, depth: int, length_ms: float, look: str) -> Markup:
    left = max(0.0, min(99.4, span.start_ms / length_ms * 100))
    width = max(0.6, min(100 - left, span.duration_ms / length_ms * 100))
    place, style = _place(left, width)
    return Markup(
        '<div class="pm-span" role="listitem"><div class="pm-span-name" style="padding-left:{}px">'
        '<strong>{}</strong> <span class="pm-quiet">{}</span></div>'
        '<div class="pm-lane"><div class="pm-bar pm-bar-{}" style="left:{:.2f}%;width:{:.2f}%"></div>'
        '<span class="pm-bar-label pm-label-{} pm-{}-label" style="{}">{}</span></div></div>'
    ).format(
        min(depth, 8) * 10,
        span.name,
        f"{span.service}{_facts(span)}",
        look,
        left,
        width,
        place,
        look,
        style,
        _label(span, look),
    )


def _place(left: float, width: float) -> tuple[str, str]:
    """Where the label has room: inside a long bar, before a late one, else after it."""
    if width > 45:
        return "inside", f"left:{left:.2f}%;max-width:{width:.2f}%"
    if left > 50:
        return "before", f"right:{100 - left:.2f}%"
    return "after", f"left:{left + width:.2f}%;max-width:{100 - left - width:.2f}%"


def _label(span: Span, look: str) -> str:
    if span.refused_by:
        return f"⊘ not made: {span.refused_by}"
    took = milliseconds(span.duration_ms)
    if look == "guilty":
        return f"✕ {took} {span.error}".rstrip()
    return took


def _short(text: str) -> str:
    """A number with the digits that say something; any other text as it is."""
    try:
        return f"{float(text):.2g}" if "." in text else text
    except ValueError:
        return text


def _facts(span: Span) -> str:
    """What an LLM call says about itself: provider, model, attempt, first token, tokens, cost."""
    has = span.attributes
    told = [form.format(_short(has[name])) for name, form in LLM_FACTS if has.get(name) not in (None, "", "0")]
    into, out = has.get("gen_ai.usage.input_tokens"), has.get("gen_ai.usage.output_tokens")
    if into or out:
        told.append(f"{into or '?'}→{out or '?'} tokens")
    if cost := has.get("paramedic.cost"):
        told.append(f"${_short(cost)}")
    if has.get("paramedic.probe", "").lower() == "true":
        told.append("probe")
    return "".join(f" · {fact[:40]}" for fact in told)

"""A line without axes, as an image: Streamlit takes inline SVG out of HTML, but lets an image through."""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from markupsafe import Markup

from paramedic_dashboard.paint.html import empty
from paramedic_dashboard.words import percent

Points = Sequence[tuple[float, float | None]]
WIDTH, HEIGHT, EDGE = 600, 60, 4
SPAN_LEAST = 0.05  # the line is never stretched so far that a wobble of 1 % looks like a fall


def sparkline(points: Points, *, dark: bool) -> Markup:
    """Success from the lowest seen up to 100 %; where there are no data the line is broken."""
    values = [value for _, value in points if value is not None]
    if len(values) < 2:
        return empty("No data for the last 15 minutes.")
    low = min(min(values), 1 - SPAN_LEAST)
    colour = "#4BA3DB" if dark else "#0072B2"
    path = "".join(_runs(points, low))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" vector-effect="non-scaling-stroke"/></svg>'
    )
    told = f"Good answers in the last 15 minutes: lowest {percent(min(values))}, now {percent(values[-1])}"
    return Markup(
        '<figure class="pm-spark"><img src="data:image/svg+xml,{}" alt="{}">'
        '<figcaption class="pm-quiet">{}</figcaption></figure>'
    ).format(quote(svg), told, told)


def _runs(points: Points, low: float) -> Iterator[str]:
    first, last = points[0][0], points[-1][0]
    pen_down = False
    for at, value in points:
        if value is None:
            pen_down = False
            continue
        x = (at - first) / ((last - first) or 1) * WIDTH
        y = EDGE + (1 - value) / (1 - low) * (HEIGHT - 2 * EDGE)
        yield f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}"
        pen_down = True

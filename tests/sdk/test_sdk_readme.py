"""The pages about the SDK: their examples run, and their links lead somewhere.

An example that needs a vendor's key or a server is marked `python compile-only`: it is only compiled.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import paramedic
from paramedic.instrument import uninstrument

ROOT = Path(__file__).parents[2]
PAGES = [
    "bot/README.md",
    "docs/concepts/commands-in-a-bot.md",
    "docs/concepts/deadlines-and-retries.md",
    "docs/concepts/failover.md",
    "docs/concepts/guards.md",
    "docs/concepts/sdk-telemetry.md",
    "docs/concepts/streams.md",
    "docs/how-to/guard-a-bot.md",
    "docs/how-to/migrate-from-other-libraries.md",
    "docs/how-to/run-without-code.md",
    "docs/how-to/test-a-guarded-bot.md",
]
EXAMPLE = re.compile(r"^```python( compile-only)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def examples_of(page: Path) -> Iterator[tuple[bool, object]]:
    """Each example, compiled so that an error names its line of the page, and whether it runs."""
    text = page.read_text()
    for found in EXAMPLE.finditer(text):
        above = text.count("\n", 0, found.start(2))
        yield not found[1], compile("\n" * above + found[2], str(page), "exec")


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run_from_top_to_bottom(page, monkeypatch, tmp_path):
    for name in ("PARAMEDIC_URL", "PARAMEDIC_TOKEN", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARAMEDIC_DATA_DIR", str(tmp_path))
    examples = list(examples_of(ROOT / page))
    names: dict[str, object] = {"__name__": "__main__"}
    assert any(runs for runs, _ in examples)
    try:
        for runs, example in examples:
            if runs:
                exec(example, names)
    finally:
        paramedic.shutdown()
        uninstrument()


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_of_python_is_an_example_that_is_read(page):
    text = (ROOT / page).read_text()
    assert len(EXAMPLE.findall(text)) == text.count("```python")


def leads_somewhere(page: Path, link: str, anchor: str) -> bool:
    target = page.parent / link if link else page
    if not target.exists():
        return False
    headings = HEADING.findall(target.read_text()) if anchor else ()
    return not anchor or anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_of_every_page_leads_to_a_file_and_a_heading():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/**/*.md")]
    links = [(page, *found) for page in pages for found in LINK.findall(page.read_text()) if "://" not in found[0]]
    assert len(links) > 100
    assert not [link for link in links if not leads_somewhere(*link)]


def test_every_public_name_exists_and_says_what_it_is():
    for name in paramedic.__all__:
        assert getattr(paramedic, name).__doc__, name

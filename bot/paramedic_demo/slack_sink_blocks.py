"""What Slack's incoming webhooks refuse: the limits of Block Kit that a notification can run into.

Source: https://docs.slack.dev/reference/block-kit/blocks and the error codes of incoming webhooks.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_BLOCKS, MOST_FIELDS, MOST_ELEMENTS, MOST_BUTTONS = 50, 10, 10, 25
SECTION_CHARS, FIELD_CHARS, HEADER_CHARS, BUTTON_CHARS, BLOCK_ID_CHARS = 3000, 2000, 150, 75, 255
KNOWN_TYPES = frozenset(
    (
        "actions",
        "context",
        "divider",
        "file",
        "header",
        "image",
        "input",
        "markdown",
        "rich_text",
        "section",
        "table",
        "video",
    )
)


def refusal_of(payload: object) -> str | None:
    """Slack's error code for a message; None when Slack would post it."""
    if not isinstance(payload, Mapping):
        return "invalid_payload"
    attachments = payload.get("attachments") or []
    if not (payload.get("text") or payload.get("blocks") or attachments):
        return "no_text"
    groups = [
        payload.get("blocks") or [],
        *(part.get("blocks") or [] for part in attachments if isinstance(part, Mapping)),
    ]
    return "invalid_blocks" if any(True for group in groups for _ in mistakes_of(group)) else None


def mistakes_of(blocks: object) -> Iterator[str]:
    """What is wrong with a list of blocks, each with where it stands."""
    if not isinstance(blocks, Sequence) or isinstance(blocks, str):
        yield "blocks must be a list"
        return
    if len(blocks) > MOST_BLOCKS:
        yield f"blocks must be at most {MOST_BLOCKS}, got {len(blocks)}"
    ids = [block["block_id"] for block in blocks if isinstance(block, Mapping) and block.get("block_id")]
    if len(ids) != len(set(ids)):
        yield "block_id must be unique in a message"
    for index, block in enumerate(blocks):
        for mistake in block_mistakes(block):
            yield f"blocks[{index}]: {mistake}"


def block_mistakes(block: object) -> Iterator[str]:
    if not isinstance(block, Mapping) or block.get("type") not in KNOWN_TYPES:
        yield "not a block of a known type"
        return
    if len(str(block.get("block_id", ""))) > BLOCK_ID_CHARS:
        yield f"block_id must be at most {BLOCK_ID_CHARS} characters"
    match block["type"]:
        case "section":
            yield from section_mistakes(block)
        case "header":
            yield from text_mistakes(block.get("text"), HEADER_CHARS, ("plain_text",))
        case "context":
            yield from element_mistakes(block.get("elements"), MOST_ELEMENTS)
        case "actions":
            yield from element_mistakes(block.get("elements"), MOST_BUTTONS)


def section_mistakes(block: Mapping[str, Any]) -> Iterator[str]:
    fields = block.get("fields")
    if block.get("text") is None and not fields:
        yield "a section needs text or fields"
    if block.get("text") is not None:
        yield from text_mistakes(block["text"], SECTION_CHARS)
    if fields is not None:
        if not isinstance(fields, list) or not 1 <= len(fields) <= MOST_FIELDS:
            yield f"fields must be a list of 1 to {MOST_FIELDS}"
            return
        for field in fields:
            yield from text_mistakes(field, FIELD_CHARS)


def element_mistakes(elements: object, most: int) -> Iterator[str]:
    if not isinstance(elements, list) or not 1 <= len(elements) <= most:
        yield f"elements must be a list of 1 to {most}"
        return
    for element in elements:
        if not isinstance(element, Mapping) or not element.get("type"):
            yield "an element needs a type"
        elif element["type"] == "button":
            yield from text_mistakes(element.get("text"), BUTTON_CHARS, ("plain_text",))
            if len(str(element.get("url", ""))) > SECTION_CHARS:
                yield f"a button's url must be at most {SECTION_CHARS} characters"
        elif element["type"] in ("mrkdwn", "plain_text"):
            yield from text_mistakes(element, SECTION_CHARS)


def text_mistakes(text: object, most: int, types: tuple[str, ...] = ("mrkdwn", "plain_text")) -> Iterator[str]:
    if not isinstance(text, Mapping) or text.get("type") not in types:
        yield f"text must be an object of type {' or '.join(types)}"
    elif not isinstance(text.get("text"), str) or not 1 <= len(text["text"]) <= most:
        yield f"text must have 1 to {most} characters"

"""The agent: a model with one tool, for wishes that change an order. The model talks, a rule decides.

    prompt + lookup_order --> model --tool call--> order backend --> model --> words + the shop's decision
                                ^______________________|     at most STEPS questions

Nobody is refunded because a model said so: the decision is `answers.decision`. When no model answers, the order is
looked up all the same and the decision stands alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paramedic_demo.answers import NOBODY, Order, decision, no_such_order
from paramedic_demo.support_bot.calls import Answer, Calls, Prompt, ToolCall

STEPS = 8
LIGHT = "borealis"
LOOKUP_ORDER: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "lookup_order",
        "description": "Status, items and dates of one order of this customer.",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string", "description": "The number of the order, such as 10234."}},
            "required": ["order_id"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the agent says."""

    text: str
    by: str


async def run_agent(calls: Calls, prompt: Prompt, intent: str, number: str, rounds: int = 1) -> Outcome:
    """Let the model look up what it wants, then answer with its words and the shop's decision.

    Args:
        calls: The outside world.
        prompt: The conversation; its tools are set here.
        intent: "refund_request" or "cancel_order".
        number: Of the order that the conversation is about.
        rounds: The model asks for its tool so often until it is given what the tool said; more than once in drills.
    """
    asked = Prompt(prompt.messages, tools=(LOOKUP_ORDER,), template="", light=prompt.light)
    seen: dict[str, Order | None] = {}
    answer = await calls.answer(asked)
    for step in range(1, STEPS):
        if not answer.tools:
            break
        results = [await use_tool(calls, tool, seen) for tool in answer.tools]
        if step < rounds:
            seen.clear()  # what the tool said is lost on the way, and the model will ask again
        else:
            asked = asked.then(wish_of(answer), *results, light=answer.by == LIGHT)
        answer = await calls.answer(asked)
    order = seen[number] if number in seen else await calls.order(number)
    if order is None:
        return Outcome(no_such_order(number), answer.by)
    if answer.by == NOBODY or answer.tools:
        return Outcome(decision(intent, order), "template")
    return Outcome(f"{answer.text} {decision(intent, order)}", answer.by)


async def use_tool(calls: Calls, tool: ToolCall, seen: dict[str, Order | None]) -> Mapping[str, Any]:
    """The message with a tool's result; a call that makes no sense gets a sentence that says so."""
    number = argument(tool)
    if tool.name != "lookup_order" or not number:
        content = json.dumps({"error": f"there is no tool {tool.name!r} that takes {tool.arguments!r}"})
    else:
        with calls.tool(tool.name):
            if number not in seen:
                seen[number] = await calls.order(number)
        content = json.dumps(seen[number] or {"error": f"there is no order {number}"})
    return {"role": "tool", "tool_call_id": tool.id, "content": content}


def argument(tool: ToolCall) -> str:
    """The order number that the model put in; empty when its arguments are not what they should be."""
    try:
        raw = json.loads(tool.arguments)
    except ValueError:
        return ""
    number = str(raw.get("order_id", "")) if isinstance(raw, dict) else ""
    return number if number.isdigit() else ""


def wish_of(answer: Answer) -> Mapping[str, Any]:
    """The model's own message with its tool calls, as the next request has to repeat it."""
    calls = [
        {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.arguments}}
        for tool in answer.tools
    ]
    return {"role": "assistant", "content": answer.text or None, "tool_calls": calls}

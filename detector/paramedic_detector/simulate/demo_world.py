"""The demo's system: the same names, the same constants as its processes, the same mixture of messages.

    users --> front-door (eu-1) --Router--> support-bot (eu-1a, eu-1b) --> aurora --> borealis; orders

Where each number comes from stands in docs/concepts/simulation.md; a test compares them with `paramedic_demo`.
"""

from typing import Final

from paramedic_detector.simulate.graph import Call, Graph, Operation, Provider, Service, Step, Store

ZONES: Final = ("eu-1a", "eu-1b")
REGION: Final = "eu-1"
NAME: Final = "demo"

# Shares of the messages, from the demo's scripts and its classifier: see the test.
MODEL_SHARE: Final = 0.309
ORDER_SHARE: Final = 0.192
AGENT_SHARE: Final = 0.064
CHECK_SHARE: Final = 0.026
UNSURE_SHARE: Final = 0.015

AURORA: Final = Provider(
    "aurora", "aurora-large", first_s=0.25, first_spread=0.35, tokens_per_s=80.0, tokens_in=150.0,
    tokens_in_spread=0.35, tokens_out=52.0, tokens_out_spread=0.1, usd_per_million_in=2.5, usd_per_million_out=10.0,
    errors=0.0,
)  # fmt: skip
BOREALIS: Final = Provider(
    "borealis", "borealis-light", first_s=0.12, first_spread=0.30, tokens_per_s=160.0, tokens_in=120.0,
    tokens_in_spread=0.4, tokens_out=34.0, tokens_out_spread=0.13, usd_per_million_in=0.15, usd_per_million_out=0.60,
    errors=0.0,
)  # fmt: skip
_PRIMARY: Final = Call("llm.primary", "aurora", deadline_s=6.0, most_in_flight=64)
_LIGHT: Final = Call("llm.light", "borealis", deadline_s=4.0)
_CHECK: Final = Call("llm.check", "borealis", deadline_s=2.0)
_ORDERS: Final = Call("orders", "orders", "GET /orders/{id}", deadline_s=2.0)
_NLU: Final = Call("nlu", "nlu", deadline_s=1.0, breaker=False)


def demo_graph(*, nlu: bool = False, tools: bool = False) -> Graph:
    """The demo's system.

    Args:
        nlu: With the stand-in for a service that understands messages, as drills have it.
        tools: With spans of the agent's tool, as drills have them.
    """
    rest = 1 - AGENT_SHARE
    steps = (
        *((Step((_NLU,), ends=True),) if nlu else ()),
        Step((_CHECK,), chance=CHECK_SHARE),
        Step((_PRIMARY, _LIGHT), chance=AGENT_SHARE, loops=True),
        Step((_ORDERS,), tool="lookup_order" if tools else "", loops=True),
        Step((_PRIMARY, _LIGHT), loops=True, ends=True),
        Step((_ORDERS,), chance=ORDER_SHARE / rest),
        Step((_PRIMARY, _LIGHT), chance=(MODEL_SHARE + ORDER_SHARE) / rest),
    )
    bot = Operation("POST /chat", own_s=0.006, spread=0.45, errors=0.0, steps=steps)
    to_bot = Call("bot", "support-bot", "POST /chat", deadline_s=9.0, routed=True)
    front = Operation("POST /chat", own_s=0.002, spread=0.45, errors=0.0, steps=(Step((to_bot,), needed=True),))
    order = Operation("GET /orders/{id}", own_s=0.0065, spread=0.4, errors=0.0)
    return Graph(
        NAME,
        services=(
            Service("front-door", (front,), (REGION,), workers=1, memory_bytes=9e7),
            Service("support-bot", (bot,), ZONES, workers=1, memory_bytes=1.4e8),
            Service("orders", (order,), (REGION,), workers=1, memory_bytes=7e7, pool=20),
        ),
        providers=(AURORA, BOREALIS),
        stores=(Store("nlu", own_s=0.002, useless="low_confidence", useless_share=UNSURE_SHARE),) if nlu else (),
        entries=(("front-door", "POST /chat", 1.0),),
        rate_per_s=10.0,
        network_s=0.003,
    )

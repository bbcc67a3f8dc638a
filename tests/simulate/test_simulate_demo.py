"""The simulated demo and the real one: the same names, constants and mixture of messages."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from simulate_kit import Played

from paramedic_demo import orders
from paramedic_demo.answers import TOPICS, Way
from paramedic_demo.faults import ORDERS_KINDS, PROVIDER_KINDS
from paramedic_demo.fleet import PROVIDERS, REGION, demo_members
from paramedic_demo.intents import IntentModel, order_number
from paramedic_demo.load.arrivals import BURST, CALM, arrival_times
from paramedic_demo.load.conversations import SCRIPTS, TEXTS, Need
from paramedic_demo.provider_answers import answer, text_of
from paramedic_demo.provider_models import MODELS, tokens_of
from paramedic_demo.scenario_reading import CLASSES, TARGETS
from paramedic_demo.scenario_values import LINK, ZONES
from paramedic_demo.support_bot.calls_guarded import BREAKER, GuardedCalls
from paramedic_demo.support_bot.turns import Route, prompt, route
from paramedic_demo.support_bot.wire import Settings
from paramedic_detector.simulate import circuits, demo_world, suites, traffic
from paramedic_detector.simulate.kinds import KINDS


def messages():
    """Each text that users may write, with its share of all messages."""
    weights = Counter()
    for script in SCRIPTS:
        for need in script.needs:
            weights[need] += script.weight
    total = sum(weights.values())
    for need, weight in weights.items():
        for text in TEXTS[need]:
            yield need, text.format(order="10234"), weight / total / len(TEXTS[need])


def test_the_shares_of_the_messages_are_those_of_the_demos_scripts_and_classifier():
    model, shares = IntentModel.load(), Counter()
    for need, text, share in messages():
        guess = model.guess(text)
        way, chosen = TOPICS[guess.intent].way, route(guess.confidence)
        if way is Way.PERSON or chosen is Route.HAND_OVER:
            shares["unsure"] += share if way is not Way.PERSON else 0
            continue
        shares["check"] += share if chosen is Route.CHECK else 0
        if way not in (Way.ORDER, Way.AGENT) or order_number(text) or need is Need.FOLLOW_UP:
            shares[way] += share
    assert pytest.approx(shares[Way.MODEL], abs=0.01) == demo_world.MODEL_SHARE
    assert pytest.approx(shares[Way.ORDER], abs=0.01) == demo_world.ORDER_SHARE
    assert pytest.approx(shares[Way.AGENT], abs=0.01) == demo_world.AGENT_SHARE
    assert pytest.approx(shares["check"], abs=0.01) == demo_world.CHECK_SHARE
    assert pytest.approx(shares["unsure"], abs=0.01) == demo_world.UNSURE_SHARE


@pytest.mark.parametrize("provider", [demo_world.AURORA, demo_world.BOREALIS], ids=lambda one: one.name)
def test_the_models_are_as_fast_and_as_dear(provider):
    model = MODELS[provider.model]
    assert PROVIDERS[provider.name] == provider.model
    assert (provider.first_s, provider.first_spread) == (model.first_token_s, model.first_token_spread)
    assert provider.tokens_per_s == model.tokens_per_s
    assert provider.usd_per_million_in == model.usd_per_million_in
    assert provider.usd_per_million_out == model.usd_per_million_out


@pytest.mark.parametrize("provider", [demo_world.AURORA, demo_world.BOREALIS], ids=lambda one: one.name)
def test_answers_have_about_as_many_tokens(provider):
    model, found = IntentModel.load(), []
    for _, text, share in messages():
        guess = model.guess(text)
        if TOPICS[guess.intent].way is Way.MODEL and guess.confidence >= 0.9:
            asked = prompt(text, (), TOPICS[guess.intent].answer)
            said = answer(asked.messages, weak=MODELS[provider.model].weak)
            found.append((tokens_of(said), sum(tokens_of(text_of(one)) + 4 for one in asked.messages), share))
    out, into, shares = map(np.array, zip(*found, strict=True))
    assert provider.tokens_out == pytest.approx(np.average(out, weights=shares), rel=0.15)
    assert provider.tokens_in >= np.average(into, weights=shares), "turns that were said before come on top"


def test_users_come_as_to_the_demo():
    assert (CALM.factor, CALM.mean_s) == traffic.CALM
    assert (BURST.factor, BURST.mean_s) == traffic.BURST
    real = np.zeros(1200)
    for at in arrival_times(random.Random(1), 10.0):
        if at >= 1200:
            break
        real[int(at)] += 1
    ours = simulated_arrivals(1200)
    assert ours.mean() == pytest.approx(real.mean(), rel=0.15)
    assert ours.var() / ours.mean() == pytest.approx(real.var() / real.mean(), rel=0.4)


def simulated_arrivals(seconds):
    from paramedic_detector.simulate.effects import Effects
    from paramedic_detector.simulate.plan import Plan

    plan = Plan("test", demo_world.demo_graph(), seconds)
    effects = Effects(plan, plan.graph.zones)
    at = traffic.Traffic(plan, np.random.default_rng(1)).arrivals(plan.start, plan.start + seconds, effects)
    return np.bincount((at - plan.start).astype(int), minlength=seconds)


def test_guards_are_those_of_the_demos_bot():
    """Deadlines, the bulkhead and the breaker; read from the guards as the bot makes them."""
    env = {f"DEMO_{name}_URL": "http://127.0.0.1:1" for name in ("AURORA", "BOREALIS", "ORDERS")}
    real = GuardedCalls(Settings.read(env))
    graph = demo_world.demo_graph(nlu=True, tools=True)
    ours = {call.guard: call for service, _, _, call in graph.calls if service.name == "support-bot"}
    guards = {guard.name: guard for guard in vars(real).values() if hasattr(guard, "deadline_s")}
    assert set(guards) == set(ours)
    for name, guard in guards.items():
        assert ours[name].peer == guard.peer
        assert ours[name].deadline_s == guard.deadline_s
    assert BREAKER.in_a_row == circuits.IN_A_ROW
    assert (
        BREAKER.last, BREAKER.at_least, BREAKER.failure_rate
    ) == (circuits.LAST, circuits.AT_LEAST, circuits.FAILURE_RATE)  # fmt: skip
    assert BREAKER.rest_s == circuits.REST_S


def test_processes_stand_in_the_same_zones(tmp_path):
    members = demo_members("platform", 1, {}, tmp_path)
    graph = demo_world.demo_graph()
    assert {one.target for one in members} - {LINK} == set(graph.by_name)
    assert graph.service["support-bot"].zones == ZONES
    assert graph.service["orders"].zones == (REGION,)


def test_an_order_is_looked_up_as_fast():
    graph = demo_world.demo_graph()
    own_s = graph.operation["orders", "GET /orders/{id}"].own_s
    assert own_s == pytest.approx(orders.LOOKUP_S, rel=0.25)
    assert graph.operation["orders", "GET /orders/{id}"].spread == 0.4


def test_every_kind_and_class_of_the_demo_can_be_simulated():
    kinds = {kind for kinds in TARGETS.values() for kind in kinds}
    assert kinds <= set(KINDS)
    for known in (PROVIDER_KINDS, ORDERS_KINDS):
        for kind, parameters in known.items():
            assert set(parameters) <= set(KINDS[kind].parameters)
    assert set(suites.CLASSES) == set(CLASSES) - {"unknown"}


def test_a_healthy_run_looks_like_the_demo():
    """A turn with a model takes what its first token, its tokens and the way take together."""
    run = Played(duration_s=180, graph=demo_world.demo_graph())
    primary = run.totals("op", "support-bot", "llm.primary", since=5, until=175)
    expected_s = 0.25 + demo_world.AURORA.tokens_out / 80 + 0.003
    assert primary.quantile_s(0.5) == pytest.approx(expected_s, rel=0.12)
    users = run.totals("op", "front-door", "POST /chat", since=5, until=175)
    share = demo_world.MODEL_SHARE + demo_world.ORDER_SHARE + 2 * demo_world.AGENT_SHARE
    assert primary.count / users.count == pytest.approx(share, rel=0.1)
    assert users.failed == 0
    assert not math.isclose(users.quantile_s(0.3), primary.quantile_s(0.5), rel_tol=0.5), "a third needs no model"

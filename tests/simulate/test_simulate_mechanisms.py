"""Faults act by their mechanism: what follows from them follows, and nothing else does."""

import functools
import math

import pytest
from simulate_kit import AT_S, UNTIL_S, Played, broken


@functools.cache
def played(kind, target, zone="", **more):
    return Played(broken(kind, target, zone=zone, **more))


def test_a_slow_backend_slows_its_callers_calls_and_not_their_own_work():
    run = played("slow", "orders", delay_s=1.0)
    assert run.totals("edge", "support-bot", "orders").quantile_s(0.5) > 0.9
    assert run.totals("op", "support-bot", "POST /chat").quantile_s(0.95) > 1.0
    own = [run.quantile_s("op", "self_time", service="support-bot", operation="POST /chat", since=since, until=until)
           for since, until in ((30, AT_S), (AT_S + 5, UNTIL_S))]  # fmt: skip
    assert own[1] == pytest.approx(own[0], rel=0.15)
    assert run.quantile_s("op", "self_time", service="orders") > 0.9


def test_a_long_way_is_in_the_gap_and_not_in_the_callees_own_time():
    run = played("delay", "orders", delay_s=0.5)
    assert run.quantile_s("edge", "gap", caller="support-bot", callee="orders") > 0.4
    assert run.totals("op", "orders").quantile_s(0.95) < 0.05
    assert run.before("edge", "support-bot", "orders").quantile_s(0.95) < 0.1


def test_hung_calls_do_not_end_before_their_deadline_and_are_seen_in_flight():
    run = played("hang", "aurora")
    calls = run.totals("edge", "support-bot", "aurora", since=AT_S + 8)
    assert set(calls.errors) == {"timeout"}
    levels = run.column("edge", "oldest_s", callee="aurora", since=AT_S + 1, until=AT_S + 6)
    ages = [age for _, age in levels if age is not None]
    assert max(ages) > 4
    assert max(ages) <= 6.0
    ended = run.totals("op", "support-bot", "llm.primary", since=AT_S + 1.5, until=AT_S + 5)
    assert ended.count < 0.5 * 5.6 * 3.5, "few calls may end while they hang"


def test_a_breaker_opens_after_failures_and_closes_after_the_fault():
    run = Played(broken("errors", "aurora"), duration_s=230)
    during = run.totals("edge", "support-bot", "aurora")
    assert during.refused["breaker"] > during.count
    assert run.totals("edge", "support-bot", "aurora", since=UNTIL_S + 15, until=230).refused == {}
    states = run.column("gauge", "max", metric="paramedic.breaker.state{llm.primary}")
    assert {state for _, state in states} >= {2.0}


def test_a_failed_call_goes_to_its_fallback():
    run = played("auth", "aurora")
    assert (
        run.totals("edge", "support-bot", "borealis").count > 10 * run.before("edge", "support-bot", "borealis").count
    )
    assert run.totals("edge", "support-bot", "aurora").errors.keys() == {"401"}
    assert run.totals("op", "front-door", "POST /chat").failed == 0


def test_retries_without_a_budget_multiply_the_calls_of_each_user():
    run = played("retries", "orders", factor=8, failing=0.8)

    def a_user(totals, users):
        return totals.count / users.count

    usual = a_user(run.before("edge", "support-bot", "orders"), run.before("op", "front-door", "POST /chat"))
    now = a_user(run.totals("edge", "support-bot", "orders"), run.totals("op", "front-door", "POST /chat"))
    assert now > 3 * usual
    assert not run.totals("edge", "support-bot", "orders").refused


def test_a_killed_zone_is_silent_and_refuses_connections_while_the_other_one_answers():
    run = played("kill", "support-bot", "eu-1b")
    assert run.totals("op", "support-bot", "POST /chat", "server", "", "eu-1b").count == 0
    assert set(run.totals("edge", "front-door", "support-bot", "eu-1b").errors) <= {"ConnectError", "ReadError"}
    assert run.totals("edge", "front-door", "support-bot", "eu-1a").failed == 0
    assert run.totals("op", "front-door", "POST /chat").failed == 0
    silent = run.column("gauge", "max", service="support-bot", instance="support-bot-eu-1b")
    assert silent == []


def test_a_new_version_is_a_series_of_its_own_and_fails_alone():
    run = played("deploy", "support-bot", failing=0.5, roll_s=0.0)
    versions = {row for _, row in run.column("op", "version", service="support-bot", operation="POST /chat")}
    assert len(versions) == 2 or versions != {"1.0"}
    new = next(version for version in versions if version != "1.0")
    calls = run.totals("op", "support-bot", "POST /chat", "server", "", "*", "", new)
    assert 0.35 < calls.failed / calls.count < 0.65
    assert run.before("op", "support-bot", "POST /chat").failed == 0


def test_with_too_few_workers_calls_wait_until_breakers_spare_them():
    run = played("saturate", "orders", load=1.6)
    assert run.before("op", "orders").quantile_s(0.95) < 0.03
    assert run.totals("op", "orders", until=AT_S + 12).quantile_s(0.5) > 0.3
    assert run.totals("edge", "support-bot", "orders").refused["breaker"] > 0


def test_a_crowd_waits_for_a_service_that_cannot_keep_up():
    run = Played(broken("surge", "", factor=20, until_s=AT_S + 30), duration_s=155)
    crowd = run.totals("op", "front-door", "POST /chat", until=AT_S + 30)
    assert crowd.count > 15 * 28 * 10 * 0.5
    assert crowd.refused or run.totals("edge", "support-bot", "aurora", until=AT_S + 30).refused.get("bulkhead", 0) > 0


def test_a_leak_fills_the_memory_until_the_process_dies_and_begins_anew():
    run = Played(broken("leak", "support-bot", zone="eu-1a", until_s=600, full_after_s=300), duration_s=620)
    memory = run.column(
        "gauge", "max", metric="process.memory.usage", instance="support-bot-eu-1a", until=620, since=AT_S + 5
    )
    levels = dict(memory)
    assert levels[AT_S + 280] > 3 * levels[AT_S + 5]
    assert min(value for at, value in memory if AT_S + 300 <= at < AT_S + 330) < 1.5 * levels[AT_S + 5]
    assert run.totals("edge", "front-door", "support-bot", "eu-1a", since=AT_S + 300, until=AT_S + 306).failed > 0
    other = run.column("gauge", "max", metric="process.memory.usage", instance="support-bot-eu-1b", until=620)
    assert max(value for _, value in other) < 1.2 * min(value for _, value in other)


def test_long_prompts_cost_more_tokens_and_money_and_hardly_more_time():
    run = played("verbose", "aurora", factor=8)
    usual, now = run.before("op", "support-bot", "llm.primary"), run.totals("op", "support-bot", "llm.primary")
    assert now.tokens / now.count > 4 * usual.tokens / usual.count
    assert now.cost_usd / now.count > 2 * usual.cost_usd / usual.count
    assert now.quantile_s(0.5) < 1.3 * usual.quantile_s(0.5)


@pytest.mark.parametrize("kind", ["empty", "cut"])
def test_useless_answers_are_no_errors(kind):
    run = played(kind, "aurora")
    calls = run.totals("edge", "support-bot", "aurora")
    assert calls.useless[kind] == calls.count
    assert calls.failed == 0


def test_garbage_is_an_error_of_the_client_that_reads_it():
    run = played("garbage", "aurora")
    assert run.totals("edge", "support-bot", "aurora").errors.keys() == {"APIError"}


def test_nobody_understands_is_a_useless_answer_of_the_nlu_and_less_for_the_models():
    run = played("nlu", "nlu", share=0.8)
    calls = run.totals("edge", "support-bot", "nlu")
    assert 0.7 < calls.useless["low_confidence"] / calls.count < 0.9
    a_second = run.totals("edge", "support-bot", "aurora").count / 58
    assert a_second < 0.4 * run.before("edge", "support-bot", "aurora").count / 88


def test_an_agent_in_a_loop_calls_its_tool_many_times_a_turn():
    run = played("loop", "support-bot", factor=6)
    tool = "execute_tool lookup_order"
    usual, now = run.before("op", "support-bot", tool), run.totals("op", "support-bot", tool)
    assert now.count / 58 > 3 * usual.count / 88


def test_a_rate_limit_is_429_and_lets_the_limit_pass():
    run = played("rate_limit", "aurora", limit_per_s=2)
    calls = run.totals("edge", "support-bot", "aurora")
    assert calls.errors.keys() == {"429"}
    assert calls.good > 0


def test_a_slow_provider_is_slow_from_its_first_token_on():
    run = played("slow", "aurora", factor=4)
    usual = run.quantile_s("op", "first_token", service="support-bot", operation="llm.primary", since=30, until=AT_S)
    now = run.quantile_s("op", "first_token", service="support-bot", operation="llm.primary", since=AT_S + 8)
    assert now == pytest.approx(4 * usual, rel=0.3)


def test_lost_packets_make_some_calls_late_and_break_some():
    run = played("loss", "orders", share=0.6)
    assert run.quantile_s("edge", "gap", 0.9, caller="support-bot", callee="orders") > 0.15
    assert set(run.totals("edge", "support-bot", "orders").errors) <= {"ConnectError", "timeout"}


def test_nothing_is_wrong_before_a_fault():
    run = played("hang", "aurora")
    assert run.before("op", "front-door", "POST /chat").failed == 0
    assert not math.isnan(run.before("op", "front-door", "POST /chat").quantile_s(0.5))


def test_a_processor_is_busy_with_work_and_not_with_waiting():
    metric, instance = "process.cpu.utilization", "orders-eu-1"
    waiting = played("slow", "orders", delay_s=1.0).column("gauge", "max", metric=metric, instance=instance)
    working = played("saturate", "orders", load=1.6).column("gauge", "max", metric=metric, instance=instance)
    assert max(value for _, value in waiting) < 0.2
    assert max(value for _, value in working) > 0.8

"""What mostly heals itself is waited for; what is strong, hurts users or did not heal is not."""

from dataclasses import replace

from judge_ledger import Ledger
from test_judge_grouping import AURORA, GRAPH, T0, WEAK, alert

from paramedic_detector.incidents.grouping import Grouper
from paramedic_detector.incidents.pause import LEAST, Pauses, class_of, may_wait
from paramedic_detector.values import Signal

DAY = 86_400.0
BLIP = replace(alert(AURORA, score=WEAK), hurt=0.1)


def book_after(blips: int, *, lasting_s: float = 6.0, hurts: bool = False) -> Ledger:
    """A ledger that saw so many blips, each over by itself."""
    book = Ledger(GRAPH)
    for number in range(blips):
        start = T0 + 300.0 * number
        book.run(
            start,
            start + 200,
            lambda now, start=start: [replace(BLIP, onset=start - 3)] if now < start + lasting_s else [],
        )
        for entry in book.entries:
            entry.hurts = hurts
    return book


def last_opening(book: Ledger, one=BLIP, *, lasting_s: float = 60.0) -> float | None:
    """Seconds after which one more, that lasts, opens; None when it does not."""
    start, before = T0 + DAY, len(book.entries)
    book.step(start - 1, [])
    book.run(start, start + 200, lambda now: [replace(one, onset=start - 3)] if now < start + lasting_s else [])
    return book.entries[before].opened_at - start if len(book.entries) > before else None


def test_what_healed_often_is_waited_for_and_opens_with_the_reason_when_it_stays():
    book = book_after(LEAST)
    assert last_opening(book) == 15.0
    assert "healed by itself 4 of 4 times" in book.entries[-1].waited


def test_what_heals_again_while_it_is_waited_for_opens_nothing():
    assert last_opening(book_after(LEAST), lasting_s=6.0) is None


def test_too_few_ends_teach_nothing():
    assert last_opening(book_after(LEAST - 1)) == 1.0


def test_strong_evidence_never_waits():
    assert last_opening(book_after(LEAST), replace(BLIP, score=30.0)) == 0.0


def test_what_fails_most_calls_never_waits():
    assert last_opening(book_after(LEAST), replace(BLIP, hurt=0.8)) == 1.0


def test_what_users_feel_never_waits():
    felt = alert(replace_front(), score=WEAK)
    assert not may_wait([felt], GRAPH.entry_services())
    assert may_wait([BLIP], GRAPH.entry_services())


def replace_front():
    return AURORA._replace(family="op", parts=("front", "POST /chat", "server", "", "", "", "1"))


def test_ends_that_hurt_users_or_took_long_teach_nothing():
    assert last_opening(book_after(2 * LEAST, lasting_s=90.0)) == 1.0
    pauses = Pauses()
    for number in range(2 * LEAST):
        pauses.learn("edge:aurora#errors", T0 + number, 5.0, by_itself=False)
    assert pauses.pause_s("edge:aurora#errors", T0 + 10) == 0.0


def test_one_end_that_did_not_heal_ends_the_pause():
    pauses = Pauses()
    for number in range(LEAST):
        pauses.learn("x", T0 + number, 5.0, by_itself=True)
    assert pauses.pause_s("x", T0 + 10) == 15.0
    pauses.learn("x", T0 + 11, 500.0, by_itself=True)
    assert pauses.pause_s("x", T0 + 12) == 0.0


def test_what_was_learned_outlives_a_restart_and_is_forgotten_after_a_month():
    pauses = Pauses()
    for number in range(LEAST):
        pauses.learn("x", T0 + number, 5.0, by_itself=True)
    again = Pauses(pauses.take_changed())
    assert again.pause_s("x", T0 + DAY) == 15.0
    assert again.pause_s("x", T0 + 40 * DAY) == 0.0
    assert pauses.take_changed() == {}


def test_a_class_is_a_way_to_be_abnormal_at_a_peer_whoever_shows_it():
    assert class_of([BLIP]) == class_of([replace(BLIP, explanation="other")]) == "edge:aurora#errors"
    assert class_of([replace(BLIP, signal=Signal.SLOW)]) != class_of([BLIP])
    assert Grouper().pauses.pause_s("unheard of", T0) == 0.0

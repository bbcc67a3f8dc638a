"""Status texts to incidents: stages, words and time, one update after the other."""

import pytest

from paramedic_detector.incidents.texts import Update, group_updates, stage_of

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def update(at, stage, text="", *, source="aurora", services=()):
    return Update(at, source, text or f"{stage} an issue", stage, frozenset(services))


def test_a_story_goes_through_its_stages_and_the_next_investigation_is_another():
    first = [update(0, "investigating"), update(HOUR, "identified"), update(2 * HOUR, "resolved")]
    second = [update(3 * HOUR, "investigating"), update(4 * HOUR, "resolved")]
    assert group_updates([*first, *second]) == [1, 1, 1, 2, 2]


def test_a_postmortem_days_later_still_belongs_to_what_was_resolved():
    updates = [update(0, "investigating"), update(HOUR, "resolved"), update(3 * DAY, "postmortem")]
    assert group_updates(updates) == [1, 1, 1]


def test_what_is_told_only_when_it_is_over_is_a_story_of_its_own():
    updates = [update(0, "resolved", "From 9 to 10 some calls failed."), update(HOUR, "resolved", "Fixed at noon.")]
    assert group_updates(updates) == [1, 2]


def test_of_two_stories_at_once_the_words_decide():
    common = [update(-n * DAY, "resolved", "The issue has been resolved.") for n in range(20, 1, -1)]
    updates = [
        update(0, "investigating", "Elevated error rates on image generation with Palette."),
        update(5 * MINUTE, "investigating", "Users cannot log in to the Console."),
        update(20 * MINUTE, "monitoring", "Log in to the Console works again; we are monitoring."),
        update(30 * MINUTE, "monitoring", "Error rates of image generation with Palette are going down."),
    ]
    labels = group_updates([*common, *updates])[len(common) :]
    assert labels[0] == labels[3] != labels[1] == labels[2]


def test_services_decide_where_the_page_says_them():
    updates = [
        update(0, "investigating", "We are investigating.", services=["API"]),
        update(MINUTE, "investigating", "We are investigating.", services=["Console"]),
        update(HOUR, "resolved", "This is resolved.", services=["API"]),
        update(HOUR, "resolved", "This is resolved.", services=["Console"]),
    ]
    assert group_updates(updates) == [1, 2, 1, 2]


def test_pages_of_different_providers_tell_different_stories():
    updates = [update(0, "investigating"), update(MINUTE, "resolved", source="borealis")]
    assert group_updates(updates) == [1, 2]


def test_the_order_of_the_rows_does_not_matter_and_stages_break_ties():
    updates = [update(HOUR, "resolved"), update(0, "identified"), update(0, "investigating")]
    assert group_updates(updates) == [1, 1, 1]


def test_what_comes_later_changes_no_label_before_it():
    updates = [update(n * HOUR, stage) for n, stage in enumerate(["investigating", "monitoring", "resolved"] * 6)]
    whole = group_updates(updates)
    assert all(group_updates(updates[:n]) == whole[:n] for n in range(len(updates)))


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("We are currently investigating this issue.", "investigating"),
        ("The issue has been identified and a fix is being implemented.", "identified"),
        ("A fix has been implemented and we are monitoring the results.", "monitoring"),
        ("This incident has been resolved.", "resolved"),
        ("Error rates have returned to normal.", "resolved"),
        ("Postmortem: what happened on Monday", "postmortem"),
        ("Some requests fail.", "investigating"),
    ],
)
def test_a_text_without_a_stage_tells_it(text, stage):
    assert stage_of(Update(0.0, "aurora", text)) == stage


def test_no_updates_are_no_stories():
    assert group_updates([]) == []

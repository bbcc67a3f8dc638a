"""Status texts of providers to incidents: which update goes on with which story.

    update --stage, age and words, against each story that may go on--> the best of them, or a new story

A story has stages (investigating, identified, monitoring, resolved, postmortem) and goes through them forwards. So
the stage says most: a new investigation opens a story, and what is resolved goes on with a postmortem at most. Between
stories that are open at once the words decide; each word counts by how rare it was so far, so that "a fix has been
implemented" joins nothing. Causal: updates are taken one by one, and nothing is fitted, not even the rarity of words,
on what comes later.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

STAGES: Final = ("investigating", "identified", "monitoring", "resolved", "postmortem")
_SAID: Final = tuple(  # how a text without a stage tells it; the first that fits
    (stage, re.compile(rf"\b({words})\b", re.IGNORECASE))
    for stage, words in (
        ("postmortem", r"post-?mortem|root cause analysis|retrospective|what happened"),
        ("investigating", r"(are|still|currently|actively) (investigating|looking into)|aware of"),
        ("monitoring", r"(continue|continuing) to monitor|(are|be) (now |actively )?monitoring|monitoring (the|for)"),
        ("resolved", r"(been|is|are|was|were|now|fully|and) (\w+ )?(resolved|fixed|restored|recovered|mitigated)"),
        ("resolved", r"(returned to|back to) normal|operating normally|operational|back online|recovered|no longer"),
        ("identified", r"identified|found the (cause|issue)|working on|root cause|being implemented"),
    )
)
FEATURES: Final = 2**18  # places that words and pairs of words are hashed to
FORWARD: Final = 0.0  # to a later stage
AGAIN: Final = -2.5  # the same stage once more
BACKWARD: Final = -3.0  # to an earlier one
OVER: Final = -6.0  # anything but a postmortem after the end
BEGINS: Final = {  # how readily a story begins with a stage
    "investigating": -0.3, "identified": -2.0, "monitoring": -3.0, "resolved": -2.5, "postmortem": -4.5,
}  # fmt: skip
ALIKE: Final = 3.0  # for texts that share all their telling words
AGE: Final = 0.5  # for each e-fold of hours since the story was last told
FORGET_S: Final = 60 * 86_400.0  # a story that was silent for so long does not go on
KEPT: Final = 40  # newest stories of a source that may go on
SERVICES: Final = 1.0  # for the same services, where both say some; taken away when they share none


@dataclass(frozen=True, slots=True)
class Update:
    """One text on a status page."""

    at: float  # unix seconds
    source: str  # whose page
    text: str
    stage: str = ""  # as the page says it; "" is read from the text
    services: frozenset[str] = frozenset()  # that it is about, where the page says so


@dataclass(slots=True)
class _Story:
    label: int
    stage: str
    last_at: float
    words: dict[int, float] = field(default_factory=dict)  # hashed word -> how often
    services: frozenset[str] = frozenset()


def group_updates(updates: Sequence[Update]) -> list[int]:
    """The story that each update belongs to.

    Args:
        updates: In any order; they are taken in order of time, and at the same moment in order of their stages.

    Returns:
        (updates,) a number for each; the same number is the same incident. Numbers follow the time of the first text.
    """
    stories, labels = Stories(), [0] * len(updates)
    bags = _bags([update.text for update in updates])
    stages = [stage_of(update) for update in updates]
    for at in sorted(range(len(updates)), key=lambda at: (updates[at].at, STAGES.index(stages[at]), at)):
        labels[at] = stories.take(updates[at], stages[at], bags[at])
    return labels


def stage_of(update: Update) -> str:
    """The stage that the page says, else the one that its text tells; "investigating" when it tells none."""
    if update.stage.lower() in STAGES:
        return update.stage.lower()
    return next((stage for stage, said in _SAID if said.search(update.text)), STAGES[0])


class Stories:
    """The stories of all sources so far; remembers the newest of each."""

    def __init__(self) -> None:
        self._by_source: dict[str, list[_Story]] = {}
        self._seen: dict[str, Counter[int]] = {}  # by source: texts that had a word
        self._texts: Counter[str] = Counter()
        self._labels = 0

    def take(self, update: Update, stage: str, words: dict[int, float]) -> int:
        """The label of the story that this update goes on with, or begins."""
        known = self._by_source.setdefault(update.source, [])
        known[:] = [story for story in known if update.at - story.last_at <= FORGET_S][-KEPT:]
        scores = [self._score(story, update, stage, words) for story in known]
        best = int(np.argmax(scores)) if scores else -1
        if best < 0 or scores[best] < BEGINS[stage]:
            self._labels += 1
            known.append(story := _Story(self._labels, stage, update.at))
        else:
            known.append(story := known.pop(best))
        self._tell(story, update, stage, words)
        return story.label

    def _score(self, story: _Story, update: Update, stage: str, words: dict[int, float]) -> float:
        hours = max(0.0, update.at - story.last_at) / 3600
        score = _step(story.stage, stage) - AGE * np.log1p(hours)
        if score + ALIKE + SERVICES < BEGINS[stage]:
            return float(score)  # no words would make it go on
        score += ALIKE * self._alike(update.source, story.words, words)
        if story.services and update.services:
            score += SERVICES if story.services & update.services else -SERVICES
        return float(score)

    def _alike(self, source: str, a: dict[int, float], b: dict[int, float]) -> float:
        """Cosine of the two bags, each word weighed by its rarity so far; common words alone make nothing alike."""
        seen, texts = self._seen.get(source, Counter()), self._texts[source]
        rarity = {word: max(0.0, float(np.log((texts + 1) / (seen[word] + 1)))) for word in a.keys() | b.keys()}
        both = sum(rarity[word] ** 2 * a[word] * b[word] for word in a.keys() & b.keys())
        lengths = [np.sqrt(sum((rarity[word] * n) ** 2 for word, n in bag.items())) for bag in (a, b)]
        return float(both / (lengths[0] * lengths[1] + 1.0))

    def _tell(self, story: _Story, update: Update, stage: str, words: dict[int, float]) -> None:
        story.stage = stage if stage != "postmortem" else story.stage
        story.last_at = max(story.last_at, update.at)
        story.services |= update.services
        for word, count in words.items():
            story.words[word] = max(count, story.words.get(word, 0.0))
        self._seen.setdefault(update.source, Counter()).update(words.keys())
        self._texts[update.source] += 1


def _step(before: str, after: str) -> float:
    """How well one stage follows another."""
    if after == "postmortem":
        return FORWARD if before == "resolved" else BACKWARD
    if before == "resolved":
        return OVER
    order = STAGES.index(after) - STAGES.index(before)
    return FORWARD if order > 0 else AGAIN if order == 0 else BACKWARD


def _bags(texts: Sequence[str]) -> list[dict[int, float]]:
    """The words and pairs of words of each text, hashed; repeated words count less and less."""
    if not texts:
        return []
    hashing = HashingVectorizer(
        n_features=FEATURES, ngram_range=(1, 2), norm=None, alternate_sign=False, token_pattern=r"(?u)\b\w[\w.\-]*\w\b"
    )
    matrix = hashing.transform(list(texts)).tocsr()
    bags = []
    for row in range(matrix.shape[0]):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        counts: NDArray[np.float64] = 1.0 + np.log(np.maximum(matrix.data[part], 1.0))
        bags.append(dict(zip(matrix.indices[part].tolist(), counts.tolist(), strict=True)))
    return bags

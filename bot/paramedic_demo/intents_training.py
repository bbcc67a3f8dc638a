"""Fits the intent classifier with scikit-learn and writes the weights that the bot reads.

    data/intents.csv --> TF-IDF --> logistic regression --> temperature (cross-validated) --> data/intents_model.json

``python -m paramedic_demo.intents_training`` after a change of the training set; a test notices when it was forgotten.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from paramedic_demo.intents import DATA, MODEL_FILE, IntentModel, features

TRAINING_SET = DATA / "intents.csv"
PENALTY_INVERSE = 10.0  # scikit-learn's C
FOLDS = 5
DIGITS = 3


def read_examples(path: Path = TRAINING_SET) -> tuple[list[str], list[str]]:
    """Texts and their intents."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["intent"] for row in rows]


def fit(texts: Sequence[str], intents: Sequence[str]) -> Any:
    """The calibrated classifier; deterministic."""
    model = make_pipeline(
        TfidfVectorizer(analyzer=features, sublinear_tf=True), LogisticRegression(C=PENALTY_INVERSE, max_iter=1000)
    )
    calibrated = CalibratedClassifierCV(model, method="temperature", ensemble=False, cv=FOLDS)
    with threadpool_limits(1):  # a problem this small gets slower with threads, twelve times on two busy cores
        return calibrated.fit(texts, intents)


def model_of(fitted: Any) -> IntentModel:
    """The same classifier, as the bot reads it."""
    raw = exported(fitted, "")
    return IntentModel(raw["intents"], raw["intercepts"], raw["weights"], raw["sharpness"])


def exported(fitted: Any, trained_on: str) -> dict[str, Any]:
    """Everything that `IntentModel` needs, rounded to `DIGITS`."""
    (calibrated,) = fitted.calibrated_classifiers_
    tfidf, regression = (step for _, step in calibrated.estimator.steps)
    weights = {
        name: [round(float(value), DIGITS) for value in (tfidf.idf_[column], *regression.coef_[:, column])]
        for name, column in sorted(tfidf.vocabulary_.items())
    }
    return {
        "trained_on": trained_on,
        "intents": [str(name) for name in fitted.classes_],
        "sharpness": round(float(calibrated.calibrators[0].beta_), DIGITS),
        "intercepts": [round(float(value), DIGITS) for value in regression.intercept_],
        "weights": weights,
    }


def digest(path: Path = TRAINING_SET) -> str:
    """Of the training set, so that weights tell what they were trained on."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(raw: dict[str, Any], path: Path = MODEL_FILE) -> None:
    """One feature a line, so that a diff of two trainings can be read."""
    rows = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in raw["weights"].items()
    )
    head = ",\n".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in raw.items() if key != "weights")
    path.write_text(f'{{{head},\n"weights":{{\n{rows}\n}}}}\n')


def main() -> None:
    write(exported(fit(*read_examples()), digest()))


if __name__ == "__main__":
    main()

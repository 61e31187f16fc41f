"""What more patients of the same kind would bring: the spread reading from parts of the training patients.

The spot reading would take minutes for each; this one takes seconds, and is the greater part of the score.
"""

from __future__ import annotations

import numpy as np

import data
import evaluate
import spread
from crossvalidate import FOLDS
from features import Features

SHARES = (0.125, 0.25, 0.5, 1.0)
DRAWS = 3  # of patients


def curve(nih: Features, phantoms: Features) -> dict:
    """By share of the training patients, each figure of the glance: mean, least and greatest of the draws.

    All training patients are scored, each by fits on the patients of the draw in the other folds.
    """
    rows = {}
    for share in SHARES:
        draws = [evaluate.headline(nih.cases, scores(nih, phantoms, share, draw)) for draw in range(DRAWS)]
        rows[f"{100 * share:g} %"] = {name: span([draw[name] for draw in draws]) for name in draws[0]}
    return rows


def scores(nih: Features, phantoms: Features, share: float, draw: int) -> np.ndarray:
    """Of all training patients, by fits on a share of the others."""
    seen, out = nih.summaries[:, 0], np.zeros(len(nih.cases))
    for left in range(FOLDS):
        of = np.array([data.fold(case.patient, FOLDS) == left for case in nih.cases])
        some = nih.some(lambda case, left=left: kept(case, left, share, draw))
        weight, bias = spread.fit(some, phantoms, spread.Recipe())
        out[of] = seen[of] @ weight + bias
    return out


def kept(case, left: int, share: float, draw: int) -> bool:
    """Is the patient in this draw, and not of the fold that is scored?"""
    return data.fold(case.patient, FOLDS) != left and data.share(f"{case.patient}:part {draw}") < share


def span(values) -> str:
    """The mean of some figures, and their range."""
    return f"{np.mean(values):.3f} ({min(values)} to {max(values)})"

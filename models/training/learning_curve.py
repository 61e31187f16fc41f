"""What more patients of the same kind would bring: figures of fits on parts of the training patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import evaluate
from crossvalidate import SEED, Part, cross_validate
from features import Features

SHARES = (0.125, 0.25, 0.5, 1.0)
DRAWS = 3  # of patients and of the training's beginning


def curve(nih: Features, phantoms: Features, work: Path) -> dict:
    """By share of the training patients, each figure of the glance: mean, least and greatest of the draws.

    All training patients are scored, each by fits on the patients of the draw in the other folds.
    """
    rows = {}
    for share in SHARES:
        draws = []
        for seed in range(SEED, SEED + DRAWS):
            logits, _ = cross_validate(nih, phantoms, work, Part(share, seed)).both()
            draws.append(evaluate.headline(nih.cases, logits))
        rows[f"{100 * share:g} %"] = {name: spread([draw[name] for draw in draws]) for name in draws[0]}
    return rows


def spread(values) -> str:
    """The mean of some figures, and their range."""
    return f"{np.mean(values):.3f} ({min(values)} to {max(values)})"

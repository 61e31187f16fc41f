"""AUROC with intervals by patient, calibration and within-view comparisons."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def auroc(scores, positive) -> float:
    """Area under the ROC curve; ties count half. NaN when a class is missing."""
    scores, positive = np.asarray(scores, float), np.asarray(positive, bool)
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def redrawn(patients, draws, seed=7) -> np.ndarray:
    """How often each case is drawn when whole patients are, with replacement: [draws, cases]."""
    names, who = np.unique(np.asarray(patients), return_inverse=True)
    random = np.random.default_rng(seed)
    counts = np.zeros((draws, len(names)), np.float32)
    for row in counts:
        row += np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
    return counts[:, who]


def weighted_auroc(scores, positive, weight) -> np.ndarray:
    """AUROC for each row of `weight` [draws, cases]; NaN where a class is missing."""
    order = np.argsort(scores)
    positive, weight = positive[order], weight[:, order]
    above, below = weight * positive, np.cumsum(weight * ~positive, axis=1)
    pairs = above.sum(axis=1) * below[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (above * below).sum(axis=1) / pairs


def with_interval(scores, positive, patients, strata=None, draws=2000) -> dict:
    """AUROC with a 95 % bootstrap interval that draws whole patients.

    With `strata`, the mean of the AUROC within each.
    """
    scores, positive = np.asarray(scores, float), np.asarray(positive, bool)
    strata = np.zeros(len(scores), int) if strata is None else np.asarray(strata)
    parts = [strata == name for name in np.unique(strata)]
    value = np.mean([auroc(scores[of], positive[of]) for of in parts]) if parts else float("nan")
    low = high = float("nan")
    if draws and np.isfinite(value):
        weight = redrawn(patients, draws)
        values = [weighted_auroc(scores[of], positive[of], weight[:, of]) for of in parts]
        low, high = np.nanpercentile(np.mean(values, axis=0), [2.5, 97.5])
    return {
        "auroc": rounded(value),
        "interval95": [rounded(low), rounded(high)],
        "positives": int(positive.sum()),
        "negatives": int((~positive).sum()),
    }


def rounded(value, digits=3):
    """For JSON: NaN becomes null."""
    return round(float(value), digits) if np.isfinite(value) else None


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-np.asarray(z, float)))


def platt(logits, positive, prevalence: float) -> tuple[float, float]:
    """a, b of p = sigmoid(a z + b), fitted as if the cases had the given prevalence."""
    z, y = np.asarray(logits, float), np.asarray(positive, float)
    weight = np.where(y > 0.5, prevalence / y.mean(), (1 - prevalence) / (1 - y.mean()))
    # Targets slightly inside 0 and 1, as Platt (1999) has them.
    target = np.where(y > 0.5, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))
    a, b = 1.0, 0.0
    for _ in range(100):
        p = sigmoid(a * z + b)
        error, curve = weight * (p - target), weight * p * (1 - p) + 1e-9
        gradient = np.array([(error * z).sum(), error.sum()])
        hessian = np.array([[(curve * z * z).sum(), (curve * z).sum()], [(curve * z).sum(), curve.sum()]])
        step = np.linalg.solve(hessian, gradient)
        a, b = a - step[0], b - step[1]
        if np.abs(step).max() < 1e-10:
            break
    return float(a), float(b)


def paired(first, second, patients, draws=2000) -> dict:
    """Mean of `first` - `second` over cases, with a 95 % bootstrap interval that draws whole patients."""
    gap = np.asarray(first, float) - np.asarray(second, float)
    weight = redrawn(patients, draws)
    low, high = np.percentile((weight @ gap) / weight.sum(axis=1), [2.5, 97.5])
    return {"difference": rounded(gap.mean()), "interval95": [rounded(low), rounded(high)]}

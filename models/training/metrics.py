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


def with_interval(scores, positive, patients, draws=2000, seed=7) -> dict:
    """AUROC with a 95 % bootstrap interval that draws whole patients."""
    scores, positive = np.asarray(scores, float), np.asarray(positive, bool)
    _, who = np.unique(np.asarray(patients), return_inverse=True)
    count = who.max() + 1 if len(who) else 0
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(who == i) for i in range(count)]
    values = []
    for _ in range(draws if positive.any() and not positive.all() else 0):
        take = np.concatenate([members[i] for i in random.integers(0, count, count)])
        value = auroc(scores[take], positive[take])
        if np.isfinite(value):
            values.append(value)
    low, high = np.percentile(values, [2.5, 97.5]) if values else (float("nan"),) * 2
    return {
        "auroc": rounded(auroc(scores, positive)),
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

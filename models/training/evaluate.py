"""Figures: AUROC of honest comparisons, leaks, floors, calibration, and where the map points."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

import data
import metrics

BANDS = (0.30, 0.65)
MARKING = 0.50
REGION = 0.6  # share of the map's peak from which a place is marked
PREVALENCES = (0.05, 0.15, 0.50)
POOLED = "positives against everything else"
CLEAN = "one view, without the toned source"
OTHERS = "positives against other findings, mean of PA and AP"
NORMALS = "positives against normals, PA"
LEAKS = "leak probes (0.5 = no leak)"


class Columns:
    """What is known of NIH cases, as arrays."""

    def __init__(self, cases):
        self.positive = np.array([case.positive for case in cases])
        self.patients = np.array([case.patient for case in cases])
        self.rest = np.array([case.group[0] == "rest" for case in cases])
        self.view, self.sex, kind = (
            np.array([case.row[name] for case in cases]) for name in ("view", "sex", "cls")
        )
        self.age = np.array([int(case.row["age"]) for case in cases])
        self.pa, self.ap = self.view == "PA", self.view == "AP"
        self.other, self.normal, self.pneumonia = kind == "other", kind == "normal", kind == "pneumonia"


def comparisons(cases, scores, glance=False) -> dict:
    """Pooled, source-clean within a view, leak probes, by subgroup; a glance has less."""
    of, scores = Columns(cases), np.asarray(scores, float)

    def between(keep, truth=of.positive, strata=None):
        strata = None if strata is None else strata[keep]
        draws = 0 if glance else 2000
        return metrics.with_interval(scores[keep], truth[keep], of.patients[keep], strata, draws)

    everyone = np.ones(len(cases), bool)
    within_view = of.rest & (of.positive | of.other)
    out = {
        POOLED: between(everyone),
        CLEAN: {
            OTHERS: between(within_view, strata=of.view),
            "positives against other findings, PA": between(of.pa & within_view),
            "positives against other findings, AP": between(of.ap & within_view),
            NORMALS: between(of.rest & of.pa & (of.positive | of.normal)),
        },
        LEAKS: {
            "normals of the toned source against other normals, PA": between(of.normal & of.pa, ~of.rest),
            "AP against PA among positives": between(of.positive, of.ap),
            "AP against PA among other findings": between(of.other, of.ap),
        },
        "pneumonia against no finding, for the record": between(of.pneumonia | of.normal),
    }
    if not glance:
        out["subgroups"] = {
            "women": between(of.sex == "F"),
            "men": between(of.sex == "M"),
            "PA": between(of.pa),
            "AP": between(of.ap),
            "younger than 40": between(of.age < 40),
            "40 to 59": between((of.age >= 40) & (of.age < 60)),
            "60 and older": between(of.age >= 60),
        }
    return out


def headline(cases, scores) -> dict:
    """The AUROC that a glance needs, leaks beside them."""
    figures = comparisons(cases, scores, glance=True)
    clean = figures[CLEAN]
    rows = {POOLED: figures[POOLED], OTHERS: clean[OTHERS], NORMALS: clean[NORMALS]} | figures[LEAKS]
    return {name: row["auroc"] for name, row in rows.items()}


def ridge(x, y, val, strength) -> np.ndarray:
    """Scores of `val` by ridge regression on standardised features."""
    centre, unit = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, val = (x - centre) / unit, (val - centre) / unit
    weights = np.linalg.solve(x.T @ x + strength * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    return val @ weights


def brightness(cases) -> np.ndarray:
    """24 x 24 gray values of each image, standardised within it."""
    small = [data.read_gray(case.path).resize((24, 24), data.Image.Resampling.BILINEAR) for case in cases]
    x = np.stack([np.asarray(image, float).ravel() for image in small])
    return (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 1e-6)


def floors(train, val, trunk_train, trunk_val) -> dict:
    """What is won without learning to see: brightness layout, and ImageNet features fitted naively."""
    truth = np.array([case.positive for case in train], float)
    return {
        "24 x 24 brightness": ridge(brightness(train), truth, brightness(val), 0.3),
        "frozen ImageNet features, neither balanced nor without leaks": ridge(
            trunk_train, truth, trunk_val, 0.3
        ),
    }


def calibration(probabilities, positive, prevalence) -> dict:
    """How probabilities and bands hold up, weighted to the stated prevalence."""
    weight = np.where(positive, prevalence / positive.mean(), (1 - prevalence) / (1 - positive.mean()))
    return {
        "prevalence": prevalence,
        "expected calibration error, 10 equal bins": metrics.rounded(
            calibration_error(probabilities, positive, weight, np.floor(probabilities * 10))
        ),
        "expected calibration error, 8 bins of as many images": metrics.rounded(
            calibration_error(probabilities, positive, weight, octile(probabilities))
        ),
        "the same of a perfect model of as many images, mean": metrics.rounded(
            perfect_error(probabilities, positive, weight)
        ),
        "bands": bands(probabilities, positive, weight),
        "thresholds": {
            f"{100 * t:.0f} %": operating(probabilities >= t, positive) for t in (*BANDS, MARKING)
        },
    }


def octile(probabilities):
    return np.argsort(np.argsort(probabilities)) * 8 // len(probabilities)


def calibration_error(probabilities, positive, weight, bins) -> float:
    error = 0.0
    for name in np.unique(bins):
        of = bins == name
        gap = np.average(probabilities[of], weights=weight[of]) - np.average(positive[of], weights=weight[of])
        error += weight[of].sum() / weight.sum() * abs(gap)
    return error


def perfect_error(probabilities, positive, weight, draws=500) -> float:
    """What chance alone gives: truths drawn from the probabilities, measured the same way."""
    random = np.random.default_rng(7)
    prevalence = np.average(positive, weights=weight)
    # Odds at the cases' own prevalence, from which `weight` leads back to the stated one.
    share = positive.mean()
    odds = probabilities / (1 - probabilities) * (share / (1 - share)) * ((1 - prevalence) / prevalence)
    own, errors = odds / (1 + odds), []
    for _ in range(draws):
        truth = random.random(len(own)) < own
        again = np.where(truth, prevalence / truth.mean(), (1 - prevalence) / (1 - truth.mean()))
        errors.append(calibration_error(probabilities, truth, again, octile(probabilities)))
    return float(np.mean(errors))


def bands(probabilities, positive, weight) -> dict:
    edges = (0.0, *BANDS, 1.0 + 1e-9)
    out = {}
    for name, low, high in zip(("Low", "Medium", "High"), edges, edges[1:], strict=False):
        keep = (probabilities >= low) & (probabilities < high)
        share = weight[keep & positive].sum() / weight[keep].sum() if keep.any() else float("nan")
        out[name] = {
            "images": int(keep.sum()),
            "share of all positives": metrics.rounded(keep[positive].mean()),
            "positive share": metrics.rounded(share),
            "positive share at": {
                f"{100 * p:.0f} %": metrics.rounded(post(keep[positive].mean(), keep[~positive].mean(), p))
                for p in PREVALENCES
            },
        }
    return out


def operating(marked, positive) -> dict:
    """Sensitivity, specificity, and predictive values at each stated prevalence."""
    sensitivity, false = marked[positive].mean(), marked[~positive].mean()
    return {
        "sensitivity": metrics.rounded(sensitivity),
        "specificity": metrics.rounded(1 - false),
        "PPV at": {f"{100 * p:.0f} %": metrics.rounded(post(sensitivity, false, p)) for p in PREVALENCES},
        "NPV at": {
            f"{100 * p:.0f} %": metrics.rounded(1 - post(1 - sensitivity, 1 - false, p)) for p in PREVALENCES
        },
    }


def post(among_positives, among_negatives, prevalence) -> float:
    """Share of positives among those a rule picks, at a prevalence."""
    hits, false = among_positives * prevalence, among_negatives * (1 - prevalence)
    return hits / (hits + false) if hits + false > 0 else float("nan")


def opacity_cells(case) -> np.ndarray:
    """Cells of the map whose centre lies in opacity: a box someone drew, or a phantom's mask."""
    if case.mask is not None:
        mask = np.asarray(data.read_gray(case.mask).resize((data.CELLS * 8,) * 2)) > 127
        return mask.reshape(data.CELLS, 8, data.CELLS, 8).any(axis=(1, 3))
    centre = (np.arange(data.CELLS) + 0.5) / data.CELLS
    out = np.zeros((data.CELLS, data.CELLS), bool)
    for x, y, w, h in case.boxes:
        out |= np.outer((centre >= y) & (centre <= y + h), (centre >= x) & (centre <= x + w))
    return out


def best_dot(cases) -> tuple[int, int]:
    """The one cell that lies in most opacities."""
    return peak(np.sum([opacity_cells(case) for case in cases], axis=0))


def peak(values) -> tuple[int, int]:
    row, column = np.unravel_index(np.argmax(values), values.shape)
    return int(row), int(column)


def coarser(map_) -> np.ndarray:
    """The map at twice the stride, on the same cells."""
    half = data.CELLS // 2
    return map_.reshape(half, 2, half, 2).mean((1, 3)).repeat(2, 0).repeat(2, 1)


def pointing(cases, maps, dot) -> dict:
    """Pointing game against a fixed dot, overlap of the marked region, share of the map in the opacity."""
    known = [
        (case, map_, cells)
        for case, map_ in zip(cases, maps, strict=True)
        if (cells := opacity_cells(case)).any()
    ]
    hits, dots, overlap, share = [], [], [], []
    for _, map_, cells in known:
        evidence = np.maximum(gaussian_filter(np.maximum(map_, 0), 0.7), 0)
        hits.append(cells[peak(map_)])
        dots.append(cells[dot])
        region = evidence >= REGION * max(evidence.max(), 1e-9)
        overlap.append((region & cells).sum() / (region | cells).sum())
        share.append(evidence[cells].sum() / max(evidence.sum(), 1e-9))
    return {
        "images": len(known),
        "map's peak in the opacity": metrics.rounded(np.mean(hits)),
        "fixed dot in the opacity": metrics.rounded(np.mean(dots)),
        "map less dot": metrics.paired(hits, dots, [case.patient for case, _, _ in known]),
        "overlap of the marked region (intersection over union)": metrics.rounded(np.mean(overlap)),
        "share of the map in the opacity": metrics.rounded(np.mean(share)),
    }

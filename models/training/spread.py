"""Fits the spread reading: one system of linear equations on the means and deviations of the features over
the image.

There is neither a schedule nor an order of images to choose: the same features and the same patients
give the same weights, in a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import data
from network import SUMMARY


@dataclass(frozen=True)
class Recipe:
    """What a fit weighs. Chosen by cross-validation within the training patients."""

    ridge: float = 1.0  # on weights in units of each feature's deviation between images
    leak: float = 9.0  # squared gaps between groups that should not be told apart
    phantoms: float = 0.3  # their labels; the patients' weigh 1


def fit(nih, phantoms, recipe: Recipe) -> tuple[np.ndarray, float]:
    """Weights [SUMMARY] and bias from the features of the given training images."""
    seen = nih.summaries
    unit = 1 / (seen.reshape(-1, SUMMARY).std(axis=0) + 1e-6)
    weight = case_weights(nih.cases, data.nih_share)
    centre = np.einsum("c,cvf->f", weight, seen) / seen.shape[1]
    system = System(unit, centre)
    system.labels(nih.cases, seen, weight)
    computed = case_weights(phantoms.cases, data.evenly)
    system.labels(phantoms.cases, phantoms.summaries, recipe.phantoms * computed)
    groups = data.members(nih.cases)
    for a, b in data.LEAKS:
        if a in groups and b in groups:
            gap = seen[groups[a]].mean(axis=(0, 1)) - seen[groups[b]].mean(axis=(0, 1))
            system.gap(gap, recipe.leak)
    return system.solve(recipe.ridge)


def case_weights(cases, share) -> np.ndarray:
    """Of each case in the whole: groups count by `share`, cases of a group alike."""
    weight = np.zeros(len(cases))
    for group, at in data.members(cases).items():
        weight[at] = share(group) / len(at)
    return weight / weight.sum()


class System:
    """Normal equations of weighted least squares, the bias as last unknown."""

    def __init__(self, unit, centre):
        self.unit, self.centre = unit, centre
        self.left, self.right = np.zeros((SUMMARY + 1,) * 2), np.zeros(SUMMARY + 1)

    def labels(self, cases, seen, weight):
        """The score of each view should be its label, -1 or 1."""
        views = seen.shape[1]
        rows = (seen.reshape(-1, SUMMARY) - self.centre) * self.unit
        rows = np.column_stack([rows, np.ones(len(rows))])
        target = np.repeat([1.0 if case.positive else -1.0 for case in cases], views)
        weight = np.repeat(weight, views) / views
        self.left += rows.T @ (weight[:, None] * rows)
        self.right += rows.T @ (weight * target)

    def gap(self, gap, weight):
        """Two groups should have the same mean score."""
        row = np.append(gap * self.unit, 0.0)
        self.left += weight * np.outer(row, row)

    def solve(self, ridge) -> tuple[np.ndarray, float]:
        penalty = np.append(np.full(SUMMARY, ridge), 0.0)
        *weight, bias = np.linalg.solve(self.left + np.diag(penalty), self.right)
        weight = np.array(weight) * self.unit
        return weight, float(bias - self.centre @ weight)

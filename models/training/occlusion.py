"""Where a score comes from by covering parts of the image: compared with the class activation, never exported."""

from __future__ import annotations

import numpy as np

import data
import export

PATCH = 48  # pixels of the tensor, square: three cells


def maps(scorer: export.Scorer, cases) -> list[np.ndarray]:
    """For each case and cell, how much the logit falls when a patch around the cell has the image's mean."""
    return [falls(scorer, export.prepared(case)) for case in cases]


def falls(scorer: export.Scorer, pixels: np.ndarray) -> np.ndarray:
    """[CELLS, CELLS] of one tensor."""
    whole = scorer.run(pixels)[0][0, 0]
    fall = np.empty((data.CELLS, data.CELLS), np.float32)
    for row, column in np.ndindex(fall.shape):
        fall[row, column] = whole - scorer.run(covered(pixels, row, column))[0][0, 0]
    return fall


def covered(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
    cell = data.SIZE // data.CELLS
    top, left = (at * cell + (cell - PATCH) // 2 for at in (row, column))
    out = pixels.copy()
    out[..., max(top, 0) : top + PATCH, max(left, 0) : left + PATCH] = pixels.mean()
    return out

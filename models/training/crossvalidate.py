"""Both readings of every training image by fits that never saw its patient."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import data
import spread
import train
from features import Features
from network import MEMBERS, Head, Spots

FOLDS = 3
SEED = 1
# How much the spot reading varies between unseen patients beside the spread reading's 1 in the score: it tells
# opacities from other findings less well, and the map needs no more.
SPOTS_SHARE = 0.5


@dataclass
class Crossed:
    """Logits [case] of both readings, the spots' maps [case, CELLS, CELLS], each member's spot logits."""

    spots: np.ndarray
    spread: np.ndarray
    maps: np.ndarray
    members: np.ndarray  # [MEMBERS, case]

    def weights(self) -> tuple[float, float]:
        """By which the readings vary by their shares between patients that were not learnt from."""
        return SPOTS_SHARE / float(self.spots.std()), 1 / float(self.spread.std())

    def both(self) -> tuple[np.ndarray, np.ndarray]:
        """Logits and maps as the package has them."""
        a, b = self.weights()
        return a * self.spots + b * self.spread, a * self.maps


def cross_validate(nih: Features, phantoms: Features, work: Path) -> Crossed:
    count = len(nih.cases)
    shapes = (count, count, (count, data.CELLS, data.CELLS), (MEMBERS, count))
    out = Crossed(*(np.zeros(shape, np.float32) for shape in shapes))
    fold = np.array([data.fold(case.patient, FOLDS) for case in nih.cases])
    for left in range(FOLDS):
        spots, head = fit(nih, phantoms, left, work)
        at = np.flatnonzero(fold == left)
        plain = nih.values[at, 0].float()
        out.spots[at], out.spread[at], out.maps[at] = (part.numpy() for part in head.readings(plain))
        out.members[:, at] = spots(plain)[0][:, :, 0].T.numpy()
    return out


def fit(nih: Features, phantoms: Features, left: int | None, work: Path) -> tuple[Spots, Head]:
    """Both readings, unweighted, from the training patients but those of fold `left`."""
    some = nih.some(lambda case: data.fold(case.patient, FOLDS) != left)
    spots = trained(some, phantoms, work / f"spots-{'all' if left is None else left}.pt")
    return spots, Head(spots, spread.fit(some, phantoms, spread.Recipe()), 1.0, 1.0)


def trained(nih: Features, phantoms: Features, file: Path) -> Spots:
    """Reads `file` when it holds a training by this recipe on these images, else trains and writes it."""
    recipe = train.Recipe()
    of = {"recipe": asdict(recipe), "names": nih.names() + phantoms.names()}
    if file.exists():
        saved = torch.load(file, weights_only=True)
        if saved["of"] == of:
            spots = Spots(train.BESIDE)
            spots.load_state_dict(saved["state"])
            return spots.eval().requires_grad_(False)
    spots = train.train(nih, phantoms, recipe, SEED)
    torch.save({"of": of, "state": spots.state_dict()}, file)
    return spots

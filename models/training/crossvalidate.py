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
from network import MEMBERS, Spots, Trunk, pool

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


def cross_validate(trunk: Trunk, nih: Features, phantoms: Features, work: Path) -> Crossed:
    count = len(nih.cases)
    shapes = (count, count, (count, data.CELLS, data.CELLS), (MEMBERS, count))
    out = Crossed(*(np.zeros(shape, np.float32) for shape in shapes))
    fold = np.array([data.fold(case.patient, FOLDS) for case in nih.cases])
    for left in range(FOLDS):
        spots, (weight, bias) = fit(trunk, nih, phantoms, left, work)
        at = np.flatnonzero(fold == left)
        out.spread[at] = nih.summaries[at, 0] @ weight + bias
        for some in np.array_split(at, 16):
            logits, maps = spots(nih.early[some, 0].float())
            map_ = maps.mean(dim=1)
            out.members[:, some] = logits[:, :MEMBERS, 0].T
            out.spots[some], out.maps[some] = pool(map_) + spots.reading()[1], map_
    return out


def fit(trunk: Trunk, nih: Features, phantoms: Features, left: int | None, work: Path):
    """The spot reading, weights and bias of the spread reading, from the training patients but those of fold `left`."""
    some = nih.some(lambda case: data.fold(case.patient, FOLDS) != left)
    spots = trained(trunk, some, phantoms, work / f"spots-{'all' if left is None else left}.pt")
    return spots, spread.fit(some, phantoms, spread.Recipe())


def trained(trunk: Trunk, nih: Features, phantoms: Features, file: Path) -> Spots:
    """Reads `file` when it holds a training by this recipe on these images, else trains and writes it."""
    recipe = train.Recipe()
    of = {"recipe": asdict(recipe), "names": nih.names() + phantoms.names()}
    if file.exists():
        saved = torch.load(file, weights_only=True)
        if saved["of"] == of:
            spots = Spots(trunk, train.BESIDE)
            spots.load_state_dict(saved["state"])
            return spots.eval().requires_grad_(False)
    spots = train.train(trunk, nih, phantoms, recipe, SEED)
    torch.save({"of": of, "state": spots.state_dict()}, file)
    return spots

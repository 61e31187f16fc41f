"""How unlike the chest radiographs it was made for an image is: a distance in the trunk's own features.

Two depths of the trunk are averaged over 4 x 4 places each. Of what varies there between radiographs,
the strongest axes are kept; the distance takes each axis in units of its own deviation and everything
beside them in units of what is usual (the probabilistic form of principal components). It knows no
picture of anything else: nobody can list what may be sent under the name of a chest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

import data

# Block of the trunk, side and distance of the squares that are averaged: 4 x 4 of them at each depth.
DEPTHS = ((4, 10, 6), (10, 5, 3))
AXES = 100
# Of varied views of patients that a fit never saw, this share of each source keeps the limit: they stand in for
# other devices and other processing.
KEPT = 0.995
FOLDS = 3
# Much of Kermany looks alike: a part of its patients is enough.
KERMANY_SHARE = 0.25
VIEWS = 2  # the plain image and a varied one


@dataclass
class Seen:
    """Averages of the depths, [case, view, value]; view 0 is the image as deployment sees it."""

    cases: list
    values: np.ndarray

    def of_fold(self, number) -> np.ndarray:
        """Which cases are of patients of that fold."""
        return np.array([data.fold(case.patient, FOLDS) == number for case in self.cases])


def see(trunk, cases, seed, file) -> Seen:
    """Reads `file` when it holds these cases, else computes and writes it."""
    names = [str(case.path) for case in cases]
    if file.exists():
        with np.load(file) as saved:
            if saved["names"].tolist() == names and saved["values"].shape[1] == VIEWS:
                return Seen(cases, saved["values"])
    parts, views = [], data.views(cases, VIEWS, seed)
    while batch := [pixels for _, (pixels, _) in zip(range(32), views, strict=False)]:
        parts.append(averages(trunk, batch))
    values = np.concatenate(parts).reshape(len(cases), VIEWS, -1)
    np.savez(file, names=names, values=values)
    return Seen(cases, values)


def averages(trunk, pixels) -> np.ndarray:
    """Of images [SIZE, SIZE], 0 to 255, [image, value]."""
    x = torch.from_numpy(np.stack(pixels))[:, None].float() / 255
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        depths = trunk(x.to(memory_format=torch.channels_last), [block for block, *_ in DEPTHS])
    squares = [functional.avg_pool2d(x.float(), side, step) for x, (_, side, step) in zip(depths, DEPTHS, strict=True)]
    return torch.cat([square.flatten(1) for square in squares], dim=1).numpy()


class Familiarity:
    """The distance, in units of the limit: above 1 is unfamiliar."""

    def __init__(self, values, limit=1.0):
        values = values.astype(np.float64)
        self.limit, self.centre = limit, values.mean(axis=0)
        self.unit = 1 / (values.std(axis=0) + 1e-3)
        rows = (values - self.centre) * self.unit
        variances, axes = np.linalg.eigh(rows.T @ rows / len(rows))
        self.axes = axes[:, -AXES:]
        self.deviations = np.sqrt(variances[-AXES:])
        self.usual = np.median(self.parts(rows)[1])

    def parts(self, rows):
        """Places along the axes, and the mean square beside them."""
        along = rows @ self.axes
        beside = (np.square(rows).sum(axis=1) - np.square(along).sum(axis=1)) / rows.shape[1]
        return along, np.maximum(beside, 0)

    def of(self, values) -> np.ndarray:
        """Of averages [image, value]."""
        along, beside = self.parts((values - self.centre) * self.unit)
        return np.sqrt(np.square(along / self.deviations).mean(axis=1) + beside / self.usual) / self.limit

    def nodes(self, node, constant, blocks):
        """Adds the distance to a graph as `unfamiliarity` [1, 1]; `blocks` are the names of the trunk's outputs."""

        def mean_square(x, name):
            return node("ReduceMean", [node("Mul", [x, x], f"{name}_squared")], f"{name}_square", axes=[1], keepdims=1)

        flat = []
        for block, side, step in DEPTHS:
            shape = {"kernel_shape": [side] * 2, "strides": [step] * 2}
            square = node("AveragePool", [blocks[block]], f"places.{block}", **shape)
            flat.append(node("Flatten", [square], f"seen.{block}", axis=1))
        seen = node("Concat", flat, "seen", axis=1)
        centred = node("Sub", [seen, constant("seen.centre", self.centre[None])], "seen_centred")
        rows = node("Mul", [centred, constant("seen.unit", self.unit[None])], "seen_scaled")
        along = node("MatMul", [rows, constant("seen.axes", self.axes)], "along")
        scale = 1 / (self.deviations * self.limit)
        scaled = node("Mul", [along, constant("along.unit", scale[None])], "along_scaled")
        share = constant("along.share", [[AXES / len(self.centre)]])
        inside = node("Mul", [mean_square(along, "along"), share], "inside")
        beside = node("Relu", [node("Sub", [mean_square(rows, "seen"), inside], "outside")], "beside")
        beside = node("Mul", [beside, constant("beside.unit", [[1 / (self.usual * self.limit**2)]])], "beside_scaled")
        both = node("Add", [mean_square(scaled, "distance"), beside], "unfamiliarity_square")
        node("Sqrt", [both], "unfamiliarity")


def pooled(sources) -> np.ndarray:
    """All views of all cases of some [case, view, value], as [image, value]."""
    return np.concatenate([values.reshape(-1, values.shape[2]) for values in sources])


def fit(sources: dict[str, Seen]) -> tuple[Familiarity, dict]:
    """The distance with its limit, and how many images of each source are beyond it, by cross-validation."""
    distances = {name: np.zeros(seen.values.shape[:2]) for name, seen in sources.items()}
    for number in range(FOLDS):
        held = {name: seen.of_fold(number) for name, seen in sources.items()}
        model = Familiarity(pooled(seen.values[~held[name]] for name, seen in sources.items()))
        for name, seen in sources.items():
            for view in range(VIEWS):
                distances[name][held[name], view] = model.of(seen.values[held[name], view])
    limit = max(np.quantile(distance[:, 1:], KEPT) for distance in distances.values())
    declined = {}
    for name, distance in distances.items():
        declined[f"{name} training patients, cross-validated"] = count(distance[:, 0] > limit)
        declined[f"the same, varied in tone, sharpness and framing ({name})"] = count(distance[:, 1:].ravel() > limit)
    return Familiarity(pooled(seen.values for seen in sources.values()), limit), declined


def count(declined) -> str:
    """How many images, in words and as a share."""
    number, images = int(np.sum(declined)), len(declined)
    return f"{number} of {images} ({100 * number / images:.1f} %)"

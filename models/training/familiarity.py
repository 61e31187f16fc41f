"""How unlike the chest radiographs it was made for an image is: the larger of two measures, above 1 unfamiliar.

One is a distance in the trunk's own features. Two depths of the trunk are averaged over 4 x 4 places each. Of what
varies there between radiographs, the strongest axes are kept; the distance takes each axis in units of its own
deviation and everything beside them in units of what is usual (the probabilistic form of principal components). Its
limit is what nearly all chests keep.

The other is how little light and dark lie as in the mean chest, since features hardly tell a picture from its negative:
above 1 an image is more like the negative of a chest.

Neither knows a picture of anything else: nobody can list what may be sent under the name of a chest.
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
SQUARE = 32  # side of the squares of which the layout is made, in pixels
NOTHING = 1e-6  # added to their mean square: an image of one gray is as unlike as one without any relation
# Of varied views of patients that a fit never saw, this share of each source keeps the limit of the distance: they
# stand in for other devices and other processing.
KEPT = 0.995
FOLDS = 3
# Much of Kermany looks alike: a part of its patients is enough.
KERMANY_SHARE = 0.25
VIEWS = 2  # the plain image and a varied one


@dataclass
class Seen:
    """What the distance and the layout look at, [case, view, value]; view 0 is the image as deployment sees it."""

    cases: list
    depths: np.ndarray
    layouts: np.ndarray

    def folds(self) -> np.ndarray:
        """The fold of each case's patient."""
        return np.array([data.fold(case.patient, FOLDS) for case in self.cases])


def see(trunk, cases, seed, file) -> Seen:
    """Reads `file` when it holds these cases, else computes and writes it."""
    names = [str(case.path) for case in cases]
    if file.exists():
        with np.load(file) as saved:
            if saved["names"].tolist() == names and "layouts" in saved and saved["depths"].shape[1] == VIEWS:
                return Seen(cases, saved["depths"], saved["layouts"])
    parts, views = [], data.views(cases, VIEWS, seed)
    while batch := [pixels for _, (pixels, _) in zip(range(32), views, strict=False)]:
        parts.append(averages(trunk, batch))
    depths, layouts = (np.concatenate(part).reshape(len(cases), VIEWS, -1) for part in zip(*parts, strict=True))
    np.savez(file, names=names, depths=depths, layouts=layouts)
    return Seen(cases, depths, layouts)


def averages(trunk, pixels) -> tuple[np.ndarray, np.ndarray]:
    """Of images [SIZE, SIZE], 0 to 255, what each measure looks at, [image, value] each."""
    x = torch.from_numpy(np.stack(pixels))[:, None].float() / 255
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        depths = trunk(x.to(memory_format=torch.channels_last), [block for block, *_ in DEPTHS])
    squares = [functional.avg_pool2d(x.float(), side, step) for x, (_, side, step) in zip(depths, DEPTHS, strict=True)]
    layout = functional.avg_pool2d(x - x.mean(dim=(1, 2, 3), keepdim=True), SQUARE)
    return torch.cat([square.flatten(1) for square in squares], dim=1).numpy(), layout.flatten(1).numpy()


def mean_square(node, x, name) -> str:
    """Adds the mean square of the rows of `x` to a graph; its name."""
    return node("ReduceMean", [node("Mul", [x, x], f"{name}_squared")], f"{name}_square", axes=[1], keepdims=1)


class Distance:
    """In the trunk's features, in units of the limit."""

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

    def nodes(self, node, constant, blocks) -> str:
        """Adds it to a graph, [1, 1]; its name."""
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
        inside = node("Mul", [mean_square(node, along, "along"), share], "inside")
        beside = node("Relu", [node("Sub", [mean_square(node, rows, "seen"), inside], "outside")], "beside")
        beside = node("Mul", [beside, constant("beside.unit", [[1 / (self.usual * self.limit**2)]])], "beside_scaled")
        return node("Sqrt", [node("Add", [mean_square(node, scaled, "distance"), beside], "distance_sum")], "distance")


class Layout:
    """1 less the correlation of an image's squares with those of the mean chest."""

    def __init__(self, values):
        # The mean of all squares is 0 in each image, so in their mean too.
        mean = values.astype(np.float64).mean(axis=0)
        self.chest = mean / np.sqrt(np.square(mean).mean()) / len(mean)

    def of(self, values) -> np.ndarray:
        """Of squares [image, value]."""
        return 1 - values @ self.chest / np.sqrt(np.square(values).mean(axis=1) + NOTHING)

    def nodes(self, node, constant, image) -> str:
        """Adds it to a graph, [1, 1]; its name."""
        shape = {"kernel_shape": [SQUARE] * 2, "strides": [SQUARE] * 2}
        squares = node("Flatten", [node("AveragePool", [image], "squares", **shape)], "layout", axis=1)
        alike = node("MatMul", [squares, constant("layout.chest", self.chest[:, None])], "alike")
        square = mean_square(node, squares, "layout")
        some = node("Add", [square, constant("layout.nothing", [[NOTHING]])], "layout_some")
        correlation = node("Div", [alike, node("Sqrt", [some], "layout_size")], "correlation")
        return node("Sub", [constant("layout.whole", [[1.0]]), correlation], "unlike")


@dataclass
class Familiarity:
    """The larger of the measures: above 1 is unfamiliar."""

    distance: Distance
    layout: Layout

    def nodes(self, node, constant, image, blocks):
        """Adds it to a graph as `unfamiliarity` [1, 1]; takes names of the centred image and the trunk's outputs."""
        both = [self.distance.nodes(node, constant, blocks), self.layout.nodes(node, constant, image)]
        node("Max", both, "unfamiliarity")


def pooled(sources) -> np.ndarray:
    """All views of all cases of some [case, view, value], as [image, value]."""
    return np.concatenate([values.reshape(-1, values.shape[2]) for values in sources])


def fit(sources: dict[str, Seen]) -> tuple[Familiarity, dict]:
    """The measures, and how many images of each source are beyond either, by cross-validation."""
    folds = {name: seen.folds() for name, seen in sources.items()}
    depths = {name: seen.depths for name, seen in sources.items()}
    layouts = {name: seen.layouts for name, seen in sources.items()}
    distances, unlike = crossed(Distance, depths, folds), crossed(Layout, layouts, folds)
    limit = max(np.quantile(distance[:, 1:], KEPT) for distance in distances.values())
    declined = {}
    for name, distance in distances.items():
        beyond = (distance > limit) | (unlike[name] > 1)
        declined[f"{name} training patients, cross-validated"] = count(beyond[:, 0])
        declined[f"the same, varied in tone, sharpness and framing ({name})"] = count(beyond[:, 1:].ravel())
    return Familiarity(Distance(pooled(depths.values()), limit), Layout(pooled(layouts.values()))), declined


def crossed(kind, sources, folds) -> dict[str, np.ndarray]:
    """A measure of each view, [case, view], by fits that never saw its patient."""
    found = {name: np.zeros(values.shape[:2]) for name, values in sources.items()}
    for number in range(FOLDS):
        measure = kind(pooled(values[folds[name] != number] for name, values in sources.items()))
        for name, values in sources.items():
            held = folds[name] == number
            for view in range(VIEWS):
                found[name][held, view] = measure.of(values[held, view])
    return found


def count(declined) -> str:
    """How many images, in words and as a share."""
    number, images = int(np.sum(declined)), len(declined)
    return f"{number} of {images} ({100 * number / images:.1f} %)"

"""Features of plain and varied images, computed once and kept in a folder."""

from __future__ import annotations

import numpy as np
import torch

import data
from network import summary


class Features:
    """Trunk output of `count` views of each case, [case, view, CHANNELS, CELLS, CELLS] in half precision.

    View 0 is the image as deployment sees it, the others are varied. `place` says how much of each cell
    is known to be opacity, [case, view, CELLS, CELLS].
    """

    def __init__(self, cases, values, place):
        self.cases, self.values, self.place = cases, values, place

    def plain(self):
        """Features of the unvaried images, [case, CHANNELS, CELLS, CELLS]."""
        return self.values[:, 0].float()

    def summaries(self) -> np.ndarray:
        """Of each view over the image, [case, view, SUMMARY]."""
        parts = [summary(part.float()) for part in self.values.flatten(0, 1).split(256)]
        return torch.cat(parts).unflatten(0, self.values.shape[:2]).double().numpy()

    def names(self) -> list[str]:
        return [str(case.path) for case in self.cases]

    def some(self, keep):
        """The part of the cases for which `keep` holds."""
        at = [i for i, case in enumerate(self.cases) if keep(case)]
        return Features([self.cases[i] for i in at], self.values[at], self.place[at])


def features(trunk, cases, count, seed, file) -> Features:
    """Reads `file` when it holds these cases, else computes and writes it."""
    names = [str(case.path) for case in cases]
    if file.exists():
        saved = torch.load(file, weights_only=True)
        if saved["names"] == names and saved["values"].shape[1] == count:
            return Features(cases, saved["values"], saved["place"])
    values, places = [], []
    views = data.views(cases, count, seed)
    while batch := [view for _, view in zip(range(32), views, strict=False)]:
        values.append(run(trunk, [pixels for pixels, _ in batch]))
        places += [place for _, place in batch]
    shape = (len(cases), count)
    values = torch.cat(values).unflatten(0, shape)
    places = torch.from_numpy(np.stack(places)).unflatten(0, shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"names": names, "values": values, "place": places}, file)
    return Features(cases, values, places)


def run(trunk, pixels) -> torch.Tensor:
    """Features of images [SIZE, SIZE], 0 to 255."""
    x = torch.from_numpy(np.stack(pixels))[:, None].float() / 255
    # Half the precision is three times as fast and costs nothing here; figures come from the exported graph.
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        x = trunk(x.to(memory_format=torch.channels_last))
    return x.half()


def plain_summaries(trunk, cases) -> np.ndarray:
    """Of the unvaried images, [case, SUMMARY]."""
    pixels = [data.to_input(data.read_gray(case.path)) for case in cases]
    parts = [run(trunk, pixels[at : at + 32]) for at in range(0, len(pixels), 32)]
    return summary(torch.cat(parts).float()).numpy()

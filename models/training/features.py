"""Features of plain and varied images, computed once and kept in a folder."""

from __future__ import annotations

import numpy as np
import torch

import data
from network import EARLY, LAST, summary


class Features:
    """Views of each case as the trunk has them; view 0 is the image as deployment sees it, the others are varied.

    `early` is the output of the last early block, [case, view, channel, row, column] in half precision; `summaries` are
    those of the last block, [case, view, SUMMARY]; `place` says how much of each cell of the map is known to be
    opacity, [case, view, CELLS, CELLS].
    """

    def __init__(self, cases, early, summaries, place):
        self.cases, self.early, self.summaries, self.place = cases, early, summaries, place

    def names(self) -> list[str]:
        return [str(case.path) for case in self.cases]

    def some(self, keep):
        """The part of the cases for which `keep` holds."""
        at = [i for i, case in enumerate(self.cases) if keep(case)]
        return Features([self.cases[i] for i in at], self.early[at], self.summaries[at], self.place[at])


def features(trunk, cases, count, seed, file) -> Features:
    """Reads `file` when it holds these cases, else computes and writes it."""
    names = [str(case.path) for case in cases]
    if file.exists():
        saved = torch.load(file, weights_only=True)
        if saved["names"] == names and saved["early"].shape[1] == count:
            return Features(cases, saved["early"], saved["summaries"].numpy(), saved["place"])
    parts, places = [], []
    views = data.views(cases, count, seed)
    while batch := [view for _, view in zip(range(32), views, strict=False)]:
        parts.append(run(trunk, [pixels for pixels, _ in batch]))
        places += [place for _, place in batch]
    shape = (len(cases), count)
    early, summaries = (torch.cat(part).unflatten(0, shape) for part in zip(*parts, strict=True))
    places = torch.from_numpy(np.stack(places)).unflatten(0, shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"names": names, "early": early, "summaries": summaries, "place": places}, file)
    return Features(cases, early, summaries.numpy(), places)


def run(trunk, pixels) -> tuple[torch.Tensor, torch.Tensor]:
    """Output of the last early block, and summaries of the last, of images [SIZE, SIZE], 0 to 255."""
    x = torch.from_numpy(np.stack(pixels))[:, None].float() / 255
    # Half the precision is three times as fast and costs nothing here; figures come from the exported graph.
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        early, last = trunk(x.to(memory_format=torch.channels_last), [EARLY, LAST])
    return early.half(), summary(last.float()).double()


def plain_summaries(trunk, cases) -> np.ndarray:
    """Of the unvaried images, [case, SUMMARY]."""
    pixels = [data.to_input(data.read_gray(case.path)) for case in cases]
    parts = [run(trunk, pixels[at : at + 32])[1] for at in range(0, len(pixels), 32)]
    return torch.cat(parts).numpy()

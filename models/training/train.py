"""Trains the spot reading with its blocks on cached outputs of the early ones: members side by side, on one batch."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

import data
from features import Features
from network import Spots, Trunk

BESIDE = len(data.FINDINGS) + 1  # and any finding


@dataclass(frozen=True)
class Recipe:
    """What a training does. Chosen by cross-validation within the training patients."""

    epochs: int = 12
    batch: int = 32  # NIH views of a step
    phantoms: int = 11  # and beside them
    rate: float = 1.5e-3  # of new layers, at its peak
    rate_blocks: float = 5e-4  # of those that come from ImageNet
    decay: float = 0.05
    smoothing: float = 0.05  # of labels: patients' were mined from text and are often wrong, phantoms' soon learnt
    computed: float = 2.0  # weight of a phantom's label
    mixup: float = 0.4
    beside: float = 0.5  # weights of the losses beside the one that counts
    place: float = 0.2
    leak: float = 0.3


def train(trunk: Trunk, nih: Features, phantoms: Features, recipe: Recipe, seed: int) -> Spots:
    """The spot reading for the given training images."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    spots = Spots(trunk, BESIDE)
    spots.normalise(nih.early[::9, 1][:128].float())
    blocks = [weight for weight in spots.blocks.parameters() if weight.requires_grad]
    new = [weight for name, weight in spots.named_parameters() if not name.startswith("blocks.")]
    optimizer = torch.optim.AdamW([{"params": blocks}, {"params": new}], weight_decay=recipe.decay)
    steps, rates = recipe.epochs * (len(nih.cases) // recipe.batch), [recipe.rate_blocks, recipe.rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.15)
    averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    averaged = torch.optim.swa_utils.AveragedModel(spots, multi_avg_fn=averaging)
    sets = [
        Drawn(nih, recipe.batch, data.nih_share, random),
        Drawn(phantoms, recipe.phantoms, data.evenly, random),
    ]
    leaks = Leaks()
    for step in range(steps):
        batch = Batch(sets)
        batch.mirror(random)
        mixed = step % 2 == 1
        if mixed:
            batch.mix(recipe.mixup, random)
        logits, maps = spots(batch.early.to(memory_format=torch.channels_last))
        loss = loss_of(batch, logits, maps, recipe)
        if not mixed:
            loss = loss + recipe.leak * leaks.loss(logits[: recipe.batch, :, 0], batch.groups)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(spots.parameters(), 4.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(spots)
    return averaged.module.eval().requires_grad_(False)


def loss_of(batch, logits, maps, recipe):
    """Of the label, of findings beside it and of the places, summed over members."""

    def entropy(z, truth):
        truth = truth.unsqueeze(1).expand_as(z)
        return functional.binary_cross_entropy_with_logits(z, truth, reduction="none")

    label, weight = batch.positive * (1 - 2 * recipe.smoothing) + recipe.smoothing, torch.ones(len(batch.positive), 1)
    weight[batch.real :] = recipe.computed
    loss = (weight * entropy(logits[:, :, 0], label)).mean(dim=0).sum()
    beside = entropy(logits[:, :, 1:], batch.findings).mean(dim=2)
    beside = (beside * batch.known[:, None]).sum() / batch.known.sum().clamp(min=1)
    real = slice(0, batch.real)
    computed = slice(batch.real, None)
    place = place_loss(maps[real], batch.place[real]) + place_loss(maps[computed], batch.place[computed])
    return loss + recipe.beside * beside + recipe.place * place


def place_loss(maps, target):
    """Minus the log share of each map's softmax that lies on the target, where there is one."""
    known = target.flatten(1).sum(dim=1) > 0.3
    if not known.any():
        return maps.sum() * 0.0
    share = (maps[known].flatten(2).softmax(dim=2) * target[known].flatten(1)[:, None]).sum(dim=2)
    return -(share + 1e-4).log().mean(dim=0).sum()


class Leaks:
    """Draws the mean logits of groups together that differ in source or view alone."""

    def __init__(self):
        self.gap = defaultdict(float)  # running means: a batch holds too few of each to square its own

    def loss(self, logits, groups):
        total = logits.sum() * 0.0
        for pair in data.LEAKS:
            of = [[at for at, group in enumerate(groups) if group == name] for name in pair]
            if not all(of):
                continue
            gap = logits[of[0]].mean(dim=0) - logits[of[1]].mean(dim=0)
            self.gap[pair] = 0.8 * self.gap[pair] + 0.2 * gap.detach()
            total = total + (self.gap[pair] * gap).sum()
        return total


class Drawn:
    """Draws varied views of a set, groups by their shares."""

    def __init__(self, of: Features, count, share, random):
        self.of, self.count, self.random = of, count, random
        members = data.members(of.cases)
        self.members = [members[name] for name in sorted(members, key=str)]
        shares = np.array([share(name) for name in sorted(members, key=str)])
        self.shares = shares / shares.sum()
        self.positive = torch.tensor([float(case.positive) for case in of.cases])
        zeros = np.zeros(BESIDE, np.float32)
        found = [zeros if case.findings is None else case.findings for case in of.cases]
        self.findings = torch.from_numpy(np.stack(found))
        self.known = torch.tensor([float(case.findings is not None) for case in of.cases])

    def draw(self):
        """Numbers of cases and of their views."""
        groups = self.random.choice(len(self.members), self.count, p=self.shares)
        cases = [self.members[group][self.random.integers(len(self.members[group]))] for group in groups]
        return cases, self.random.integers(0, self.of.early.shape[1], self.count)


class Batch:
    """Views drawn from NIH, then phantoms."""

    def __init__(self, sets):
        draws = [(each, *each.draw()) for each in sets]
        self.early = torch.cat([each.of.early[at, view] for each, at, view in draws]).float()
        self.place = torch.cat([each.of.place[at, view] for each, at, view in draws])
        self.positive = torch.cat([each.positive[at] for each, at, _ in draws])
        self.findings = torch.cat([each.findings[at] for each, at, _ in draws])
        self.known = torch.cat([each.known[at] for each, at, _ in draws])
        first, at, _ = draws[0]
        self.groups = [first.of.cases[number].group for number in at]
        self.real = len(at)

    def mirror(self, random):
        """Exchanges left and right in half of the views."""
        some = torch.from_numpy(random.random(len(self.early)) < 0.5)
        self.early[some] = self.early[some].flip(3)
        self.place[some] = self.place[some].flip(2)

    def mix(self, strength, random):
        """Mixes features of real images, two and two; no places are taught on them then.

        Phantoms stay as they are: their labels are known.
        """
        part = torch.ones(len(self.early))
        part[: self.real] = torch.from_numpy(random.beta(strength, strength, self.real))
        other = torch.arange(len(self.early))
        other[: self.real] = torch.from_numpy(random.permutation(self.real))
        wide = part[:, None, None, None]
        self.early = wide * self.early + (1 - wide) * self.early[other]
        self.positive = part * self.positive + (1 - part) * self.positive[other]
        self.findings = part[:, None] * self.findings + (1 - part)[:, None] * self.findings[other]
        self.known = self.known * self.known[other]
        self.place[: self.real] = 0

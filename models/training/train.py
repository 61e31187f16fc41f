"""Trains the network of the package cxr-pneumonia and writes a checkpoint.

Augmented views of every image go once through the frozen early layers; their output is cached in
memory and the late layers are trained on it. See README.md for the commands.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import data
import metrics
from network import Network, load_imagenet


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nih", type=Path, required=True, help="NIH folder: images/, labels.csv")
    parser.add_argument("--kermany", type=Path, help="Kermany folder: images/, labels.csv")
    parser.add_argument("--phantoms", type=Path, help="phantom folder: labels.csv, PNGs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--init", type=Path, help="go on from this checkpoint")
    parser.add_argument("--cache", type=Path, help="keep the cached views here between runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--view-seed", type=int, default=11, help="another one gives other views")
    parser.add_argument("--views", type=int, default=6, help="augmented views of each NIH image")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-4, help="peak rate of pretrained layers")
    parser.add_argument("--new-rate", type=float, default=5.0, help="of new layers, times --rate")
    parser.add_argument("--hold", type=float, default=0.12, help="patients kept for calibration")
    parser.add_argument("--kermany-images", type=int, default=300, help="of each class")
    parser.add_argument("--findings-weight", type=float, default=0.5)
    parser.add_argument("--pointing-weight", type=float, default=0.2)
    parser.add_argument("--mixup", type=float, default=0.4)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


class Views:
    """Cached early-layer output of augmented views, with targets."""

    def __init__(self, cases, count, network, seed, name, folder):
        self.cases, self.count = cases, count
        total = len(cases) * count
        file = folder / f"{name}-{count}-{seed}.pt" if folder else None
        if file and file.exists():
            saved = torch.load(file, weights_only=True)
            if saved["paths"] == [c.path.name for c in cases]:
                self.early, self.number = saved["early"], saved["number"]
                self.map_index, self.map_target = saved["map_index"], saved["map_target"]
                self.finish()
                return
        side = data.SIZE // 8
        self.early = torch.empty(total, 40, side, side, dtype=torch.float16)
        self.number = torch.empty(total, dtype=torch.long)
        self.map_index = torch.empty(total, dtype=torch.long)
        self.map_target = torch.empty(total, data.CELLS, data.CELLS)
        began, at, pending = time.time(), 0, []
        for item in data.views(cases, count, seed):
            pending.append(item)
            if len(pending) == 32 or at + len(pending) == total:
                self.add(at, pending, network)
                at, pending = at + len(pending), []
        log(f"cached {total} views of {name} in {time.time() - began:.0f} s")
        if file:
            folder.mkdir(parents=True, exist_ok=True)
            fields = ("early", "number", "map_index", "map_target")
            saved = {key: getattr(self, key) for key in fields}
            torch.save(saved | {"paths": [c.path.name for c in cases]}, file)
        self.finish()

    def add(self, at, items, network):
        span = slice(at, at + len(items))
        pixels = torch.from_numpy(np.stack([item[1] for item in items]))[:, None].float() / 255
        self.early[span] = early(network, pixels).half()
        self.number[span] = torch.tensor([item[0] for item in items])
        self.map_index[span] = torch.tensor([item[2] for item in items])
        self.map_target[span] = torch.from_numpy(np.stack([item[3] for item in items]))

    def finish(self):
        self.positive = torch.tensor([float(c.positive) for c in self.cases])[self.number]
        zeros = np.zeros(len(data.FINDINGS), np.float32)
        labels = np.stack([zeros if c.findings is None else c.findings for c in self.cases])
        self.findings = torch.from_numpy(labels)[self.number]
        known = [float(c.findings is not None) for c in self.cases]
        self.findings_known = torch.tensor(known)[self.number]
        self.members = defaultdict(list)
        for at, number in enumerate(self.number.tolist()):
            self.members[self.cases[number].group].append(at)

    def draw(self, count, shares, random):
        """`count` views; `shares` maps a group to its part, the rest is split evenly."""
        groups = sorted(self.members, key=str)
        weight = np.array([shares(group) for group in groups], float)
        which = random.choice(len(groups), count, p=weight / weight.sum())
        return [self.members[groups[w]][random.integers(len(self.members[groups[w]]))] for w in which]


@torch.no_grad()
def early(network, pixels):
    return network.early(pixels.to(memory_format=torch.channels_last))


def log(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def plain_early(cases, network):
    """Early-layer output of the unvaried images, as deployment sees them."""
    out = []
    for at in range(0, len(cases), 32):
        some = [data.to_input(data.read_gray(c.path)) for c in cases[at : at + 32]]
        out.append(early(network, torch.from_numpy(np.stack(some))[:, None].float() / 255).half())
    return torch.cat(out)


@torch.no_grad()
def logits_of(network, cached):
    network.eval()
    parts = [
        network.late(cached[at : at + 64].float().to(memory_format=torch.channels_last))[0][:, 0]
        for at in range(0, len(cached), 64)
    ]
    return torch.cat(parts).numpy()


def figures(cases, logits) -> dict:
    """Quick figures on NIH cases: pooled, and within a view without the toned source."""
    positive = np.array([c.positive for c in cases])
    rest = np.array([c.group[0] == "rest" for c in cases])
    view = np.array([c.group[1] for c in cases])
    out = {"pooled": metrics.auroc(logits, positive)}
    for name in ("PA", "AP"):
        keep = rest & (view == name)
        out[f"rest_{name}"] = metrics.auroc(logits[keep], positive[keep])
    toned = ~rest & ~positive & (view == "PA")
    clean = rest & np.array([c.row["cls"] == "normal" for c in cases]) & (view == "PA")
    both = toned | clean
    out["leak_normals_PA"] = metrics.auroc(logits[both], toned[both])
    return {key: round(value, 3) for key, value in out.items()}


def pointing_loss(maps, index, target):
    """Minus the log share of the map's softmax that lies on the target, where a target is known."""
    keep = index >= 0
    if not keep.any():
        return maps.sum() * 0.0
    chosen = maps[keep, index[keep]].flatten(1)
    share = (chosen.softmax(dim=1) * target[keep].flatten(1)).sum(dim=1)
    return -(share + 1e-4).log().mean()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random = np.random.default_rng(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    network = Network(len(data.FINDINGS))
    load_imagenet(network)
    network = network.to(memory_format=torch.channels_last)

    cases = data.nih(args.nih, args.hold)
    train = [c for c in cases if c.split == "train"]

    def views(some, count, seed, name):
        return Views(some, count, network, args.view_seed + seed, name, args.cache)

    def evenly(_group):
        return 1.0

    # The views, how many of them in a batch, and how those are shared out among groups.
    sets = [(views(train, args.views, 0, "nih"), args.batch, data.nih_share)]
    if args.kermany:
        some = [c for c in data.kermany(args.kermany, args.kermany_images, 5) if c.split == "train"]
        few = max(2, args.batch // 8)
        sets.append((views(some, 2, 1, "kermany"), few, evenly))
    if args.phantoms:
        some = [c for c in data.phantoms(args.phantoms) if c.split == "train"]
        few = max(2, args.batch // 4)
        sets.append((views(some, 4, 2, "phantom"), few, evenly))
    hold = [c for c in cases if c.split == "hold"]
    hold_early = plain_early(hold, network)
    phantoms = [c for c in data.phantoms(args.phantoms) if c.split == "val"] if args.phantoms else []
    phantoms_early = plain_early(phantoms, network) if phantoms else None

    if args.init:
        network.load_state_dict(torch.load(args.init, weights_only=True))
    else:
        network.normalise_head(sets[0][0].early[::37][:256].float())
    pretrained, new = network.trained()
    optimizer = torch.optim.AdamW(
        [{"params": pretrained, "lr": args.rate}, {"params": new, "lr": args.rate * args.new_rate}],
        weight_decay=args.decay,
    )
    steps = args.epochs * (len(train) // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [args.rate, args.rate * args.new_rate], total_steps=steps, pct_start=0.15
    )
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    )
    began, history = time.time(), []
    for step in range(steps):
        network.train()
        parts = [(of, of.draw(count, share, random)) for of, count, share in sets]

        def joined(name, parts=parts):
            return torch.cat([getattr(of, name)[at] for of, at in parts])

        x = joined("early").float().to(memory_format=torch.channels_last)
        positive, findings = joined("positive"), joined("findings")
        known, map_index, map_target = joined("findings_known"), joined("map_index"), joined("map_target")
        if args.mixup > 0 and step % 2:
            # Mixing cached maps of two images; places are not taught on mixed ones. Phantoms stay
            # as they are: their labels are certain.
            mixed = sum(len(at) for of, at in parts if of.cases[0].dataset != "phantom")
            part = torch.ones(len(x))
            part[:mixed] = torch.from_numpy(random.beta(args.mixup, args.mixup, mixed))
            other = torch.arange(len(x))
            other[:mixed] = torch.from_numpy(random.permutation(mixed))
            x = part[:, None, None, None] * x + (1 - part)[:, None, None, None] * x[other]
            positive = part * positive + (1 - part) * positive[other]
            findings = part[:, None] * findings + (1 - part)[:, None] * findings[other]
            known = known * known[other]
            map_index[:mixed] = -1
        logits, maps = network.late(x)
        target = positive * 0.9 + 0.05
        loss = functional.binary_cross_entropy_with_logits(logits[:, 0], target)
        beside = functional.binary_cross_entropy_with_logits(logits[:, 1:], findings, reduction="none")
        beside = (beside.mean(dim=1) * known).sum() / known.sum().clamp(min=1)
        pointing = pointing_loss(maps, map_index, map_target)
        total = loss + args.findings_weight * beside + args.pointing_weight * pointing
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_([*pretrained, *new], 2.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
        history.append((loss.item(), beside.item(), pointing.item()))
        if (step + 1) % (steps // args.epochs) == 0:
            epoch = (step + 1) // (steps // args.epochs)
            means = np.mean(history, axis=0).round(3).tolist()
            seen = figures(hold, logits_of(averaged.module, hold_early))
            if phantoms:
                truth = [c.positive for c in phantoms]
                z = logits_of(averaged.module, phantoms_early)
                seen["phantoms"] = round(metrics.auroc(z, truth), 3)
            log(f"epoch {epoch} {time.time() - began:.0f} s loss {means} hold {seen}")
            history = []
            state = averaged.module.state_dict()
            torch.save(state, args.out / "checkpoint.pt")
    settings = {k: v for k, v in vars(args).items() if not isinstance(v, Path)}
    (args.out / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()

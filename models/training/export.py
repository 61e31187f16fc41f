"""Turns a checkpoint into the package: graph, calibration, self-test, figures, card.

Every figure is computed from the exported graph by onnxruntime on images prepared as deployment
prepares them. NIH validation patients are used for figures alone; calibration uses patients kept
out of training. See README.md for the commands.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from string import Template

import numpy as np
import onnx
import onnxruntime
import torch

import card
import data
import evaluate
import metrics
from network import FROZEN_BLOCKS, Network, load_imagenet, to_onnx

HERE = Path(__file__).parent
# A new one for every released set of weights.
DEVICE_UID = "2.25.286581495492877628996124520269175087516"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, nargs="+", help="one, or several to average"
    )
    parser.add_argument("--nih", type=Path, required=True)
    parser.add_argument("--kermany", type=Path)
    parser.add_argument("--phantoms", type=Path)
    parser.add_argument("--package", type=Path, required=True, help="folder of the package")
    parser.add_argument("--hold", type=float, default=0.12, help="as in training")
    parser.add_argument("--prevalence", type=float, default=0.5, help="that probabilities are stated for")
    return parser.parse_args()


def load(paths) -> Network:
    """The network with the mean of the given checkpoints' weights."""
    states = [torch.load(path, weights_only=True) for path in paths]
    network = Network(len(data.FINDINGS))
    network.load_state_dict({k: sum(s[k] for s in states) / len(states) for k in states[0]})
    return network.eval()


class Scorer:
    """Runs the exported graph."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        graph = onnx.load(path).graph
        weights = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
        self.cam = weights["classifier.weight"][0, :, 0, 0]

    def run(self, pixels: np.ndarray):
        """Logit and the raw map, relu(sum of weight times feature), of one tensor."""
        logits, features = self.session.run(["logits", "features"], {"input": pixels})
        return logits, np.maximum(np.tensordot(self.cam, features[0], 1), 0)

    def case(self, case):
        pixels = data.to_input(data.read_gray(case.path)).astype(np.float32)[None, None] / 255
        logits, cam = self.run(pixels)
        return float(logits[0, 0]), cam

    def cases(self, cases):
        results = [self.case(case) for case in cases]
        return np.array([r[0] for r in results]), [r[1] for r in results]


def trunk_features(cases) -> np.ndarray:
    """Mean over the image of each ImageNet feature, untouched by training: [case, channel]."""
    network = Network(0)
    load_imagenet(network)
    network = network.to(memory_format=torch.channels_last)
    means = []
    for at in range(0, len(cases), 32):
        pixels = np.stack([data.to_input(data.read_gray(case.path)) for case in cases[at : at + 32]])
        x = torch.from_numpy(pixels)[:, None].float() / 255
        # Half the precision is three times as fast and a floor needs no more.
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            x = network.early(x.to(memory_format=torch.channels_last))
            for block in network.blocks[FROZEN_BLOCKS:]:
                x = block(x)
        means.append(x.float().mean(dim=(2, 3)).numpy())
    return np.concatenate(means)


def phantom_check(cases, probabilities, maps) -> dict:
    """Do the demo's images land where the demo says? Not a figure of merit."""
    positive = np.array([case.positive for case in cases])
    hits = [
        evaluate.opacity_cells(case)[evaluate.peak(map_)]
        for case, map_ in zip(cases, maps, strict=True)
        if case.mask is not None
    ]
    return {
        "held-out phantoms with opacity": int(positive.sum()),
        "of them at 50 % or more": int((probabilities[positive] >= evaluate.MARKING).sum()),
        "held-out phantoms without": int((~positive).sum()),
        "of them below 30 %": int((probabilities[~positive] < evaluate.BANDS[0]).sum()),
        "map's peak inside the opacity": f"{int(np.sum(hits))} of {len(hits)}",
    }


def pattern() -> np.ndarray:
    """A thorax of ellipses with one opacity, [1, 1, SIZE, SIZE]: the self-test shows no patient."""
    y, x = np.mgrid[0 : data.SIZE, 0 : data.SIZE] / data.SIZE

    def ellipse(cx, cy, rx, ry):
        outside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 - 1
        return metrics.sigmoid(-12 * np.minimum(outside, 50))

    image = 0.15 + 0.6 * ellipse(0.5, 0.55, 0.46, 0.62)
    image -= 0.45 * (ellipse(0.30, 0.45, 0.14, 0.30) + ellipse(0.70, 0.45, 0.14, 0.30))
    image += 0.25 * ellipse(0.32, 0.58, 0.08, 0.09) + 0.04 * np.sin(60 * y + 6 * np.abs(x - 0.5))
    return np.clip(image, 0, 1).astype(np.float32)[None, None]


def write_selftest(package, scorer, platt, full_scale) -> float:
    """Writes input and expected outputs; returns the expected probability."""
    folder = package / "selftest"
    folder.mkdir(exist_ok=True)
    pixels = pattern()
    logits, cam = scorer.run(pixels)
    for name, array in (
        ("input", pixels),
        ("output", logits),
        ("maps", np.minimum(cam / full_scale, 1)[None]),
    ):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array, np.float32))
    return float(metrics.sigmoid(platt[0] * logits[0, 0] + platt[1]))


def main():
    args = arguments()
    torch.set_num_threads(1)
    args.package.mkdir(parents=True, exist_ok=True)
    network = load(args.checkpoint)
    path = args.package / "model.onnx"
    path.write_bytes(to_onnx(network, data.SIZE).SerializeToString(deterministic=True))
    scorer = Scorer(path)

    probe = np.random.default_rng(0).random((1, 1, data.SIZE, data.SIZE), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(probe))[0][0, 0].item()
    difference = abs(scorer.run(probe)[0][0, 0] - expected)
    if difference > 1e-3:
        raise SystemExit(f"the graph differs from the network by {difference}")

    nih = data.nih(args.nih, args.hold)
    split = {name: [c for c in nih if c.split == name] for name in ("train", "hold", "val")}

    hold_logits, hold_cams = scorer.cases(split["hold"])
    hold_positive = np.array([c.positive for c in split["hold"]])
    platt = metrics.platt(hold_logits, hold_positive, args.prevalence)
    if platt[0] <= 0:
        raise SystemExit("calibration found no relation between logit and truth")

    platt = tuple(round(v, 6) for v in platt)
    figures = {"images": {name: len(cases) for name, cases in split.items()}}
    figures["images"]["val patients"] = len({case.patient for case in split["val"]})
    figures["images"]["train under 18"] = sum(int(case.row["age"]) < 18 for case in split["train"])
    logits, maps = scorer.cases(split["val"])
    scored = {
        card.VALIDATION: (split["val"], logits, maps),
        card.HELD: (split["hold"], hold_logits, hold_cams),
    }
    dot = evaluate.best_dot(split["train"])
    floors = evaluate.floors(
        split["train"],
        split["hold"] + split["val"],
        trunk_features(split["train"]),
        trunk_features(split["hold"] + split["val"]),
    )
    figures["floors"], figures["calibration"], figures["pointing"] = {}, {"platt": platt}, {}
    for name, (cases, z, cams) in scored.items():
        figures[name] = evaluate.comparisons(cases, z)
        part = slice(len(split["hold"]), None) if name == card.VALIDATION else slice(len(split["hold"]))
        for floor, scores in floors.items():
            row = evaluate.comparisons(cases, scores[part], glance=True)
            figures["floors"][f"{floor}, {name}"] = evaluate.headline(row)
        truth = np.array([case.positive for case in cases])
        probabilities = metrics.sigmoid(platt[0] * z + platt[1])
        figures["calibration"][name] = evaluate.calibration(probabilities, truth, args.prevalence)
        figures["pointing"][name] = evaluate.pointing(cases, cams, dot)
    if args.kermany:
        cases = [c for c in data.kermany(args.kermany, 0, 0) if c.split == "val"]
        figures[card.PAEDIATRIC] = metrics.with_interval(
            scorer.cases(cases)[0], [c.positive for c in cases], [c.patient for c in cases]
        )
    if args.phantoms:
        phantoms = [c for c in data.phantoms(args.phantoms) if c.split == "val"]
        z, cams = scorer.cases(phantoms)
        probabilities = metrics.sigmoid(platt[0] * z + platt[1])
        figures[card.PHANTOMS] = phantom_check(phantoms, probabilities, cams)
        figures["pointing"]["phantoms"] = evaluate.pointing(phantoms, cams, dot)

    peaks = [cam.max() for cam, truth in zip(hold_cams, hold_positive, strict=True) if truth]
    full_scale = round(float(np.median(peaks)), 3)
    probability = write_selftest(args.package, scorer, platt, full_scale)
    fields = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "device_uid": DEVICE_UID,
        "size": data.SIZE,
        "platt_a": platt[0],
        "platt_b": platt[1],
        "full_scale": full_scale,
        "probability": round(probability, 6),
    }
    text = Template((HERE / "model.toml.in").read_text()).substitute(fields)
    (args.package / "model.toml").write_text(text)
    (HERE / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (args.package / "MODEL_CARD.md").write_text(card.text(figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

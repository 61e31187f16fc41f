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

import data
import metrics
from network import Network, to_onnx

HERE = Path(__file__).parent
# A new one for every released set of weights.
DEVICE_UID = "2.25.286581495492877628996124520269175087516"
BANDS = (0.30, 0.65)
MARKING = 0.50


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


def brightness_floor(train, val) -> float:
    """AUROC of ridge regression on 24 x 24 gray values: what layout of brightness alone gives."""

    def features(cases):
        small = [data.read_gray(c.path).resize((24, 24), data.Image.Resampling.BILINEAR) for c in cases]
        x = np.stack([np.asarray(im, np.float64).ravel() for im in small])
        return (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 1e-6)

    x, y = features(train), np.array([c.positive for c in train], float)
    centre = x.mean(axis=0)
    x = x - centre
    weights = np.linalg.solve(x.T @ x + 300.0 * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    return metrics.auroc((features(val) - centre) @ weights, [c.positive for c in val])


def nih_figures(cases, logits) -> dict:
    """Pooled, honest, by subgroup, and the leak probes."""
    column = {key: np.array([c.row[key] for c in cases]) for key in ("cls", "sex", "view", "age")}
    positive = np.array([c.positive for c in cases])
    rest = np.array([c.group[0] == "rest" for c in cases])
    patients = np.array([c.patient for c in cases])
    everyone = np.ones(len(cases), bool)
    age = column["age"].astype(int)
    pa, ap = column["view"] == "PA", column["view"] == "AP"
    other, normal = column["cls"] == "other", column["cls"] == "normal"

    def between(keep, truth=positive):
        return metrics.with_interval(logits[keep], truth[keep], patients[keep])

    honest = {
        "positives against other findings, PA": between(rest & pa & (positive | other)),
        "positives against other findings, AP": between(rest & ap & (positive | other)),
        "positives against normals, PA": between(rest & pa & (positive | normal)),
        "positives against everything else, PA": between(rest & pa),
        "positives against everything else, AP": between(rest & ap),
    }
    subgroups = {
        "women": between(column["sex"] == "F"),
        "men": between(column["sex"] == "M"),
        "PA": between(pa),
        "AP": between(ap),
        "younger than 40": between(age < 40),
        "40 to 59": between((age >= 40) & (age < 60)),
        "60 and older": between(age >= 60),
    }
    leaks = {
        "normals of the toned source against other normals, PA": between(normal & pa, ~rest),
        "AP against PA among positives": between(positive, ap),
        "AP against PA among other findings": between(other, ap),
    }
    return {
        "positives against everything else": between(everyone),
        "one view, without the toned source": honest,
        "pneumonia against no finding, for the record": between((column["cls"] == "pneumonia") | normal),
        "subgroups": subgroups,
        "leak probes (0.5 = no leak)": leaks,
    }


def calibration_figures(probabilities, positive, prevalence) -> dict:
    """How probabilities and bands hold up, weighted to the stated prevalence."""
    weight = np.where(positive, prevalence / positive.mean(), (1 - prevalence) / (1 - positive.mean()))
    edges = (0.0, *BANDS, 1.0 + 1e-9)
    bands = {}
    for name, low, high in zip(("Low", "Medium", "High"), edges, edges[1:], strict=False):
        keep = (probabilities >= low) & (probabilities < high)
        share = weight[keep & positive].sum() / weight[keep].sum() if keep.any() else float("nan")
        bands[name] = {"images": int(keep.sum()), "positive share": metrics.rounded(share)}
    order = np.argsort(probabilities)
    error = 0.0
    for part in np.array_split(order, 8):
        w = weight[part]
        gap = np.average(probabilities[part], weights=w) - np.average(positive[part], weights=w)
        error += w.sum() / weight.sum() * abs(gap)
    marked = probabilities >= MARKING
    return {
        "prevalence": prevalence,
        "expected calibration error": metrics.rounded(error),
        "bands": bands,
        "at the marking threshold": {
            "sensitivity": metrics.rounded(marked[positive].mean()),
            "specificity": metrics.rounded((~marked[~positive]).mean()),
        },
    }


def phantom_check(cases, probabilities, cams) -> dict:
    """Do the demo's images land where the demo says? Not a figure of merit."""
    positive = np.array([c.positive for c in cases])
    hits = []
    for case, cam in zip(cases, cams, strict=True):
        if case.mask is None:
            continue
        mask = np.asarray(data.read_gray(case.mask).resize((224, 224)))
        row, column = np.unravel_index(cam.argmax(), cam.shape)
        hits.append(mask[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16].max() > 127)
    return {
        "held-out phantoms with opacity": int(positive.sum()),
        "of them at 50 % or more": int((probabilities[positive] >= MARKING).sum()),
        "held-out phantoms without": int((~positive).sum()),
        "of them below 30 %": int((probabilities[~positive] < BANDS[0]).sum()),
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


def flat(figures, prefix=""):
    """Rows (name, figure) of the nested AUROC figures."""
    for key, value in figures.items():
        if isinstance(value, dict) and "auroc" in value:
            yield prefix + key, value
        elif isinstance(value, dict):
            yield from flat(value, f"{key}: ")


def table(figures) -> str:
    lines = ["| comparison | AUROC | 95 % interval | positives / negatives |", "|---|---|---|---|"]
    for name, f in flat(figures):
        low, high = f["interval95"]
        lines.append(f"| {name} | {f['auroc']} | {low} to {high} | {f['positives']} / {f['negatives']} |")
    return "\n".join(lines)


def bands_table(calibration) -> str:
    lines = ["| band | images | positive share at the stated prevalence |", "|---|---|---|"]
    for name, band in calibration["bands"].items():
        lines.append(f"| {name} | {band['images']} | {band['positive share']} |")
    return "\n".join(lines)


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

    logits, _ = scorer.cases(split["val"])
    positive = np.array([c.positive for c in split["val"]])
    figures = {"NIH validation": nih_figures(split["val"], logits)}
    figures["NIH validation"]["floor, 24 x 24 brightness"] = metrics.rounded(
        brightness_floor(split["train"], split["val"])
    )
    platt = tuple(round(v, 6) for v in platt)
    probabilities = metrics.sigmoid(platt[0] * logits + platt[1])
    figures["calibration"] = calibration_figures(probabilities, positive, args.prevalence)
    figures["calibration"]["platt"] = {"a": platt[0], "b": platt[1]}
    if args.kermany:
        cases = [c for c in data.kermany(args.kermany, 0, 0) if c.split == "val"]
        truth = [c.positive for c in cases]
        figures["Kermany validation (proves little)"] = metrics.with_interval(
            scorer.cases(cases)[0], truth, [c.patient for c in cases]
        )
    check = {}
    if args.phantoms:
        phantoms = [c for c in data.phantoms(args.phantoms) if c.split == "val"]
        z, cams = scorer.cases(phantoms)
        check = phantom_check(phantoms, metrics.sigmoid(platt[0] * z + platt[1]), cams)
        figures["demo check (phantoms, no figure)"] = check

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
    nih_rows = figures["NIH validation"]
    card = {
        "pooled": "{auroc} ({interval95[0]} to {interval95[1]})".format(
            **nih_rows["positives against everything else"]
        ),
        "table": table(figures["NIH validation"]),
        "floor": nih_rows["floor, 24 x 24 brightness"],
        "kermany": figures.get("Kermany validation (proves little)", {}).get("auroc", "not measured"),
        "bands": bands_table(figures["calibration"]),
        "calibration_error": figures["calibration"]["expected calibration error"],
        "sensitivity": figures["calibration"]["at the marking threshold"]["sensitivity"],
        "specificity": figures["calibration"]["at the marking threshold"]["specificity"],
        "train": len(split["train"]),
        "hold": len(split["hold"]),
        "val": len(split["val"]),
        "val_patients": len({c.patient for c in split["val"]}),
        "phantoms": "; ".join(f"{key}: {value}" for key, value in check.items()),
    }
    (args.package / "MODEL_CARD.md").write_text(
        Template((HERE / "MODEL_CARD.md.in").read_text()).substitute(card)
    )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

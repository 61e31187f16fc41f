"""Writes the package: graph, manifest with calibration, self-test."""

from __future__ import annotations

import hashlib
from pathlib import Path
from string import Template

import numpy as np
import onnx
import onnxruntime
import torch

import data
import evaluate
import metrics
from network import EARLY, LAST, to_onnx

HERE = Path(__file__).parent
VERSION = "0.6.1"
# A new one for every released set of weights.
DEVICE_UID = "2.25.155302671498900625045614294997555518286"


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
        """Logit and the map, sum of weight times feature, of one tensor."""
        logits, features = self.session.run(["logits", "features"], {"input": pixels})
        return logits, np.tensordot(self.cam, features[0], 1)

    def unfamiliarity(self, pixels: np.ndarray) -> float:
        """Of one tensor, in units of the limit."""
        return float(self.session.run(["unfamiliarity"], {"input": pixels})[0][0, 0])

    def cases(self, cases):
        """Logits and maps of images prepared as deployment prepares them."""
        logits, maps = [], []
        for case in cases:
            logit, map_ = self.run(prepared(case))
            logits.append(float(logit[0, 0]))
            maps.append(map_)
        return np.array(logits), maps


def prepared(case) -> np.ndarray:
    """The tensor of an image, as deployment prepares it."""
    return data.to_input(data.read_gray(case.path))[None, None] / 255


def write(package: Path, trunk, head, level, familiar, platt, full_scale) -> Scorer:
    """Everything but the card, which needs figures that need the graph."""
    package.mkdir(parents=True, exist_ok=True)
    path = package / "model.onnx"
    path.write_bytes(to_onnx(trunk, head, level, familiar, data.SIZE).SerializeToString(deterministic=True))
    scorer = Scorer(path)
    probe = np.random.default_rng(0).random((1, 1, data.SIZE, data.SIZE), np.float32)
    with torch.no_grad():
        expected = head(*trunk(torch.from_numpy(probe), [EARLY, LAST]))[0].item()
    difference = abs(scorer.run(probe)[0][0, 0] - expected)
    if difference > 1e-3:
        raise SystemExit(f"the graph differs from the network by {difference}")
    fields = {
        "version": VERSION,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "device_uid": DEVICE_UID,
        "size": data.SIZE,
        "platt_a": platt[0],
        "platt_b": platt[1],
        "full_scale": full_scale,
        "region": evaluate.REGION,
        "probability": round(write_selftest(package, scorer, platt, full_scale), 6),
        "unfamiliarity": round(scorer.unfamiliarity(pattern()), 4),
    }
    text = Template((HERE / "model.toml.in").read_text()).substitute(fields)
    (package / "model.toml").write_text(text)
    return scorer


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
    logits, map_ = scorer.run(pixels)
    for name, array in (
        ("input", pixels),
        ("output", logits),
        ("maps", np.maximum(map_, 0)[None] / max(full_scale, map_.max())),
    ):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array, np.float32))
    return float(metrics.sigmoid(platt[0] * logits[0, 0] + platt[1]))

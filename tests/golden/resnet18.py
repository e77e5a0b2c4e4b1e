"""A ResNet-18 with weights from their names, in PyTorch's functions (README.md)."""

import numpy
import torch
import torch.nn.functional as functional
from formula import uniform, weight

LAYERS = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]


def weights(seed):
    """Of its convolutions and batch normalisations."""
    named = {}

    def convolution(conv, norm, out, into, kernel):
        named[f"{conv}.weight"] = weight(f"{conv}.weight", (out, into, kernel, kernel), seed)
        for part in ("weight", "bias", "running_mean", "running_var"):
            named[f"{norm}.{part}"] = weight(f"{norm}.{part}", (out,), seed)

    convolution("conv1", "bn1", 64, 3, 7)
    for number, (into, out, stride) in enumerate(LAYERS, 1):
        for block in (0, 1):
            first = f"layer{number}.{block}"
            convolution(f"{first}.conv1", f"{first}.bn1", out, into if block == 0 else out, 3)
            convolution(f"{first}.conv2", f"{first}.bn2", out, out, 3)
            if block == 0 and stride == 2:
                convolution(f"{first}.downsample.0", f"{first}.downsample.1", out, into, 1)
    return named


def convolution(named, x, conv, norm, stride, train):
    """With its batch normalisation."""
    kernel = named[f"{conv}.weight"]
    x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[2] // 2)
    mean, var = named[f"{norm}.running_mean"], named[f"{norm}.running_var"]
    return functional.batch_norm(x, mean, var, named[f"{norm}.weight"], named[f"{norm}.bias"], train, 0.1, 1e-5)


def layer(named, x, number, train):
    """One of the layers 1 to 4."""
    for block in (0, 1):
        first, stride = f"layer{number}.{block}", LAYERS[number - 1][2] if block == 0 else 1
        y = convolution(named, x, f"{first}.conv1", f"{first}.bn1", stride, train).relu()
        y = convolution(named, y, f"{first}.conv2", f"{first}.bn2", 1, train)
        if f"{first}.downsample.0.weight" in named:
            x = convolution(named, x, f"{first}.downsample.0", f"{first}.downsample.1", stride, train)
        x = (x + y).relu()
    return x


def feature_maps(named, x, train):
    """The outputs of layers 1 to 4."""
    x = functional.max_pool2d(convolution(named, x, "conv1", "bn1", 2, train).relu(), 3, 2, 1)
    maps = []
    for number in range(1, 5):
        x = layer(named, x, number, train)
        maps.append(x)
    return maps


def pictures(size, seed):
    """Noise between -1 and 1."""
    values = 2 * uniform("images", int(numpy.prod(size)), seed).astype(numpy.float32) - 1
    return torch.from_numpy(values).reshape(size)


def samples(tensors, count, seed):
    """The length of each tensor, and its values at `count` places that follow from its name."""
    sampled = {}
    for name, tensor in tensors.items():
        places = (uniform(f"sample/{name}", count, seed) * tensor.numel()).astype(int)
        sampled[name] = {"length": float(tensor.norm()), "values": [float(tensor.flatten()[place]) for place in places]}
    return sampled


def largest_differences(tensors, others):
    """The five tensors that differ most, with the share of their length."""
    off = {name: float((others[name] - tensor).norm() / tensor.norm()) for name, tensor in tensors.items()}
    return sorted(off.items(), key=lambda entry: -entry[1])[:5]

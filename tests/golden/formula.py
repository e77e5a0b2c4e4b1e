"""Numbers and weights from their names and a seed, as src/frames/formula.rs computes them (README.md)."""

import hashlib

import numpy
import torch


def uniform(name, count, seed):
    state = numpy.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") ^ seed)
    with numpy.errstate(over="ignore"):
        x = state + numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    x = x ^ (x >> numpy.uint64(31))
    return (x >> numpy.uint64(40)).astype(numpy.float64) / 2**24


def weight(name, size, seed):
    u = uniform(name, int(numpy.prod(size)), seed)
    if len(size) == 4:
        values = (2 * u - 1) * numpy.sqrt(6 / (size[1] * size[2] * size[3]))
    elif len(size) == 2:
        values = 0.05 * (2 * u - 1)
    elif name.endswith("bias") or ".bias_" in name:
        values = 0.2 * (2 * u - 1)
    elif name.endswith("running_var"):
        values = 0.8 + 0.6 * u
    elif name.endswith("running_mean"):
        values = 0.1 * (2 * u - 1)
    else:
        values = 0.8 + 0.4 * u
    return torch.from_numpy(values.astype(numpy.float32)).reshape(size)

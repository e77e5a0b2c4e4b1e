"""Writes captioner.json: the logits of a small Meshed-Memory Transformer, in numpy alone and from the paper's formulas.

Weights come from a formula of their name and place, so that the test makes the same ones. Run: python3 captioner.py > captioner.json
"""

import json
import math

import numpy as np

WIDTH, HEADS, LAYERS, INNER, SLOTS, WORDS, FEATURES = 8, 2, 2, 12, 3, 7, 512


def weight(name, *shape):
    start = 1 + sum(name.encode()) * 0.1
    values = 0.5 * np.sin(start + 0.7 * np.arange(math.prod(shape)))
    one = 1.0 if name.endswith("norm.weight") or name.endswith("deviation") else 0.0
    return (one + values).astype(np.float32).astype(np.float64).reshape(shape)


def linear(x, name, inputs, outputs, bias=True):
    y = x @ weight(name + ".weight", outputs, inputs).T
    return y + weight(name + ".bias", outputs) if bias else y


def norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * weight(name + ".weight", WIDTH) + weight(name + ".bias", WIDTH)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(queries, others, name, seen, slots):
    """`seen` [queries, others]: which each query may attend to."""
    q, k, v = (linear(x, f"{name}.{part}", WIDTH, WIDTH) for x, part in ((queries, "queries"), (others, "keys"), (others, "values")))
    if slots:
        k = np.concatenate([k, weight(name + ".memory_keys", 1, slots, WIDTH)[0] * math.sqrt(WIDTH / HEADS)])
        v = np.concatenate([v, weight(name + ".memory_values", 1, slots, WIDTH)[0] * math.sqrt(slots)])
        seen = np.concatenate([seen, np.ones((len(queries), slots), bool)], 1)
    heads = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        scores = q[:, part] @ k[:, part].T / math.sqrt(WIDTH / HEADS)
        heads.append(softmax(np.where(seen, scores, -np.inf)) @ v[:, part])
    return norm(queries + linear(np.concatenate(heads, 1), name + ".output", WIDTH, WIDTH), name + ".norm")


def feed_forward(x, name):
    inner = np.maximum(linear(x, name + ".inner", WIDTH, INNER), 0)
    return norm(x + linear(inner, name + ".outer", INNER, WIDTH), name + ".norm")


def logits(features, present, words):
    standard = (features - weight("constant.mean", FEATURES)) / weight("constant.deviation", FEATURES)
    x = norm(np.maximum(linear(standard, "input", FEATURES, WIDTH), 0), "input_norm")
    levels = []
    for layer in range(LAYERS):
        x = attention(x, x, f"encoder.{layer}.attention", np.tile(present, (len(x), 1)), SLOTS)
        x = feed_forward(x, f"encoder.{layer}.feed_forward")
        levels.append(x)
    count = len(words)
    places = np.arange(1, count + 1)[:, None] * np.exp(np.arange(0, WIDTH, 2) * -math.log(10000) / WIDTH)
    x = weight("embedding", WORDS, WIDTH)[words] + np.stack([np.sin(places), np.cos(places)], 2).reshape(count, WIDTH)
    for layer in range(LAYERS):
        own = attention(x, x, f"decoder.{layer}.own", np.tril(np.ones((count, count), bool)), 0)
        meshed = 0
        for number, level in enumerate(levels):
            found = attention(own, level, f"decoder.{layer}.across", np.tile(present, (count, 1)), 0)
            gate = linear(np.concatenate([own, found], 1), f"decoder.{layer}.gate.{number}", 2 * WIDTH, WIDTH)
            meshed = meshed + found / (1 + np.exp(-gate))
        x = feed_forward(meshed / math.sqrt(LAYERS), f"decoder.{layer}.feed_forward")
    return linear(x, "output", WIDTH, WORDS, bias=False)


regions = np.stack([weight(f"region {number}", FEATURES) for number in range(3)])
found = logits(regions, np.array([True, True, False]), np.array([2, 4, 6, 5]))
print(json.dumps({"words": [2, 4, 6, 5], "logits": [[round(value, 7) for value in row] for row in found.tolist()]}, indent=1))

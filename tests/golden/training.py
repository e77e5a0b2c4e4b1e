"""Writes training_small.json: three training steps of a ResNet-18 as PyTorch takes them, in f64.

Nothing but numbers is stored: weights, pictures and labels are computed from their names (README.md). Needs torch and numpy:

    python3 tests/golden/training.py > tests/golden/training_small.json

`--noise` prints instead how far f32 is from f64, which the tolerances leave room for.
"""

import json
import sys

import resnet18
import torch
import torch.nn.functional as functional
from formula import uniform, weight

SEED, CLASSES, BATCH, HEIGHT, WIDTH = 23, 9, 8, 128, 160
RATE, MOMENTUM, DECAY, STEPS = 0.001, 0.9, 1e-4, 3
# How many values of each tensor are stored.
SAMPLES = 16


def weights():
    named = resnet18.weights(SEED)
    named["fc.weight"] = weight("fc.weight", (CLASSES, 512), SEED)
    named["fc.bias"] = weight("fc.bias", (CLASSES,), SEED)
    return named


def forward(named, x):
    layer4 = resnet18.feature_maps(named, x, train=True)[3]
    return functional.linear(layer4.mean(dim=(2, 3)), named["fc.weight"], named["fc.bias"])


def trained(kind):
    """The losses, and after the last step the momentum of each weight and the running statistics."""
    named = {name: tensor.to(kind) for name, tensor in weights().items()}
    images = resnet18.pictures((BATCH, 3, HEIGHT, WIDTH), SEED).to(kind)
    labels = torch.from_numpy(uniform("labels", BATCH * CLASSES, SEED) > 0.5).reshape(BATCH, CLASSES).to(kind)
    learned = [tensor.requires_grad_() for name, tensor in named.items() if "running" not in name]
    optimizer = torch.optim.SGD(learned, RATE, momentum=MOMENTUM, weight_decay=DECAY)
    losses = []
    for _ in range(STEPS):
        loss = functional.multilabel_soft_margin_loss(forward(named, images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    momentum = {name: optimizer.state[tensor]["momentum_buffer"] for name, tensor in named.items() if "running" not in name}
    statistics = {name: tensor for name, tensor in named.items() if "running" in name}
    return losses, {name: tensor.detach().double() for name, tensor in {**momentum, **statistics}.items()}


def main():
    losses, after = trained(torch.float64)
    if "--noise" in sys.argv:
        losses_32, after_32 = trained(torch.float32)
        print("losses", max(abs(a - b) / abs(a) for a, b in zip(losses, losses_32)))
        print("shares of a tensor's length", resnet18.largest_differences(after, after_32))
        return
    tensors = resnet18.samples(after, SAMPLES, SEED)
    settings = {"seed": SEED, "classes": CLASSES, "images": [BATCH, 3, HEIGHT, WIDTH]}
    optimizer = {"learning_rate": RATE, "momentum": MOMENTUM, "weight_decay": DECAY}
    print(json.dumps({**settings, **optimizer, "losses": losses, "tensors": tensors}))


main()

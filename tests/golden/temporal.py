"""Writes temporal.json: a temporal classifier as PyTorch computes it, in f64.

Clips of 3 frames, a ResNet-18 to its pooled features, nn.LSTM 512 -> 512, one linear layer on its last output. There are the
logits of the clips, Grad-CAM of layer4 and layer3 of their last frames, and one training step (SGD, no dropout).

Nothing but numbers is stored: weights, pictures and labels are computed from their names (README.md). Needs torch and numpy:

    python3 tests/golden/temporal.py > tests/golden/temporal.json

`--noise` prints instead how far f32 is from f64, which the tolerances leave room for.
"""

import json
import sys

import resnet18
import torch
import torch.nn.functional as functional
from formula import uniform, weight

SEED, CLASSES, CLIPS, LENGTH, HEIGHT, WIDTH = 31, 5, 2, 3, 96, 128
FEATURES, HIDDEN = 512, 512
RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4
LSTM = {
    "weight_ih_l0": (4 * HIDDEN, FEATURES),
    "weight_hh_l0": (4 * HIDDEN, HIDDEN),
    "bias_ih_l0": (4 * HIDDEN,),
    "bias_hh_l0": (4 * HIDDEN,),
}
# How many values of each tensor are stored.
SAMPLES = 16


class Network:
    """Its tensors by their names, in one kind of number."""

    def __init__(self, kind):
        named = resnet18.weights(SEED)
        named["fc.weight"] = weight("fc.weight", (CLASSES, HIDDEN), SEED)
        named["fc.bias"] = weight("fc.bias", (CLASSES,), SEED)
        self.lstm = torch.nn.LSTM(FEATURES, HIDDEN, batch_first=True).to(kind)
        self.named = {name: tensor.to(kind) for name, tensor in named.items()}
        for name, size in LSTM.items():
            parameter = getattr(self.lstm, name)
            parameter.data.copy_(weight(f"lstm.{name}", size, SEED))
            self.named[f"lstm.{name}"] = parameter
        self.learned = {name: tensor.requires_grad_() for name, tensor in self.named.items() if "running" not in name}

    def maps(self, frames, train):
        return resnet18.feature_maps(self.named, frames, train)

    def head(self, pooled):
        """[clips, length, features] -> the logits of the last frames."""
        outputs, _ = self.lstm(pooled)
        return functional.linear(outputs[:, -1], self.named["fc.weight"], self.named["fc.bias"])

    def logits(self, frames, train):
        return self.head(self.maps(frames, train)[3].mean(dim=(2, 3)).reshape(CLIPS, LENGTH, FEATURES))


def frames(kind):
    """Clip after clip."""
    return resnet18.pictures((CLIPS * LENGTH, 3, HEIGHT, WIDTH), SEED).to(kind)


def grad_cam(network, clip, layer):
    """Of the last frame of a clip: for each class a map [h w], negatives to 0 and normalised."""
    earlier = network.maps(clip[:-1], train=False)[3].mean(dim=(2, 3)).detach()
    last = [tensor.detach() for tensor in network.maps(clip[-1:], train=False)]
    target = last[layer - 1].requires_grad_()
    layer4 = target if layer == 4 else resnet18.layer(network.named, target, 4, train=False)
    logits = network.head(torch.cat([earlier, layer4.mean(dim=(2, 3))])[None])[0]
    maps = []
    for logit in logits:
        (gradient,) = torch.autograd.grad(logit, target, retain_graph=True)
        image = (gradient.mean(dim=(2, 3), keepdim=True) * target).sum(dim=1)[0].detach().clamp(min=0)
        image = image - image.min()
        maps.append((image / (1e-7 + image.max())).flatten())
    return torch.stack(maps)


def heat_maps(network, clips):
    """By layer, clip and class."""
    return {f"layer{layer}": torch.stack([grad_cam(network, clip, layer) for clip in clips]) for layer in (4, 3)}


def trained(network, images, labels):
    """The loss, and after one step the momentum of each weight and the running statistics."""
    optimizer = torch.optim.SGD(network.learned.values(), RATE, momentum=MOMENTUM, weight_decay=DECAY)
    loss = functional.multilabel_soft_margin_loss(network.logits(images, train=True), labels)
    loss.backward()
    optimizer.step()
    momentum = {name: optimizer.state[tensor]["momentum_buffer"] for name, tensor in network.learned.items()}
    statistics = {name: tensor for name, tensor in network.named.items() if "running" in name}
    after = {**momentum, **statistics, **{f"after/{name}": tensor for name, tensor in network.learned.items()}}
    return loss.item(), {name: tensor.detach().double() for name, tensor in after.items()}


def computed(kind):
    network, images = Network(kind), frames(kind)
    labels = torch.from_numpy(uniform("labels", CLIPS * CLASSES, SEED) > 0.5).reshape(CLIPS, CLASSES).to(kind)
    logits = network.logits(images, train=False).detach().double()
    maps = heat_maps(network, images.reshape(CLIPS, LENGTH, 3, HEIGHT, WIDTH))
    loss, after = trained(network, images, labels)
    return logits, maps, loss, after


def main():
    logits, maps, loss, after = computed(torch.float64)
    if "--noise" in sys.argv:
        logits_32, maps_32, loss_32, after_32 = computed(torch.float32)
        print("logits", float((logits - logits_32).abs().max()), "of", float(logits.abs().max()))
        print("maps", {layer: float((maps[layer] - maps_32[layer]).abs().max()) for layer in maps})
        print("loss", abs(loss - loss_32) / loss)
        print("shares of a tensor's length", resnet18.largest_differences(after, after_32))
        return
    tensors = resnet18.samples(after, SAMPLES, SEED)
    settings = {"seed": SEED, "classes": CLASSES, "clips": CLIPS, "clip_length": LENGTH, "images": [CLIPS * LENGTH, 3, HEIGHT, WIDTH]}
    optimizer = {"learning_rate": RATE, "momentum": MOMENTUM, "weight_decay": DECAY}
    rounded = {layer: [[[round(float(v), 6) for v in image] for image in clip] for clip in of_layer] for layer, of_layer in maps.items()}
    print(json.dumps({**settings, **optimizer, "logits": logits.tolist(), "maps": rounded, "loss": loss, "tensors": tensors}))


main()

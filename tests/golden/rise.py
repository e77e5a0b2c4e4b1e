"""Writes rise.json: deletion and insertion curves of a ResNet-18 as RISE's evaluation.py makes them, in f64.

`CausalMetric` and `gkern` follow the code that Petsiuk, Das and Saenko published with "RISE: Randomized Input Sampling for
Explanation of Black-box Models" (BMVC 2018), with the sigmoid of one class in place of the softmax of the most probable one.
Nothing but numbers is stored: weights and the picture are computed from their names (README.md), heat from places. Needs torch,
torchvision, numpy and scipy:

    python3 tests/golden/rise.py > tests/golden/rise.json

`--noise` prints instead how far f32 is from f64, which the tolerance leaves room for.
"""

import json
import sys

import numpy
import torch
from formula import uniform
from scipy.ndimage import gaussian_filter
from torchvision_resnet18 import network

SEED, CLASSES, HEIGHT, WIDTH = 31, 4, 64, 96
# Pixels a step: the first divides the picture's 6144, the second leaves a shorter last step.
PIXELS_A_STEP = [512, 683]
KERNEL_LENGTH, KERNEL_SIGMA = 11, 5


def gkern(klen, nsig):
    """A convolution that blurs each channel, from a picture with one bright pixel that scipy blurs."""
    inp = numpy.zeros((klen, klen))
    inp[klen // 2, klen // 2] = 1
    k = gaussian_filter(inp, nsig)
    kern = numpy.zeros((3, 3, klen, klen))
    kern[0, 0] = kern[1, 1] = kern[2, 2] = k
    return torch.from_numpy(kern)


def auc(arr):
    return (arr.sum() - arr[0] / 2 - arr[-1] / 2) / (arr.shape[0] - 1)


class CausalMetric:
    def __init__(self, model, mode, step, substrate_fn):
        self.model, self.mode, self.step, self.substrate_fn = model, mode, step, substrate_fn

    def single_run(self, img_tensor, explanation, target):
        pixels = HEIGHT * WIDTH
        n_steps = (pixels + self.step - 1) // self.step
        if self.mode == "del":
            start, finish = img_tensor.clone(), self.substrate_fn(img_tensor)
        else:
            start, finish = self.substrate_fn(img_tensor), img_tensor.clone()
        scores = numpy.empty(n_steps + 1)
        salient_order = numpy.flip(numpy.argsort(explanation.reshape(-1)))
        for i in range(n_steps + 1):
            scores[i] = torch.sigmoid(self.model(start))[0, target].item()
            if i < n_steps:
                coords = salient_order[self.step * i : self.step * (i + 1)].copy()
                start.reshape(3, pixels)[:, coords] = finish.reshape(3, pixels)[:, coords]
        return scores


def heat(target):
    """Every value once: the order of equal ones would be left to the sorting."""
    places = numpy.arange(HEIGHT * WIDTH)
    values = ((places * 2467 + 137 * target) % (HEIGHT * WIDTH)).astype(numpy.float32) / numpy.float32(HEIGHT * WIDTH)
    assert len(numpy.unique(values)) == values.size
    return values


def curves(kind):
    """By pixels a step and class: the curves and what lies under them."""
    model = network(CLASSES, SEED, kind)
    picture = torch.from_numpy(2 * uniform("images", 3 * HEIGHT * WIDTH, SEED).astype(numpy.float32) - 1)
    picture = picture.reshape(1, 3, HEIGHT, WIDTH).to(kind)
    kernel = gkern(KERNEL_LENGTH, KERNEL_SIGMA).to(kind)
    blurred = torch.nn.functional.conv2d(picture, kernel, padding=KERNEL_LENGTH // 2)
    found = []
    for step in PIXELS_A_STEP:
        deletion = CausalMetric(model, "del", step, torch.zeros_like)
        insertion = CausalMetric(model, "ins", step, lambda _: blurred.clone())
        for target in range(CLASSES):
            explanation = heat(target)
            removed = deletion.single_run(picture, explanation, target)
            put_in = insertion.single_run(picture, explanation, target)
            found.append(
                {
                    "pixels_a_step": step,
                    "class": target,
                    "deletion": [float(score) for score in removed],
                    "insertion": [float(score) for score in put_in],
                    "deletion_area": float(auc(removed)),
                    "insertion_area": float(auc(put_in)),
                }
            )
    corner = [float(value) for value in blurred[0, :, :4, :4].flatten()]
    return found, corner


def main():
    with torch.no_grad():
        found, corner = curves(torch.float64)
        if "--noise" in sys.argv:
            in_f32, _ = curves(torch.float32)
            for name in ("deletion", "insertion"):
                pairs = [(a, b) for ours, theirs in zip(found, in_f32) for a, b in zip(ours[name], theirs[name])]
                print(name, max(abs(a - b) for a, b in pairs))
            return
    settings = {"seed": SEED, "classes": CLASSES, "images": [1, 3, HEIGHT, WIDTH]}
    print(json.dumps({**settings, "blurred_corner": corner, "curves": found}))


main()

"""Writes cam_methods.json: heat maps of a ResNet-18 as pytorch-grad-cam makes them, in f64.

Nothing but numbers is stored: weights and the picture are computed from their names (README.md). Needs torch, numpy and
grad-cam 1.5.5 with the torchvision that belongs to that torch:

    python3 tests/golden/cam_methods.py > tests/golden/cam_methods.json

`--noise` prints instead how far f32 is from f64, which the tolerances leave room for.
"""

import json
import sys

import numpy
import torch
from formula import uniform
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchvision_resnet18 import network

SEED, CLASSES, HEIGHT, WIDTH = 29, 5, 96, 128
METHODS = [GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM]
LAYERS = ["layer4", "layer3"]
DECIMALS = 6


def normalised(image):
    """Negatives to 0, then n(z) = (z - min z) / (1e-7 + max(z - min z))."""
    image = numpy.maximum(image, 0)
    image = image - image.min()
    return image / (1e-7 + image.max())


def heat_map(method, model, layer, picture, target):
    """[h w] before it is enlarged: what the method itself returns, caught on its way to the enlarging."""
    caught = []
    with method(model=model, target_layers=[getattr(model, layer)[-1]]) as cam:
        of_method = cam.get_cam_image

        def catching(*arguments, **named):
            caught.append(of_method(*arguments, **named))
            return caught[-1]

        cam.get_cam_image = catching
        cam(input_tensor=picture, targets=[ClassifierOutputTarget(target)])
    (image,) = caught
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy()
    return normalised(numpy.asarray(image, dtype=numpy.float64)[0])


def heat_maps(kind):
    """By method and layer: a map of each class, row by row."""
    model = network(CLASSES, SEED, kind)
    picture = torch.from_numpy(2 * uniform("images", 3 * HEIGHT * WIDTH, SEED).astype(numpy.float32) - 1)
    picture = picture.reshape(1, 3, HEIGHT, WIDTH).to(kind)

    def of_layer(method, layer):
        return [heat_map(method, model, layer, picture, target).flatten() for target in range(CLASSES)]

    return {method.__name__: {layer: of_layer(method, layer) for layer in LAYERS} for method in METHODS}


def main():
    maps = heat_maps(torch.float64)
    if "--noise" in sys.argv:
        maps_32 = heat_maps(torch.float32)
        for method, of_layers in maps.items():
            for layer, of_classes in of_layers.items():
                pairs = zip(of_classes, maps_32[method][layer])
                print(method, layer, max(float(abs(a - b).max()) for a, b in pairs))
        return
    rounded = {
        method: {
            layer: [[round(float(value), DECIMALS) for value in image] for image in of_classes]
            for layer, of_classes in of_layers.items()
        }
        for method, of_layers in maps.items()
    }
    settings = {"seed": SEED, "classes": CLASSES, "images": [1, 3, HEIGHT, WIDTH]}
    print(json.dumps({**settings, "maps": rounded}))


main()

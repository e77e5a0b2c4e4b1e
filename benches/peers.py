"""The peers that surgcam is compared with, in a process of their own, on the CPU or on a GPU.

torchvision's ResNet-50 (where torchvision is missing: the same network in plain torch), the same
through torch.compile, the authors' flow, pytorch-grad-cam, ONNX Runtime (CPU), PyTorch's DataLoader,
and a training step. `turns.PeerProcess` starts this file with a Python that has torch, and asks it to
measure in between its own measurements:

    python3 benches/peers.py --device cuda:0 --threads 16 --batches 1 64 [--pictures DIR]

A request is a line of JSON, `{"steps": [names], "seconds": s}`. Its answer is a line, too: for each
step `{"milliseconds": [of a frame, ...], "prepared_in": seconds}` or `{"failed": why}`. The first
line comes unasked: what there is (`Peers.described`).
"""

import argparse
import contextlib
import copy
import functools
import json
import os
import pathlib
import sys
import tempfile
import time

from authors_flow import PRESENT, AuthorsFlow
from resnet50 import has_torchvision, resnet50

CLASSES = 11
MEAN, STD = [0.4084945, 0.25513682, 0.25353566], [0.22662906, 0.20201652, 0.1962526]
LOADED = 64  # Pictures that a DataLoader's step loads.
LOADER_BATCH = 8
# So many first repetitions do not count: on a card algorithms are chosen and memory is asked for.
FIRST_REPETITIONS = {"cuda": 3, "cpu": 1}

AUTHORS_FLOW = {mode: f"authors' flow, {mode.upper()} of 3 classes" for mode in ("sl-fe", "l-fe", "ln-fe")}
GRAD_CAM = "pytorch-grad-cam, heat maps of 3 classes"


def joined(*parts):
    return ", ".join(filter(None, parts))


def forward_name(batch, precision="f32", variant=None):
    """A bare forward pass. Half precisions are channels last, as their users have them."""
    form = "" if precision == "f32" else f"{precision} channels last"
    return joined("torchvision forward", form, variant, f"batch {batch}")


def compiled_name(batch, precision="f32"):
    return forward_name(batch, precision).replace("torchvision", "torch.compile", 1)


def training_name(batch, precision="f32", variant=None):
    form = "" if precision == "f32" else "bf16 autocast channels last"
    return joined("PyTorch training step", form, variant, f"batch {batch}")


# PyTorch's own settings let cuDNN round factors to TF32. Every other f32 step counts in f32, as
# surgcam does.
TF32 = "PyTorch's defaults (TF32)"
# Algorithms are tried out for each shape; PyTorch does so when it is asked to.
TRIED_OUT = "cudnn.benchmark"


class Peers:
    """Every step by name. A step's networks are made when it is measured for the first time."""

    def __init__(self, device, image_size, batches, threads, pictures=None):
        import torch

        self.torch, self.threads = torch, threads
        self.device = torch.device(device)
        self.height, self.width = image_size
        self.batches = batches
        self.pictures = pathlib.Path(pictures) if pictures else None
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        if self.on_card():
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        self.model = resnet50(torch, CLASSES).eval().to(self.device)
        self.networks, self.all_images, self.prepared = {"f32": self.model}, {}, {}
        # Name -> (frames worked on together, what makes the function to time).
        self.steps = self.all_steps()

    def on_card(self):
        return self.device.type == "cuda"

    def described(self):
        network = "torchvision's ResNet-50"
        return {
            "torch": self.torch.__version__,
            "network": network if has_torchvision() else f"{network}, written in plain torch",
            "device": self.torch.cuda.get_device_name(self.device) if self.on_card() else "cpu",
            "steps": list(self.steps),
        }

    def all_steps(self):
        steps = {}

        def add(name, frames, prepare, *arguments, **settings):
            steps[name] = (frames, functools.partial(prepare, *arguments, **settings))

        for batch in self.batches:
            add(forward_name(batch), batch, self.forward, batch)
            if self.on_card():
                add(forward_name(batch, "f32", TF32), batch, self.forward, batch, tf32=True)
            else:
                add(f"ONNX Runtime forward, batch {batch}", batch, self.onnx, batch)
            for precision in ("bf16", "f16"):
                tried_out = forward_name(batch, precision, TRIED_OUT)
                add(forward_name(batch, precision), batch, self.forward, batch, precision)
                add(tried_out, batch, self.forward, batch, precision, tried_out=True)
            for precision in ("f32", "bf16"):
                add(compiled_name(batch, precision), batch, self.compiled, batch, precision)
        for mode, name in AUTHORS_FLOW.items():
            add(name, 1, self.authors_flow, mode)
        add(GRAD_CAM, 1, self.heat_maps)
        batch = self.batches[-1]
        for precision in ("f32", "bf16"):
            tried_out = training_name(batch, precision, TRIED_OUT)
            add(training_name(batch, precision), batch, self.training, batch, precision)
            add(tried_out, batch, self.training, batch, precision, tried_out=True)
        for kind, folder in (("png", "png"), ("jpg", "jpeg")) if self.pictures else ():
            add(f"DataLoader, {kind}", LOADED, self.loading, folder, augment=False)
            add(f"DataLoader, {kind}, augmented", LOADED, self.loading, folder, augment=True)
        return steps

    def measured(self, name, seconds):
        """The answer for one step. What one cannot do on this machine keeps no other from being measured."""
        if name not in self.steps:
            return {"failed": "there is no such step here"}
        frames, prepare = self.steps[name]
        try:
            begun = time.perf_counter()
            if name not in self.prepared:
                once = prepare()
                for _ in range(FIRST_REPETITIONS.get(self.device.type, 1)):
                    once()
                self.wait()
                self.prepared[name] = (once, time.perf_counter() - begun)
            once, prepared_in = self.prepared[name]
            return {"milliseconds": self.timed(frames, once, seconds), "prepared_in": prepared_in}
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            return {"failed": f"{type(error).__name__}: {lines[0]}"}

    def timed(self, frames, once, seconds):
        """Milliseconds a frame, of several repetitions after one that does not count."""
        once()
        self.wait()
        times, begun = [], time.perf_counter()
        while not times or time.perf_counter() - begun < seconds:
            start = time.perf_counter()
            once()
            self.wait()
            times.append((time.perf_counter() - start) * 1e3 / frames)
        return times

    def wait(self):
        """Until the card has done what it was asked for."""
        if self.on_card():
            self.torch.cuda.synchronize(self.device)

    def network(self, precision):
        if precision not in self.networks:
            kind = {"bf16": self.torch.bfloat16, "f16": self.torch.float16}[precision]
            half = copy.deepcopy(self.model).to(dtype=kind)
            self.networks[precision] = half.to(memory_format=self.torch.channels_last)
        return self.networks[precision]

    def images(self, batch, precision="f32", channels_last=False):
        """On the device already: a bare pass is without upload."""
        key = (batch, precision, channels_last)
        if key not in self.all_images:
            torch = self.torch
            kind = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[precision]
            form = torch.channels_last if channels_last else torch.contiguous_format
            images = torch.randn(batch, 3, self.height, self.width).to(self.device, kind)
            self.all_images[key] = images.contiguous(memory_format=form)
        return self.all_images[key]

    def with_settings(self, once, tf32=False, tried_out=False):
        """The function, under other settings of cuDNN than the other steps have."""
        if not (tf32 or tried_out):
            return once
        cudnn = self.torch.backends.cudnn

        def under_settings():
            cudnn.allow_tf32, cudnn.benchmark = tf32, tried_out
            try:
                once()
            finally:
                cudnn.allow_tf32, cudnn.benchmark = False, False

        return under_settings

    def forward(self, batch, precision="f32", tf32=False, tried_out=False):
        network, images = self.network(precision), self.images(batch, precision, precision != "f32")

        def once():
            with self.torch.no_grad():
                network(images)

        return self.with_settings(once, tf32, tried_out)

    def compiled(self, batch, precision):
        """Compiled for this one shape; compiling falls into the repetitions that do not count."""
        network = self.torch.compile(self.network(precision), dynamic=False)
        images = self.images(batch, precision, precision != "f32")

        def once():
            with self.torch.no_grad():
                network(images)

        return once

    def training(self, batch, precision, tried_out=False):
        """A step on images that are on the device: forward, loss in f32, backward, SGD."""
        torch = self.torch
        network = resnet50(torch, CLASSES).train().to(self.device)
        is_mixed = precision == "bf16"
        if is_mixed:
            network = network.to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
        images = self.images(batch, "f32", channels_last=is_mixed)
        labels = torch.ones(batch, CLASSES, device=self.device)

        def once():
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_mixed):
                logits = network(images)
            loss = torch.nn.functional.multilabel_soft_margin_loss(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return self.with_settings(once, tried_out=tried_out)

    def onnx(self, batch):
        import onnxruntime

        images = self.images(batch)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "network.onnx")
            options = {"input_names": ["images"], "opset_version": 17, "dynamo": False}
            self.torch.onnx.export(self.model, (images,), path, **options)
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = self.threads
            session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"images": images.numpy()})

    def heat_maps(self):
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        # A network of its own: its hooks copy the activations of every pass, also of those that others time.
        network = copy.deepcopy(self.model)
        grad_cam = GradCAM(model=network, target_layers=[network.layer4[-1]])
        images = self.images(1)

        def once():
            for number in PRESENT:
                grad_cam(input_tensor=images, targets=[ClassifierOutputTarget(number)])

        return once

    def authors_flow(self, mode):
        flow = AuthorsFlow(self.torch, self.model, self.images(1))
        return lambda: flow.features(mode)

    def loading(self, folder, augment):
        """As many workers as surgcam has threads; kept, as between the epochs of a training."""
        paths = sorted((self.pictures / folder).iterdir())
        chosen = [paths[number % len(paths)] for number in range(LOADED)]
        frames = Frames(chosen, augment, (self.height, self.width))
        options = {"batch_size": LOADER_BATCH, "num_workers": self.threads, "persistent_workers": True}
        loader = self.torch.utils.data.DataLoader(frames, **options)

        def once():
            for _ in loader:
                pass

        return once


class Frames:
    """As the authors' data set classes do it: Pillow and torchvision's transforms."""

    def __init__(self, paths, augment, image_size):
        from torchvision import transforms

        steps = [transforms.Resize(image_size)]
        if augment:
            jitter = transforms.ColorJitter(0.1, 0.1, 0.1, 0.05)
            steps += [jitter, transforms.RandomHorizontalFlip(), transforms.RandomRotation(5)]
        steps += [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        self.transform = transforms.Compose(steps)
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, number):
        from PIL import Image

        return self.transform(Image.open(self.paths[number]).convert("RGB"))


def encode_as_cameras_do(pictures):
    """JPEG with colours at half the size, as stills of videos are."""
    from PIL import Image

    for path in sorted((pathlib.Path(pictures) / "jpeg").iterdir()):
        Image.open(path).convert("RGB").save(path, quality=90, subsampling="4:2:0")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--image-size", type=int, nargs=2, default=[256, 320])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--pictures", help="a folder with png/ and jpeg/, for the DataLoader")
    arguments = parser.parse_args()
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        print(json.dumps(answer), file=answers, flush=True)

    if arguments.pictures:
        # Without Pillow there is no DataLoader to compare with, either.
        with contextlib.suppress(ImportError):
            encode_as_cameras_do(arguments.pictures)
    peers = Peers(
        arguments.device, arguments.image_size, arguments.batches, arguments.threads, arguments.pictures
    )
    say(peers.described())
    for line in sys.stdin:
        request = json.loads(line)
        say({name: peers.measured(name, request["seconds"]) for name in request["steps"]})


if __name__ == "__main__":
    main()

"""Extraction and training beside their peers: the authors' flow, pytorch-grad-cam, torchvision, ONNX Runtime, PyTorch's DataLoader.

Makes a virtual environment below target/, installs the peers from the package index, and lets surgcam and the peers (a process
of its own that waits in between) take turns, round by round, so that a slow minute of the machine falls on both. Prints medians
and ratios. Needs python3 with venv and pip; the peers take 6 GB on disk.

    python3 benches/strategies.py [--rounds 8] [--seconds 0.5] [--json FILE]
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENT = PROJECT / "target" / "peers-strategies"
PACKAGES = ["torch==2.11.0", "torchvision==0.26.0", "grad-cam==1.5.5", "onnxruntime==1.32.*", "onnx==1.23.*", "pillow==13.*"]

HEIGHT, WIDTH, CLASSES, BATCH = 256, 320, 11, 8
PRESENT = [2, 6, 10]
MEAN, STD = [0.4084945, 0.25513682, 0.25353566], [0.22662906, 0.20201652, 0.1962526]
ROI_THRESHOLD, MINIMUM_AREA = 0.3, 25

# Of `surgcam bench strategies`: (step, batch) as it names them.
DECODE = "decode and resize {} to batches"
OURS = ["forward", "sl-fe", "l-fe", "ln-fe, 7 boxes", DECODE.format("png"), DECODE.format("jpg"), "packed frames, augmented", "training step"]


# The peers. Everything below runs in their own environment.


class Peers:
    def __init__(self, pictures, threads):
        import torch
        import torchvision

        self.torch, self.torchvision = torch, torchvision
        self.threads = threads
        torch.set_num_threads(self.threads)
        torch.manual_seed(1)
        self.model = torchvision.models.resnet50(num_classes=CLASSES).eval()
        self.one = torch.randn(1, 3, HEIGHT, WIDTH)
        self.many = torch.randn(BATCH, 3, HEIGHT, WIDTH)
        self.pictures = pathlib.Path(pictures)
        self.truncated = [torch.nn.Sequential(*list(self.model.children())[:end]).eval() for end in (6, 7, 8)]
        self.sessions = {1: self.session(self.one), BATCH: self.session(self.many)}
        self.loaders = {}
        self.trainee = torchvision.models.resnet50(num_classes=CLASSES).train()
        self.optimizer = torch.optim.SGD(self.trainee.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)

    def session(self, images):
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "network.onnx")
            self.torch.onnx.export(self.model, (images,), path, dynamo=False, input_names=["images"], opset_version=17)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self.threads
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def steps(self):
        """Name -> (frames worked on together, what to time)."""
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        torch = self.torch
        grad_cam = GradCAM(model=self.model, target_layers=[self.model.layer4[-1]])

        def forward(images):
            with torch.no_grad():
                self.model(images)

        def heat_maps():
            for number in PRESENT:
                grad_cam(input_tensor=self.one, targets=[ClassifierOutputTarget(number)])

        def onnx(images):
            self.sessions[len(images)].run(None, {"images": images.numpy()})

        return {
            "torchvision forward, batch 1": (1, lambda: forward(self.one)),
            f"torchvision forward, batch {BATCH}": (BATCH, lambda: forward(self.many)),
            "ONNX Runtime forward, batch 1": (1, lambda: onnx(self.one)),
            f"ONNX Runtime forward, batch {BATCH}": (BATCH, lambda: onnx(self.many)),
            "pytorch-grad-cam, heat maps of 3 classes": (1, heat_maps),
            "authors' flow, SL-FE of 3 classes": (1, lambda: self.authors_flow("sl-fe")),
            "authors' flow, L-FE of 3 classes": (1, lambda: self.authors_flow("l-fe")),
            "authors' flow, LN-FE of 3 classes": (1, lambda: self.authors_flow("ln-fe")),
            "DataLoader, png": (64, lambda: self.load("png", augment=False)),
            "DataLoader, jpg": (64, lambda: self.load("jpeg", augment=False)),
            "DataLoader, png, augmented": (64, lambda: self.load("png", augment=True)),
            "DataLoader, jpg, augmented": (64, lambda: self.load("jpeg", augment=True)),
            "PyTorch training step": (BATCH, self.train),
        }

    def authors_flow(self, mode):
        """docs/method.md, sections 4 to 6, as scripts do it: hooks, a forward and a backward pass for each class."""
        import cv2
        import numpy
        from torch.nn.functional import adaptive_avg_pool1d, interpolate

        torch = self.torch
        kept = {}
        layer = self.model.layer4[-1]
        hooks = [
            layer.register_forward_hook(lambda _, __, output: kept.update(activation=output)),
            layer.register_full_backward_hook(lambda _, __, gradients: kept.update(gradient=gradients[0])),
        ]
        features = []
        maps = None
        for number in PRESENT:
            self.model.zero_grad()
            self.model(self.one)[0, number].backward()
            with torch.no_grad():
                weights = kept["gradient"].mean(dim=(2, 3), keepdim=True)
                heat = (weights * kept["activation"]).sum(dim=1, keepdim=True).relu()
                heat = (heat - heat.min()) / (1e-7 + (heat - heat.min()).max())
                if maps is None:
                    # Three backbones cut off after layer 2, 3 and 4.
                    maps = [backbone(self.one)[0] for backbone in self.truncated]
                if mode == "sl-fe":
                    small = interpolate(heat, size=maps[2].shape[1:], mode="bilinear", align_corners=False)[0, 0]
                    hot = maps[2][:, small > ROI_THRESHOLD].reshape(1, 1, -1)
                    if hot.numel():
                        features.append(adaptive_avg_pool1d(hot, 512)[0, 0].numpy())
                    continue
                full = interpolate(heat, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0, 0].numpy()
                mask = (full > ROI_THRESHOLD).astype(numpy.uint8)
                contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
                boxes = [cv2.boundingRect(contour) for contour in contours]
                boxes = [box for box in boxes if box[2] * box[3] > MINIMUM_AREA]
                features += [self.of_box(box, maps, mode) for box in boxes]
        for hook in hooks:
            hook.remove()
        return features

    def of_box(self, box, maps, mode):
        from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, interpolate

        x, y, width, height = box
        if mode == "ln-fe":
            crop = interpolate(self.one[:, :, y : y + height, x : x + width], size=(224, 224), mode="bilinear")
            part = self.truncated[2](crop)[0]
        else:
            area = width * height
            source = maps[0] if area < HEIGHT * WIDTH / 16 else maps[1] if area < HEIGHT * WIDTH / 4 else maps[2]
            _, rows, columns = source.shape
            top, left = round(y * rows / HEIGHT), round(x * columns / WIDTH)
            bottom, right = round((y + height) * rows / HEIGHT), round((x + width) * columns / WIDTH)
            top, left = min(top, rows - 1), min(left, columns - 1)
            part = source[:, top : max(bottom, top + 1), left : max(right, left + 1)]
        pooled = adaptive_avg_pool2d(part.unsqueeze(0), 1).reshape(1, 1, -1)
        return adaptive_avg_pool1d(pooled, 512)[0, 0].numpy()

    def load(self, folder, augment):
        for _ in self.loader(folder, augment):
            pass

    def loader(self, folder, augment):
        """64 pictures, with as many workers as surgcam has threads; kept, as between the epochs of a training."""
        if (folder, augment) not in self.loaders:
            paths = sorted((self.pictures / folder).iterdir())
            frames = Frames([paths[number % len(paths)] for number in range(64)], augment)
            options = dict(batch_size=BATCH, num_workers=self.threads, persistent_workers=True)
            self.loaders[folder, augment] = self.torch.utils.data.DataLoader(frames, **options)
        return self.loaders[folder, augment]

    def train(self):
        loss = self.torch.nn.functional.multilabel_soft_margin_loss(self.trainee(self.many), self.torch.ones(BATCH, CLASSES))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class Frames:
    """As the authors' data set classes do it: Pillow and torchvision's transforms."""

    def __init__(self, paths, augment):
        from torchvision import transforms

        steps = [transforms.Resize((HEIGHT, WIDTH))]
        if augment:
            jitter = transforms.ColorJitter(0.1, 0.1, 0.1, 0.05)
            steps += [jitter, transforms.RandomHorizontalFlip(), transforms.RandomRotation(5)]
        self.transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, number):
        from PIL import Image

        return self.transform(Image.open(self.paths[number]).convert("RGB"))


def timed(frames, once, seconds):
    """Milliseconds a frame, of several repetitions after one that does not count."""
    once()
    times, begun = [], time.perf_counter()
    while not times or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        once()
        times.append((time.perf_counter() - start) * 1e3 / frames)
    return times


def encode_as_cameras_do(pictures):
    """JPEG with colours at half the size, as stills of videos are."""
    from PIL import Image

    for path in sorted((pathlib.Path(pictures) / "jpeg").iterdir()):
        Image.open(path).convert("RGB").save(path, quality=90, subsampling="4:2:0")


def serve(pictures, seconds, threads):
    """A round for each line that comes in; the times of each step go out as JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    encode_as_cameras_do(pictures)
    steps = Peers(pictures, threads).steps()
    print(json.dumps("ready"), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: timed(frames, once, seconds) for name, (frames, once) in steps.items()}), file=answers, flush=True)


# The comparison.


def environment():
    """The Python that has the peers."""
    python = ENVIRONMENT / "bin" / "python"
    probe = [python, "-c", "import torch, torchvision, pytorch_grad_cam, onnxruntime, onnx"]
    if not python.exists() or subprocess.run(probe, capture_output=True).returncode != 0:
        print("installing the peers (6 GB on disk)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def surgcam(pictures, seconds):
    """Milliseconds a frame of each step, as (name, batch). On the CPU, as the peers."""
    program = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "debug" / "surgcam"
    command = [program, "bench", "strategies", "--json", "--rounds", "1", "--seconds", str(seconds), "--pictures", pictures, "--device", "cpu"]
    command += ["--batch", str(BATCH), *(part for step in OURS for part in ("--only", step))]
    measured = json.loads(subprocess.run(command, check=True, cwd=PROJECT, stdout=subprocess.PIPE, text=True).stdout)
    return {f"{step['step']}, batch {step['batch']}": step["p50_milliseconds_per_frame"] for step in measured["steps"]}, measured


def ratios(ours, peers):
    """What, our time, the time of what it is compared with, and of what that is."""
    one, many = "batch 1", f"batch {BATCH}"
    forward = ours[f"forward, {one}"]
    eager, eager_many = peers[f"torchvision forward, {one}"], peers[f"torchvision forward, {many}"]
    sl_fe = ours[f"sl-fe, {one}"]
    lines = [
        ("SL-FE, batch 1", sl_fe, forward, "our forward pass"),
        ("SL-FE, batch 1", sl_fe, eager, "torchvision's forward pass"),
        ("SL-FE, batch 1", sl_fe, peers["authors' flow, SL-FE of 3 classes"], "the authors' flow"),
        ("SL-FE, batch 1", sl_fe, peers["pytorch-grad-cam, heat maps of 3 classes"], "pytorch-grad-cam's heat maps"),
        ("L-FE, batch 1", ours[f"l-fe, {one}"], forward, "our forward pass"),
        ("L-FE, batch 1", ours[f"l-fe, {one}"], peers["authors' flow, L-FE of 3 classes"], "the authors' flow"),
        ("LN-FE, 7 boxes, batch 1", ours[f"ln-fe, 7 boxes, {one}"], forward, "our forward pass"),
        ("LN-FE, 7 boxes, batch 1", ours[f"ln-fe, 7 boxes, {one}"], peers["authors' flow, LN-FE of 3 classes"], "the authors' flow"),
        ("forward, batch 1", forward, peers[f"ONNX Runtime forward, {one}"], "ONNX Runtime's forward pass"),
        (f"SL-FE, {many}", ours[f"sl-fe, {many}"], eager_many, "torchvision's forward pass"),
        (f"forward, {many}", ours[f"forward, {many}"], peers[f"ONNX Runtime forward, {many}"], "ONNX Runtime's forward pass"),
        ("training step", ours[f"training step, {many}"], peers["PyTorch training step"], "PyTorch eager's"),
    ]
    augmented = ours[f"packed frames, augmented, {many}"]
    for kind in ("png", "jpg"):
        decoded = ours[f"{DECODE.format(kind)}, batch 64"]
        lines.append((f"decode and resize {kind}", decoded, peers[f"DataLoader, {kind}"], "PyTorch's DataLoader"))
        lines.append(("packed frames, augmented", augmented, peers[f"DataLoader, {kind}, augmented"], f"PyTorch's DataLoader from {kind}"))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each step in each round")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there, too")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.serve, arguments.seconds, arguments.threads)

    with tempfile.TemporaryDirectory() as folder:
        pictures = os.path.join(folder, "pictures")
        _, measured = surgcam(pictures, 0.01)  # draws them
        command = [environment(), __file__, "--serve", pictures, "--seconds", str(arguments.seconds), "--threads", str(measured["threads"])]
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert peer.stdout.readline(), "the peers did not start; run them by hand to see why: " + " ".join(map(str, command))
        all_ours, all_peers = {}, {}
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            times, measured = surgcam(pictures, arguments.seconds)
            for name, value in times.items():
                all_ours.setdefault(name, []).append(value)
            peer.stdin.write("\n")
            peer.stdin.flush()
            for name, values in json.loads(peer.stdout.readline()).items():
                all_peers.setdefault(name, []).append(statistics.median(values))
        peer.stdin.close()
        peer.wait()

    ours = {name: statistics.median(values) for name, values in all_ours.items()}
    peers = {name: statistics.median(values) for name, values in all_peers.items()}
    print(f"\n{measured['device']}, {measured['threads']} threads, f32, ResNet-50 at {HEIGHT}x{WIDTH}; medians of {arguments.rounds} rounds\n")
    for title, figures in (("surgcam", ours), ("peers", peers)):
        print(f"{title:44} ms/frame")
        for name, value in figures.items():
            print(f"  {name:42} {value:8.2f}")
        print()
    print(f"{'ratio of times':44} {'':>8}")
    compared = ratios(ours, peers)
    for what, own, other, of in compared:
        print(f"  {what:26} {own / other:8.3f} of {of} ({other / own:.1f} times as fast)")
    if arguments.json:
        lines = [{"what": what, "to": of, "ratio": own / other} for what, own, other, of in compared]
        machine = {name: measured[name] for name in ("device", "threads", "libtorch", "backbone", "image_size", "precision")}
        arguments.json.write_text(json.dumps({**machine, "surgcam": ours, "peers": peers, "ratios": lines}, indent=2) + "\n")


if __name__ == "__main__":
    main()

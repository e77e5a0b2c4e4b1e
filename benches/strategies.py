"""Extraction and training beside their peers: the authors' flow, pytorch-grad-cam, torchvision, ONNX
Runtime, PyTorch's DataLoader.

Lets surgcam and the peers (a process of its own that waits in between) take turns, round by round, so
that a slow minute of the machine falls on both. Prints medians and ratios. Where there is a GPU they
are compared on it, in f32 and bf16, at batch 1 and 64; elsewhere on the CPU, in f32, at batch 1 and 8.

    python3 benches/strategies.py [--device cuda:0|cpu] [--python PATH] [--rounds 8] [--seconds 0.5]
                                  [--json FILE]

Without --python it makes a virtual environment below target/ and installs the peers from the package
index; that needs python3 with venv and pip, and takes 6 GB on disk. --python names a Python that has
torch: nothing is installed, and peers that it does not have are left out.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import card
import peers
import turns
from turns import FORWARD, FROM_PACKS, L_FE, LN_FE, PROJECT, SL_FE, TRAINING

ENVIRONMENT = PROJECT / "target" / "peers-strategies"
PACKAGES = ["torch==2.11.0", "torchvision==0.26.0", "grad-cam==1.5.5"]
PACKAGES += ["onnxruntime==1.32.*", "onnx==1.23.*", "pillow==13.*"]

# Of `surgcam bench strategies`: how it names what is compared with a DataLoader.
DECODE = "decode and resize {} to batches"
AUGMENTED = "packed frames, augmented"
INPUT = [DECODE.format("png"), DECODE.format("jpg"), AUGMENTED]
PASSES = [FORWARD, SL_FE, L_FE, LN_FE, TRAINING]
LOADERS = [f"DataLoader, {kind}{augmented}" for augmented in ("", ", augmented") for kind in ("png", "jpg")]

# How long a round may take: on two cores, LN-FE as the authors do it takes seconds a frame.
PATIENCE = 1800


def environment():
    """The Python that has the peers."""
    python = ENVIRONMENT / "bin" / "python"
    probe = [python, "-c", "import torch, torchvision, pytorch_grad_cam, onnxruntime, onnx"]
    if not python.exists() or subprocess.run(probe, capture_output=True).returncode != 0:
        print("installing the peers (6 GB on disk)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


CPU_BATCH, CARD_BATCH = 8, 64
ON_CPU = {
    "f32": [
        *(peers.forward_name(frames) for frames in (1, CPU_BATCH)),
        *(f"ONNX Runtime forward, batch {frames}" for frames in (1, CPU_BATCH)),
        peers.GRAD_CAM,
        *peers.AUTHORS_FLOW.values(),
        *LOADERS,
        peers.training_name(CPU_BATCH),
    ]
}
ON_CARD = {
    "f32": [
        *(peers.forward_name(frames) for frames in (1, CARD_BATCH)),
        *(peers.forward_name(frames, "f32", peers.TF32) for frames in (1, CARD_BATCH)),
        peers.GRAD_CAM,
        *peers.AUTHORS_FLOW.values(),
        *LOADERS,
        peers.training_name(CARD_BATCH),
    ],
    "bf16": [
        *(peers.forward_name(frames, "bf16") for frames in (1, CARD_BATCH)),
        peers.forward_name(CARD_BATCH, "bf16", peers.TRIED_OUT),
        *(peers.training_name(CARD_BATCH, "bf16", variant) for variant in (None, peers.TRIED_OUT)),
    ],
}


@dataclasses.dataclass
class Comparison:
    """What is compared on a kind of device: steps of surgcam and of the peers, by precision."""

    batch: int
    steps: dict
    of_peers: dict

    @classmethod
    def on(cls, device):
        if device == "cpu":
            return cls(CPU_BATCH, {"f32": [*INPUT, *PASSES]}, ON_CPU)
        steps = {"f32": [*INPUT, *PASSES, FROM_PACKS], "bf16": [*PASSES, FROM_PACKS]}
        return cls(CARD_BATCH, steps, ON_CARD)

    def ratios(self, ours, others):
        if self.of_peers is ON_CPU:
            of_device = cpu_ratios(ours["f32"], others)
        else:
            of_device = turns.card_ratios(ours, others, self.batch)
        return of_device + input_ratios(ours["f32"], others, self.batch)


def cpu_ratios(ours, others):
    one, many = "batch 1", f"batch {CPU_BATCH}"

    def time(what, step, other, of):
        return turns.Ratio.time(what, of, ours.get(step), other)

    def speed(what, step, other, of):
        return turns.Ratio.speed(what, of, ours.get(step), other)

    forward, eager = ours.get(f"{FORWARD}, {one}"), others.get(peers.forward_name(1))
    eager_many = others.get(peers.forward_name(CPU_BATCH))
    trained = others.get(peers.training_name(CPU_BATCH))
    onnx = {frames: others.get(f"ONNX Runtime forward, {frames}") for frames in (one, many)}
    flow = {mode: others.get(name) for mode, name in peers.AUTHORS_FLOW.items()}
    sl_fe, l_fe, ln_fe = (f"{mode}, {one}" for mode in (SL_FE, L_FE, LN_FE))
    return [
        time("SL-FE, batch 1", sl_fe, forward, "our forward pass"),
        time("SL-FE, batch 1", sl_fe, eager, "torchvision's forward pass"),
        speed("SL-FE, batch 1", sl_fe, flow["sl-fe"], "the authors' flow"),
        speed("SL-FE, batch 1", sl_fe, others.get(peers.GRAD_CAM), "pytorch-grad-cam's heat maps"),
        time("L-FE, batch 1", l_fe, forward, "our forward pass"),
        speed("L-FE, batch 1", l_fe, flow["l-fe"], "the authors' flow"),
        time("LN-FE, 7 boxes, batch 1", ln_fe, forward, "our forward pass"),
        speed("LN-FE, 7 boxes, batch 1", ln_fe, flow["ln-fe"], "the authors' flow"),
        time("forward, batch 1", f"{FORWARD}, {one}", onnx[one], "ONNX Runtime's forward pass"),
        time(f"SL-FE, {many}", f"{SL_FE}, {many}", eager_many, "torchvision's forward pass"),
        time(f"forward, {many}", f"{FORWARD}, {many}", onnx[many], "ONNX Runtime's forward pass"),
        time("training step", f"{TRAINING}, {many}", trained, "PyTorch eager's"),
    ]


def input_ratios(ours, others, batch):
    """Of what comes before the network, the CPU's work on either device."""
    speed = turns.Ratio.speed
    lines = []
    for kind in ("png", "jpg"):
        own, other = ours.get(f"{DECODE.format(kind)}, batch 64"), others.get(f"DataLoader, {kind}")
        lines.append(speed(f"decode and resize {kind}", "PyTorch's DataLoader", own, other))
        own, other = ours.get(f"{AUGMENTED}, batch {batch}"), others.get(f"DataLoader, {kind}, augmented")
        lines.append(speed("packed frames, augmented", f"PyTorch's DataLoader from {kind}", own, other))
    return lines


def measured_in_turns(arguments, device, compared, folder):
    """Medians of surgcam's steps by precision and of the peers'; why peers were not measured; the machine."""
    pictures, seconds = folder / "pictures", arguments.seconds
    programs = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "debug"
    surgcam = turns.Surgcam(turns.find_programs(programs), device)
    # A short first call draws the pictures and tells the threads.
    _, machine = surgcam.strategies([FORWARD], compared.batch, 0.01, pictures, patience=PATIENCE)
    process = turns.PeerProcess(
        arguments.python or environment(),
        folder / "peers.log",
        device,
        machine["threads"],
        [1, compared.batch],
        pictures=pictures,
    )
    ours = {precision: turns.Figures() for precision in compared.steps}
    others, not_measured = turns.Figures(), {}
    try:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for precision, steps in compared.steps.items():
                options = {"precision": precision, "patience": PATIENCE}
                times, _ = surgcam.strategies(steps, compared.batch, seconds, pictures, **options)
                ours[precision].add(times)
                times, failures, _ = process.ask(compared.of_peers[precision], seconds, PATIENCE)
                others.add(times)
                not_measured.update(failures)
        machine["peers"] = {name: value for name, value in process.described.items() if name != "steps"}
    finally:
        process.end()
    ours = {precision: figures.medians() for precision, figures in ours.items()}
    return ours, others.medians(), not_measured, machine


def print_figures(ours, others, not_measured, ratios):
    rows = [["medians of the rounds", "ms/frame"]]
    for precision, figures in ours.items():
        rows += [[f"{step}, {precision}", f"{value:.3f}"] for step, value in figures.items()]
    rows += [[name, f"{value:.3f}"] for name, value in others.items()]
    print("\n".join(turns.drawn(rows)) + "\n")
    for name, reason in not_measured.items():
        print(f"not measured: {name}: {reason}")
    print("\n".join(turns.drawn_ratios(ratios)))


def parsed():
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--device", help="cuda:N or cpu; the first GPU where there is one")
    of_python = "a Python that has torch and what peers it shall measure"
    parser.add_argument("--python", type=pathlib.Path, help=of_python)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each step in each round")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there, too")
    return parser.parse_args()


def main():
    arguments = parsed()
    device = arguments.device or ("cuda:0" if card.is_there() else "cpu")
    compared = Comparison.on(device)
    with tempfile.TemporaryDirectory() as folder:
        try:
            measured = measured_in_turns(arguments, device, compared, pathlib.Path(folder))
        except turns.Failed as reason:
            sys.exit(f"strategies: {reason}")
    ours, others, not_measured, machine = measured
    ratios = compared.ratios(ours, others)
    where = f"{machine['device']}, {machine['threads']} threads"
    print(f"\n{where}, ResNet-50 at 256x320; medians of {arguments.rounds} rounds\n")
    print_figures(ours, others, not_measured, ratios)
    if arguments.json:
        names = ("device", "threads", "libtorch", "backbone", "image_size", "peers")
        told = {name: machine[name] for name in names}
        told["card"] = None if device == "cpu" else card.described(device)
        told |= {"surgcam": ours, "peers_milliseconds": others, "not_measured": not_measured}
        told["ratios"] = [ratio.as_json() for ratio in ratios]
        arguments.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()

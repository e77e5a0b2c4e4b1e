"""surgcam and its peers in turns: what benches/strategies.py and scripts/gpu-check share.

Both programs of surgcam are called as a user calls them; the peers (peers.py) are a process of their
own that waits in between. Whoever measures collects `Figures` over several rounds, so that a slow
minute of the machine falls on both sides, and divides their medians into `Ratio`s.
"""

import dataclasses
import json
import os
import pathlib
import queue
import shutil
import signal
import statistics
import subprocess
import threading

import peers

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PEERS = pathlib.Path(__file__).resolve().parent / "peers.py"

# Of `surgcam bench strategies`, as it names them.
FORWARD, SL_FE, L_FE, LN_FE = "forward", "sl-fe", "l-fe", "ln-fe, 7 boxes"
TRAINING, FROM_PACKS = "training step", "training step, from packs"

# How long a program that is told to end may take to end its workers.
GRACE = 10


class Failed(Exception):
    """Something could not be measured; the text says why."""


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def output_of(command, patience, accepted=(0,), **options):
    """What a command prints. It is ended when it takes longer, or when we are."""
    name = " ".join([pathlib.Path(command[0]).name, *map(str, command[1:3])])
    if patience <= 0:
        raise Failed(f"no time is left for `{name}`")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen([str(part) for part in command], text=True, **pipes, **options)
    except OSError as error:
        raise Failed(f"`{name}` cannot be started: {error}") from error
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"`{name}` was not done within {patience:.0f} s") from error
    finally:
        end(process)
    if process.returncode not in accepted:
        raise Failed(f"`{name}` ended with {process.returncode}: {last_line(err or out)}")
    return out


def end(process):
    """Ends a process that we started, if it still runs."""
    if process.poll() is None:
        process.terminate()
        try:
            process.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def find_programs(given=None):
    """The folder that has surgcam and surgcam-worker."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    folders = [pathlib.Path(given)] if given else [target / "release", target / "debug"]
    on_path = None if given else shutil.which("surgcam")
    folders += [pathlib.Path(on_path).resolve().parent] if on_path else []
    for folder in folders:
        if all((folder / program).is_file() for program in ("surgcam", "surgcam-worker")):
            return folder.resolve()
    looked = ", ".join(map(str, folders))
    raise Failed(f"surgcam and surgcam-worker are not in {looked}; build them, or name their folder")


def child_environment(**more):
    """Ours, without what would make GPUs or precisions differ between surgcam and its peers."""
    environment = {name: value for name, value in os.environ.items() if name != "NVIDIA_TF32_OVERRIDE"}
    if "CUDA_VISIBLE_DEVICES" not in environment:
        # cuda:0 is then the same card for both, and for nvidia-smi.
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    environment.update({name: str(value) for name, value in more.items()})
    return environment


class Surgcam:
    """The program, on one device."""

    def __init__(self, programs, device, environment=None):
        self.program = programs / "surgcam"
        self.device = device
        self.environment = environment or child_environment()

    def run(self, *arguments, patience, accepted=(0,), device=None, **more):
        command = [self.program, *arguments, "--device", device or self.device]
        environment = {**self.environment, **{name: str(value) for name, value in more.items()}}
        return output_of(command, patience, accepted, cwd=PROJECT, env=environment)

    def strategies(
        self, only, batch, seconds, pictures, precision="f32", image_size=(256, 320), patience=600
    ):
        """One round. Milliseconds a frame of each step, by `STEP, batch N`; and all that was printed."""
        command = ["bench", "strategies", "--json", "--rounds", "1", "--seconds", seconds]
        command += ["--pictures", pictures, "--precision", precision]
        command += ["--batch", batch, "--training-batch", batch]
        command += ["--image-size", *image_size, *(part for step in only for part in ("--only", step))]
        text = self.run(*command, patience=patience)
        try:
            measured = json.loads(text)
            times = {}
            for step in measured["steps"]:
                times[f"{step['step']}, batch {step['batch']}"] = step["p50_milliseconds_per_frame"]
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(f"`surgcam bench strategies --json` printed something else: {error!r}") from error
        return times, measured


class PeerProcess:
    """peers.py in a Python that has torch.

    It starts with the first question, and again with the next one after it was ended.
    """

    def __init__(self, python, log, device, threads, batches, image_size=(256, 320), pictures=None):
        options = ["--device", device, "--threads", threads, "--batches", *batches]
        options += ["--image-size", *image_size, *(["--pictures", pictures] if pictures else [])]
        self.command = [str(part) for part in (python, PEERS, *options)]
        self.log = pathlib.Path(log)
        self.process, self.answers, self.described = None, None, None

    def start(self, patience):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with self.log.open("a") as log:
            # A session of its own: what torch.compile and DataLoader start ends with it.
            started = subprocess.Popen(
                self.command, stderr=log, text=True, env=child_environment(), start_new_session=True, **pipes
            )
        self.process, self.answers = started, queue.Queue()
        reader = threading.Thread(target=read_lines, args=(started.stdout, self.answers), daemon=True)
        reader.start()
        self.described = self.answer(patience)

    def answer(self, patience):
        try:
            line = self.answers.get(timeout=max(patience, 0.1))
        except queue.Empty:
            self.end()
            raise Failed(f"the peers did not answer within {patience:.0f} s") from None
        except BaseException:
            self.end()
            raise
        if line is None:
            self.end()
            said = self.log.read_text(errors="replace")
            raise Failed(f"the peers ended: {last_line(said)}")
        return json.loads(line)

    def ask(self, names, seconds, patience):
        """Three answers by step: median milliseconds a frame; why there are none; seconds to get ready."""
        if self.process is None:
            self.start(patience)
        try:
            self.process.stdin.write(json.dumps({"steps": list(names), "seconds": seconds}) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # It has ended; the answer says why.
        answers = self.answer(patience)
        failures = {name: found["failed"] for name, found in answers.items() if "failed" in found}
        measured = {name: found for name, found in answers.items() if name not in failures}
        times = {name: statistics.median(found["milliseconds"]) for name, found in measured.items()}
        return times, failures, {name: found["prepared_in"] for name, found in measured.items()}

    def end(self):
        if self.process is None:
            return
        process, self.process = self.process, None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()


def read_lines(stream, lines):
    try:
        for line in stream:
            lines.put(line)
    except ValueError:
        pass  # It was closed meanwhile.
    lines.put(None)


class Figures:
    """Times by name, one of each round."""

    def __init__(self):
        self.rounds = {}

    def add(self, times):
        for name, value in times.items():
            self.rounds.setdefault(name, []).append(value)

    def medians(self):
        return {name: statistics.median(values) for name, values in self.rounds.items()}


@dataclasses.dataclass
class Ratio:
    """One figure divided by another, and what is wanted of it."""

    what: str
    of: str
    value: float | None
    at_most: float | None = None
    at_least: float | None = None

    @classmethod
    def divided(cls, what, of, one, other, **wanted):
        return cls(what, of, one / other if one is not None and other else None, **wanted)

    @classmethod
    def time(cls, what, of, own, other, **wanted):
        """Our time as a share of the other's."""
        return cls.divided(f"{what}: time", of, own, other, **wanted)

    @classmethod
    def speed(cls, what, of, own, other, **wanted):
        """How many times as fast as the other."""
        return cls.divided(f"{what}: speed", of, other, own, **wanted)

    def wanted(self):
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"

    def is_met(self):
        """`None` where nothing is wanted or nothing was measured."""
        if self.value is None or not self.wanted():
            return None
        return self.value <= self.at_most if self.at_most is not None else self.value >= self.at_least

    def as_json(self):
        return {**dataclasses.asdict(self), "met": self.is_met()}

    def cells(self):
        value = "not measured" if self.value is None else f"{self.value:.3f}"
        met = {True: "yes", False: "no", None: "not known" if self.wanted() else ""}[self.is_met()]
        return [self.what, self.of, self.wanted(), value, met]


def card_ratios(ours, others, batch):
    """What is compared on a GPU; first the ratios that are wanted, of which none is left out.

    `ours`: precision -> `STEP, batch N` -> milliseconds a frame. `others`: the peers' by their names.
    """

    def own(precision, step, frames):
        return ours.get(precision, {}).get(f"{step}, batch {frames}")

    def peer(*name):
        return others.get(peers.forward_name(*name))

    def trained_by_peer(*name):
        return others.get(peers.training_name(batch, *name))

    time, speed = Ratio.time, Ratio.speed
    one, many, half = own("f32", SL_FE, 1), own("f32", SL_FE, batch), own("bf16", SL_FE, batch)
    full_step, half_step = own("f32", TRAINING, batch), own("bf16", TRAINING, batch)
    full_packed, half_packed = own("f32", FROM_PACKS, batch), own("bf16", FROM_PACKS, batch)
    flow = {mode: others.get(name) for mode, name in peers.AUTHORS_FLOW.items()}
    of_one, of_many = "SL-FE, f32, batch 1", f"SL-FE, f32, batch {batch}"
    of_half = f"SL-FE, bf16, batch {batch}"
    of_full_step = f"training step, f32, batch {batch}"
    of_half_step = f"training step, bf16, batch {batch}"
    half_mixed = trained_by_peer("bf16")
    wanted = [
        time(of_one, "torchvision's eager forward pass", one, peer(1), at_most=0.6),
        speed(of_one, "the authors' flow", one, flow["sl-fe"], at_least=15),
        speed(of_half, "torchvision's, channels last", half, peer(batch, "bf16"), at_least=0.9),
        time(of_half_step, "PyTorch's, autocast, channels last", half_step, half_mixed, at_most=1.0),
        time(f"{of_half_step}, from packs", "on data on the card", half_packed, half_step, at_most=1.05),
    ]
    tf32, tried_out = peers.TF32, peers.TRIED_OUT
    compiled = {key: others.get(peers.compiled_name(*key)) for key in ((1, "f32"), (batch, "bf16"))}
    by_trial, steps_by_trial = peer(batch, "bf16", tried_out), trained_by_peer("bf16", tried_out)
    further = [
        time(of_one, "our forward pass", one, own("f32", FORWARD, 1)),
        time(of_one, "torchvision's with TF32", one, peer(1, "f32", tf32)),
        time(of_one, "torch.compile's forward pass", one, compiled[1, "f32"]),
        speed(of_one, "pytorch-grad-cam's heat maps", one, others.get(peers.GRAD_CAM)),
        speed("L-FE, f32, batch 1", "the authors' flow", own("f32", L_FE, 1), flow["l-fe"]),
        speed("LN-FE, f32, batch 1", "the authors' flow", own("f32", LN_FE, 1), flow["ln-fe"]),
        speed(of_many, "torchvision's eager forward pass", many, peer(batch)),
        speed(of_many, "torchvision's with TF32", many, peer(batch, "f32", tf32)),
        speed(of_half, "our forward pass", half, own("bf16", FORWARD, batch)),
        speed(of_half, "torchvision's with cudnn.benchmark", half, by_trial),
        speed(of_half, "torch.compile's forward pass", half, compiled[batch, "bf16"]),
        time(of_half_step, "PyTorch's with cudnn.benchmark", half_step, steps_by_trial),
        time(of_full_step, "PyTorch's", full_step, trained_by_peer()),
        time(f"{of_full_step}, from packs", "on data on the card", full_packed, full_step),
    ]
    return wanted + [ratio for ratio in further if ratio.value is not None]


def drawn(rows):
    """Lines of a table; numbers to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]

    def is_number(cell):
        return cell.replace(".", "", 1).replace("-", "", 1).isdigit()

    def line(row):
        sided = [str.rjust if is_number(cell) else str.ljust for cell in row]
        cells = [aligned(cell, width) for aligned, cell, width in zip(sided, row, widths)]
        return "  ".join(cells).rstrip()

    return [line(row) for row in rows]


def drawn_ratios(ratios):
    return drawn([["ratio", "to", "wanted", "reached", "met"], *(ratio.cells() for ratio in ratios)])

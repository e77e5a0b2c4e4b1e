"""What the driver's own tool says of a GPU: its name, and how busy it is while something runs."""

import datetime
import os
import shutil
import statistics
import subprocess
import threading

TOOL = "nvidia-smi"
INTERVAL = 200  # Milliseconds between two samples.
SAMPLED = ["timestamp", "utilization.gpu", "memory.used"]


def identity(device):
    """What the driver's tool calls `cuda:N`: an entry of CUDA_VISIBLE_DEVICES, or the number itself."""
    number = int(device.split(":")[1]) if ":" in device else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    visible = [entry.strip() for entry in visible if entry.strip()]
    return visible[number] if number < len(visible) else str(number)


def is_there():
    """Whether this machine has a driver and a GPU."""
    if not shutil.which(TOOL):
        return False
    listed = subprocess.run([TOOL, "-L"], capture_output=True, text=True, timeout=60)
    return listed.returncode == 0 and "GPU" in listed.stdout


def described(device):
    """Name, driver and memory, or `None` where the tool does not tell."""
    if not shutil.which(TOOL):
        return None
    query = "--query-gpu=name,driver_version,memory.total"
    command = [TOOL, query, "--format=csv,noheader,nounits", "-i", identity(device)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    parts = [part.strip() for part in told.stdout.strip().split(",")]
    if told.returncode != 0 or len(parts) != 3:
        return None
    return {"name": parts[0], "driver": parts[1], "memory_mib": number(parts[2])}


def number(text):
    """`None` for what the tool does not know, as in `[N/A]`."""
    try:
        return float(text)
    except ValueError:
        return None


def sample(line):
    """Seconds since 1970, busy per cent, MiB in use; `None` of a line that is no sample."""
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != len(SAMPLED):
        return None
    try:
        when = datetime.datetime.strptime(parts[0], "%Y/%m/%d %H:%M:%S.%f").timestamp()
    except ValueError:
        return None
    busy, used = number(parts[1]), number(parts[2])
    return None if busy is None else (when, busy, used)


class Sampler:
    """Watches a GPU while the block runs."""

    def __init__(self, device):
        self.device = device
        self.samples, self.process, self.reader = [], None, None

    def __enter__(self):
        if self.device != "cpu" and shutil.which(TOOL):
            query = [f"--query-gpu={','.join(SAMPLED)}", "--format=csv,noheader,nounits"]
            # Line by line: what it keeps back when it is ended would be lost.
            prefix = ["stdbuf", "-oL"] if shutil.which("stdbuf") else []
            command = [*prefix, TOOL, *query, "-i", identity(self.device), "-lms", str(INTERVAL)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self.process = subprocess.Popen(command, text=True, **pipes)
            self.reader = threading.Thread(target=self.read, daemon=True)
            self.reader.start()
        return self

    def read(self):
        self.samples += filter(None, map(sample, self.process.stdout))

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.reader.join()
            self.process.stdout.close()

    def within(self, begin, end):
        """Of the samples between two times: how busy the card was, and the most memory in use."""
        return summary([found for found in self.samples if begin <= found[0] <= end])


def summary(samples):
    if not samples:
        return {"samples": 0, "busy_share": None, "most_memory_mib": None}
    used = [memory for _, _, memory in samples if memory is not None]
    return {
        "samples": len(samples),
        "busy_share": statistics.mean(busy for _, busy, _ in samples) / 100,
        "most_memory_mib": max(used, default=None),
    }

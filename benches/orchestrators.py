"""A no-op of 1,000 stages, as a chain and as a fan-out: surgcam beside DVC and Snakemake, interleaved in one run.

Makes a virtual environment below target/, installs both from the package index, writes equal graphs for all three, lets each
find that nothing is to be done, several times in turn, and prints medians and ratios. Needs python3 with venv and pip, and git.

    python3 benches/orchestrators.py [--stages 1000] [--rounds 3]
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENT = PROJECT / "target" / "peers-orchestrators"
PACKAGES = ["dvc>=3.60,<4", "snakemake>=9,<10"]


def environment():
    """The folder of programs of a virtual environment that has the peers."""
    programs = ENVIRONMENT / "bin"
    if not (programs / "snakemake").exists() or not (programs / "dvc").exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return programs


def before(shape, number):
    """The stage that a stage needs."""
    if number == 0:
        return None
    return number - 1 if shape == "chain" else 0


def surgcam(folder, shape, stages):
    program = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "debug" / "surgcam"
    command = [program, "bench", "empty-plan", "--shape", shape, "--stages", str(stages)]
    variables = dict(os.environ, SURGCAM_STORE=str(folder / "store"))
    subprocess.run(command, check=True, env=variables, cwd=PROJECT, stdout=subprocess.DEVNULL)
    return lambda: subprocess.run(command, check=True, env=variables, cwd=PROJECT, capture_output=True, text=True).stdout, " 0 run"


def dvc(folder, shape, stages, programs):
    """The lock file is written by hand: running 1,000 stages through DVC would take a quarter of an hour."""
    name = "out-{}".format
    described, locked = {}, {}
    digest = hashlib.md5(b"x").hexdigest()
    for number in range(stages):
        (folder / name(number)).write_text("x")
        needed = before(shape, number)
        stage = {"cmd": f"printf x > {name(number)}", "outs": [{name(number): {"cache": False}}]}
        lock = {"cmd": stage["cmd"], "outs": [{"path": name(number), "hash": "md5", "md5": digest, "size": 1}]}
        if needed is not None:
            stage["deps"] = [name(needed)]
            lock["deps"] = [{"path": name(needed), "hash": "md5", "md5": digest, "size": 1}]
        described[f"stage-{number}"], locked[f"stage-{number}"] = stage, lock
    # JSON is YAML.
    (folder / "dvc.yaml").write_text(json.dumps({"stages": described}))
    (folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": locked}))
    run = lambda *command: subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True).stdout
    run("git", "init", "--quiet")
    run(programs / "dvc", "init", "--quiet")
    return lambda: run(programs / "dvc", "repro"), "up to date"


def snakemake(folder, shape, stages, programs):
    rules = ["rule all:\n    input: " + ", ".join(f"'out-{number}'" for number in range(stages))]
    for number in range(stages):
        needed = before(shape, number)
        wanted = "" if needed is None else f"    input: 'out-{needed}'\n"
        rules.append(f"rule stage_{number}:\n{wanted}    output: 'out-{number}'\n    shell: 'printf x > {{output}}'")
        path = folder / f"out-{number}"
        path.write_text("x")
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
    (folder / "Snakefile").write_text("\n".join(rules) + "\n")

    def run():
        done = subprocess.run([programs / "snakemake", "--cores", "1", "--rerun-triggers", "mtime"], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr[-2000:])
        return done.stdout + done.stderr

    return run, "Nothing to be done"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--stages", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    programs = environment()
    versions = {peer: subprocess.run([programs / peer, "--version"], capture_output=True, text=True).stdout.strip() for peer in ["dvc", "snakemake"]}
    print(f"no-op of {chosen.stages} stages, median of {chosen.rounds} rounds, {os.cpu_count()} cores; DVC {versions['dvc']}, Snakemake {versions['snakemake']}")
    for shape in ["chain", "fan-out"]:
        work = pathlib.Path(tempfile.mkdtemp())
        try:
            folders = {name: work / name for name in ["surgcam", "dvc", "snakemake"]}
            for folder in folders.values():
                folder.mkdir()
            tools = {
                "surgcam": surgcam(folders["surgcam"], shape, chosen.stages),
                "dvc": dvc(folders["dvc"], shape, chosen.stages, programs),
                "snakemake": snakemake(folders["snakemake"], shape, chosen.stages, programs),
            }
            times = {name: [] for name in tools}
            for _ in range(chosen.rounds):
                for name, (run, expected) in tools.items():
                    begun = time.perf_counter()
                    said = run()
                    times[name].append(time.perf_counter() - begun)
                    if expected not in said:
                        raise SystemExit(f"{name} did something: {said[-500:]}")
            medians = {name: statistics.median(found) for name, found in times.items()}
            for name, median in medians.items():
                print(f"{shape:8} {name:10} {median * 1000:10.0f} ms   {median / medians['surgcam']:8.0f} x surgcam")
        finally:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()

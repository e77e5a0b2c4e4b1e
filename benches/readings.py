"""What scripts/gpu-check reads of surgcam's own results: how fast a training went, and whether two
machines' tables tell the same.

Pure functions of files. docs/contract.md names what of them scripts may rely on; of the store this
reads a training's history.csv and the journal of its run.
"""

import collections
import csv
import datetime
import json
import pathlib
import statistics

# Columns of the tables that say which row it is. What is measured is in none of them.
ROW = {"variant", "trained on", "classes", "frames", "mode", "head", "case"}
ROW |= {"T_ROI", "pool", "ground truth", "roi threshold"}
# mAP of the quickstart on one device beside another: another order of sums makes another training of
# 150 frames. Two processors differ by up to 0.03 in a row; on a GPU, dropout has other masks, too.
ROW_NOISE, MEAN_NOISE = 0.10, 0.05


def training_experiment(
    name, precision, epochs, batch, sequences, frames, picture_size, image_size, backbone=None
):
    """An experiment that trains GC-A's recipe on drawn frames; the first sequence is for validation.

    That one is short, so that an epoch's seconds, validation included, are those of the training.
    """
    trained = ", ".join(str(number) for number in range(2, sequences + 2))
    architecture = f'backbone = "{backbone}"\n' if backbone else ""
    return f"""[experiment]
name = "{name}"
description = "How fast a training reads {sequences * frames} frames from a pack"
tables = ["classification"]
speed = false

[data.drawn-frames]
extends = "sample-endovis18"
train = [{trained}]
validation = [1]
frames_per_sequence = {frames}
picture_size = {list(picture_size)}
image_size = {list(image_size)}

[model.trained-on-drawn-frames]
extends = "gc-a"
data = "drawn-frames"
init = "random"
epochs = {epochs}
batch_size = {batch}
precision = "{precision}"
{architecture}
[matrix]
model = ["trained-on-drawn-frames"]
"""


def stage_of(record, kind):
    """The first stage of a kind in a run's plan (run.json), or `None`."""
    stages = record.get("plan", {}).get("stages", [])
    return next((stage for stage in stages if stage["kind"] == kind), None)


def object_path(store, digest):
    """Where the store keeps what has this digest (`sha256:...`)."""
    digits = digest.split(":")[-1]
    return pathlib.Path(store) / "objects" / digits[:2] / digits


def epoch_seconds(store, record):
    """Seconds of each epoch, validation included, from the training's history."""
    stage = stage_of(record, "train")
    with object_path(store, stage["outputs"]["history.csv"]).open(newline="") as history:
        return [float(row["seconds"]) for row in csv.DictReader(history)]


def ends_of_epochs(store, record):
    """When each epoch of the training ended, in seconds since 1970, from the journal of the run."""
    stage = stage_of(record, "train")["name"]
    times = []
    with (pathlib.Path(store) / "runs" / record["run"] / "events.jsonl").open() as journal:
        for line in journal:
            entry = json.loads(line)
            is_note = entry["event"] == "note" and entry["stage"] == stage
            if is_note and (entry.get("text") or "").startswith("epoch "):
                time = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
                times.append(time.timestamp())
    return times


def frames_a_second(frames, seconds):
    """Of the epochs after the first, in which algorithms are chosen and memory is asked for."""
    return frames / statistics.median(seconds[1:])


def read_table(path):
    with pathlib.Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def row_name(row):
    return tuple((column, value) for column, value in row.items() if column in ROW)


def shown(name):
    return ", ".join(value for _, value in name if value)


def compared_tables(tables, reference):
    """The tables of one device beside another's (two folders): the same rows, and mAP within the noise."""
    of_tables, maps = {}, []
    for path in sorted(pathlib.Path(reference).glob("*.csv")):
        own = pathlib.Path(tables) / path.name
        rows, expected = read_table(own) if own.exists() else [], read_table(path)
        names, expected_names = (collections.Counter(map(row_name, some)) for some in (rows, expected))
        of_tables[path.stem] = {
            "rows": len(rows),
            "missing": [shown(name) for name in (expected_names - names).elements()],
            "further": [shown(name) for name in (names - expected_names).elements()],
        }
        if path.stem == "classification":
            maps = compared_maps(rows, expected)
    has_same_rows = bool(of_tables) and all(
        table["rows"] and not table["missing"] and not table["further"] for table in of_tables.values()
    )
    return {"same_rows": has_same_rows, "tables": of_tables, "mAP": maps, **noise_of(maps)}


def noise_of(maps):
    """How far apart, and whether that is within the noise; a row without a value on either side is not."""
    differences = [line["difference"] for line in maps]
    if not differences or None in differences:
        return {"mAP_within_noise": False, "largest_difference": None, "mean_difference": None}
    largest, mean = max(map(abs, differences)), statistics.mean(differences)
    is_within = largest <= ROW_NOISE and abs(mean) <= MEAN_NOISE
    return {"mAP_within_noise": is_within, "largest_difference": largest, "mean_difference": mean}


def compared_maps(rows, expected):
    own = {row_name(row): row for row in rows}
    lines = []
    for row in expected:
        here, there = number(own.get(row_name(row), {}).get("mAP")), number(row.get("mAP"))
        difference = here - there if here is not None and there is not None else None
        lines.append({"row": row.get("variant"), "device": here, "cpu": there, "difference": difference})
    return lines


def number(text):
    return float(text) if text else None

"""Writes coco_labels/: drawn labels as pycocotools writes them, and the same ones as plain tables.

    python3 tests/golden/coco_labels.py

The numbers come from a seeded generator, and the classes are those of the sample data in Cholec80's
layout. There are no pictures. The test draws them, and expects the same frames, labels and boxes of
both forms. Needs pycocotools 2.0.8 or newer.

Boxes go in as results and come out as annotations with areas, outlines and ids, which
`COCO.loadRes` adds. In instances.json their corners lie on quarters of a pixel. The tables have
whole pixels, which this script rounds outwards by itself.
"""

import contextlib
import csv
import json
import math
import random
import sys
from pathlib import Path

from pycocotools.coco import COCO

FOLDER = Path(__file__).parent / "coco_labels"
TOOLS = ["Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag"]
# Ids as people leave them behind: some classes were taken out.
CATEGORIES = {name: 3 * index + 1 for index, name in enumerate(TOOLS)}
VIDEOS = {1: 7, 2: 12, 7: 9}
WIDTH, HEIGHT = 80, 64
MOST_BOXES = 4


def drawn_box(numbers):
    """The corners of a box, on quarters of a pixel. Some boxes reach an edge or have no area."""
    x1, y1 = (numbers.randrange(4 * (side - 1) + 1) / 4 for side in (WIDTH, HEIGHT))
    x2 = x1 + numbers.randrange(int(4 * (WIDTH - x1)) + 1) / 4
    y2 = y1 + numbers.randrange(int(4 * (HEIGHT - y1)) + 1) / 4
    case = numbers.randrange(8)
    if case == 0:
        x1, y1 = 0, 0
    elif case == 1:
        x2, y2 = WIDTH, HEIGHT
    elif case == 2:
        x2, y2 = x1, y1 = math.floor(x1), math.floor(y1)
    return x1, y1, x2, y2


def whole(box):
    """The corners of a box, rounded outwards."""
    x1, y1, x2, y2 = box
    return [math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)]


def names_of(boxes):
    return ";".join(sorted({name for name, _ in boxes}))


def frames(numbers):
    """The picture's path, the video and the boxes of each frame, in the order of the pictures."""
    for video, count in VIDEOS.items():
        for frame in sorted(numbers.sample(range(500), count)):
            boxes = [
                (numbers.choice(TOOLS), drawn_box(numbers))
                for _ in range(numbers.randrange(MOST_BOXES + 1))
            ]
            yield f"video{video:02}/{frame:06}.png", f"video{video:02}", boxes


def as_coco(drawn):
    images, results = [], []
    for index, (path, _, boxes) in enumerate(drawn):
        identifier = 100 + 7 * index
        images.append({"id": identifier, "file_name": path, "width": WIDTH, "height": HEIGHT})
        for name, (x1, y1, x2, y2) in boxes:
            results.append(
                {
                    "image_id": identifier,
                    "category_id": CATEGORIES[name],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": 1.0,
                }
            )
    empty = COCO()
    empty.dataset = {
        "info": {"description": "drawn labels of no picture"},
        "images": images,
        "annotations": [],
        "categories": [{"id": number, "name": name} for name, number in CATEGORIES.items()],
    }
    # pycocotools prints what it does.
    with contextlib.redirect_stdout(sys.stderr):
        empty.createIndex()
        return empty.loadRes(results).dataset


def write_table(name, header, rows):
    with open(FOLDER / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main():
    drawn = list(frames(random.Random(24)))
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(as_coco(drawn), separators=(",", ":"))
    (FOLDER / "instances.json").write_text(text + "\n")
    write_table(
        "frames.csv",
        ["path", "group", "labels"],
        [[path, video, names_of(boxes)] for path, video, boxes in drawn],
    )
    write_table(
        "boxes.csv",
        ["path", "class", "x1", "y1", "x2", "y2"],
        [[path, name, *whole(box)] for path, _, boxes in drawn for name, box in boxes],
    )


main()

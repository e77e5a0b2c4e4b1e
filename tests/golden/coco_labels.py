"""Writes coco_labels.json: the labels of one video of m2cai16 as pycocotools writes them.

No picture is in the file. A test reads it beside the pictures and expects the labels and boxes of
the Cholec80 form. Needs pycocotools 2.0.8 or newer. REAL/m2cai16 is that set in Cholec80's layout:

    python3 tests/golden/coco_labels.py REAL/m2cai16 > tests/golden/coco_labels.json

Boxes go in as results and come out as annotations with areas, outlines and ids, which
`COCO.loadRes` adds.
"""

import contextlib
import csv
import json
import struct
import sys
from pathlib import Path

from pycocotools.coco import COCO

VIDEO = 7


def jpeg_size(path):
    """Width and height, from the frame header of a JPEG."""
    content = path.read_bytes()
    place = 2
    while True:
        marker = content[place + 1]
        (length,) = struct.unpack(">H", content[place + 2 : place + 4])
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return width, height
        place += 2 + length


def images(root):
    lines = (root / f"tool_annotations/video{VIDEO:02}-tool.txt").read_text().splitlines()
    tools = [name.lower() for name in lines[0].split("\t")[1:]]
    listed = []
    for line in lines[1:]:
        # The tool file counts at 25 fps, the pictures at 1 fps.
        frame = int(line.split("\t")[0]) // 25
        name = f"video{VIDEO:02}/{frame:06}.jpg"
        width, height = jpeg_size(root / "frames" / name)
        listed.append({"id": frame, "file_name": name, "width": width, "height": height})
    return tools, listed


def boxes(root, tools):
    with open(root / f"boxes/video{VIDEO:02}.csv", newline="") as file:
        for row in csv.DictReader(file):
            x1, y1, x2, y2 = (int(row[corner]) for corner in ("x1", "y1", "x2", "y2"))
            category = tools.index(row["tool"].lower()) + 1
            yield {
                "image_id": int(row["frame"]),
                "category_id": category,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": 1.0,
            }


def main(root):
    tools, listed = images(root)
    empty = COCO()
    empty.dataset = {
        "info": {"description": "m2cai16-tool-locations, labels of one video"},
        "images": listed,
        "annotations": [],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(tools)],
    }
    # pycocotools prints what it does.
    with contextlib.redirect_stdout(sys.stderr):
        empty.createIndex()
        written = empty.loadRes(list(boxes(root, tools)))
    json.dump(written.dataset, sys.stdout, separators=(",", ":"))
    print()


main(Path(sys.argv[1]))

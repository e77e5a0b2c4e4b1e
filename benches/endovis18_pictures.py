#!/usr/bin/env python3
"""Draws a picture for every frame of EndoVis18's label files, where the real ones are not at hand.

    endovis18_pictures.py LABELS CAPTIONS FOLDER

LABELS has `annotation_tool/` and `gt_bbox/` (and perhaps `interactions.csv`), CAPTIONS has
`captions_train.json` and `captions_val.json`. FOLDER becomes a data set in EndoVis18's layout:
copies of these files, and PNGs of 1280x1024 that cost as much to read as real ones do: a shaded
background with noise, and an ellipse in each true box. They are for measuring time and space, and
say nothing about accuracy. Needs Pillow. The same labels give the same pictures.
"""

import pathlib
import random
import shutil
import sys

from PIL import Image, ImageChops, ImageDraw

SIZE = WIDTH, HEIGHT = 1280, 1024
NOISE_LEVELS = 16
# One for each box of a line of gt_bbox: eight tools, then the tissue, which is the background.
COLOURS = [
    (190, 70, 70), (70, 70, 190), (70, 170, 70), (200, 200, 200), (190, 190, 70),
    (170, 60, 170), (70, 190, 190), (69, 139, 116),
]


def background(generator):
    """A reddish picture, darker towards its edges, with noise that PNG cannot compress away."""
    horizontal = Image.linear_gradient("L").resize((HEIGHT, WIDTH)).rotate(90, expand=True)
    vertical = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    light = ImageChops.screen(horizontal, vertical)
    shade = ImageChops.multiply(light, Image.new("L", SIZE, 150))
    channels = []
    for strength in (1.0, 0.55, 0.5):
        grain = Image.frombytes("L", SIZE, generator.randbytes(WIDTH * HEIGHT))
        grain = grain.point([value * NOISE_LEVELS // 256 for value in range(256)])
        shaded = shade.point([int(value * strength) for value in range(256)])
        channels.append(ImageChops.add(shaded, grain))
    return Image.merge("RGB", channels)


def boxes_of(path):
    """The boxes of each frame: {"frame000": [(class, (x1, y1, x2, y2)), ...]}."""
    frames = {}
    for line in path.read_text().splitlines():
        name, *numbers = [part.strip() for part in line.split(",")]
        corners = [int(float(number)) for number in numbers if number]
        boxes = [tuple(corners[start:start + 4]) for start in range(0, len(corners) - 3, 4)]
        frames[name] = [(index, box) for index, box in enumerate(boxes[:len(COLOURS)]) if any(box)]
    return frames


def frames_of(path):
    """The numbers of the frames that a tool file names."""
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return [row[0] for row in rows if row]


def draw(base, number, boxes):
    picture = ImageChops.offset(base, 37 * number % WIDTH, 23 * number % HEIGHT)
    pen = ImageDraw.Draw(picture)
    for index, (x1, y1, x2, y2) in boxes:
        pen.ellipse((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), fill=COLOURS[index])
    return picture


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    labels, captions, folder = map(pathlib.Path, sys.argv[1:])
    for part in ("annotation_tool", "gt_bbox"):
        shutil.copytree(labels / part, folder / part, dirs_exist_ok=True)
    if (labels / "interactions.csv").exists():
        shutil.copy(labels / "interactions.csv", folder)
    shutil.copytree(captions, folder / "captions", dirs_exist_ok=True)

    base = background(random.Random(18))
    drawn = 0
    for tool_file in sorted((labels / "annotation_tool").glob("*/seq_*.txt")):
        boxes = boxes_of(labels / "gt_bbox" / tool_file.name)
        pictures = folder / tool_file.stem / "left_frames"
        pictures.mkdir(parents=True, exist_ok=True)
        for number in frames_of(tool_file):
            picture = draw(base, drawn, boxes.get(f"frame{number}", []))
            picture.save(pictures / f"frame{number}.png", compress_level=1)
            drawn += 1
    print(f"{drawn} pictures in {folder}")


if __name__ == "__main__":
    main()

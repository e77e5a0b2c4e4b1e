"""Writes localization.json: drawn boxes with the figures of pycocotools and scikit-learn, drawn heat maps with those of numpy.

Boxes are [x1, y1, x2, y2] with inclusive pixels. Of the five classes, 0 to 2 have predicted and true boxes, 3 has predicted ones
only, and 4 true ones only. Needs numpy, pycocotools 2.0.8 or newer and scikit-learn:

    python3 tests/golden/localization.py > tests/golden/localization.json
"""

import contextlib
import json
import sys

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score, precision_score, recall_score

WIDTH, HEIGHT = 320, 256
FRAMES = 30
CLASSES = 5
ONLY_PREDICTED, ONLY_TRUE = 3, 4
MOST_BOXES = 100

random = numpy.random.default_rng(20)


def drawn_box():
    width, height = (int(side) for side in random.integers(8, 120, size=2))
    x, y = int(random.integers(0, WIDTH - width)), int(random.integers(0, HEIGHT - height))
    return [x, y, x + width - 1, y + height - 1]


def moved(box):
    """The box with its corners moved a little, and never inverted."""
    x1, y1, x2, y2 = (int(value) for value in numpy.array(box) + random.integers(-12, 13, size=4))
    return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]


def drawn_confidence():
    """One of 40 values, so that equal ones are frequent, in single precision."""
    return float(numpy.float32(int(random.integers(1, 41)) / 40))


def drawn_frame():
    """`truth`: [class, box]; `predicted`: [class, box, confidence]."""
    truth, predicted = [], []
    for cls in range(CLASSES):
        for _ in range(int(random.integers(0, 4))):
            box = drawn_box()
            if cls != ONLY_PREDICTED:
                truth.append([cls, box])
            if cls != ONLY_TRUE and random.random() < 0.8:
                predicted.append([cls, moved(box), drawn_confidence()])
        for _ in range(int(random.integers(0, 3))):
            if cls != ONLY_TRUE:
                predicted.append([cls, drawn_box(), drawn_confidence()])
    return {"truth": truth, "predicted": predicted}


def drawn_frames():
    frames = [drawn_frame() for _ in range(FRAMES)]
    # IoUs that are exactly on the thresholds: 10/20, 11/20 and so on.
    for place, wide in enumerate(range(10, 21)):
        frames[place]["truth"].append([0, [100, 200, 119, 209]])
        frames[place]["predicted"].append([0, [100, 200, 100 + wide - 1, 209], drawn_confidence()])
    # More boxes than are judged.
    frames[12]["truth"].extend([1, drawn_box()] for _ in range(3))
    frames[12]["predicted"].extend([1, drawn_box(), drawn_confidence()] for _ in range(MOST_BOXES + 30))
    # The same true box twice.
    frames[13]["truth"].extend([[2, [10, 10, 60, 60]], [2, [10, 10, 60, 60]]])
    frames[13]["predicted"].extend([2, moved([10, 10, 60, 60]), drawn_confidence()] for _ in range(3))
    # A frame with nothing at all.
    frames[14] = {"truth": [], "predicted": []}
    return frames


def coco_box(box):
    x1, y1, x2, y2 = box
    return [float(x1), float(y1), float(x2 - x1 + 1), float(y2 - y1 + 1)]


def evaluated(frames):
    """COCO's evaluation; pycocotools takes an id of 0 for `unmatched`, so ids count from 1."""
    annotations, results = [], []
    for place, frame in enumerate(frames):
        for cls, box in frame["truth"]:
            bounds = coco_box(box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": place + 1,
                    "category_id": cls + 1,
                    "bbox": bounds,
                    "area": bounds[2] * bounds[3],
                    "iscrowd": 0,
                }
            )
        for cls, box, confidence in frame["predicted"]:
            results.append({"image_id": place + 1, "category_id": cls + 1, "bbox": coco_box(box), "score": confidence})
    truth = COCO()
    truth.dataset = {
        "info": {},
        "licenses": [],
        "images": [{"id": place + 1, "width": WIDTH, "height": HEIGHT} for place in range(len(frames))],
        "categories": [{"id": cls + 1, "name": str(cls)} for cls in range(CLASSES)],
        "annotations": annotations,
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.params.maxDets = [MOST_BOXES]
    evaluation.params.areaRng = [[0, 1e10]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def matches_at_50(evaluation, cls):
    """Of one class, as scikit-learn wants it: what is true and what was predicted, for each predicted and each missed box."""
    true, predicted = [], []
    for of_image in evaluation.evalImgs:
        if of_image is None or of_image["category_id"] != cls + 1:
            continue
        for match in of_image["dtMatches"][0]:
            true.append(int(match > 0))
            predicted.append(1)
        for match in of_image["gtMatches"][0]:
            if match == 0:
                true.append(1)
                predicted.append(0)
    return true, predicted


def class_figures(evaluation, cls):
    precision = evaluation.eval["precision"][:, :, cls, 0, 0]
    if (precision < 0).any():
        return None
    true, predicted = matches_at_50(evaluation, cls)
    return {
        "precision": float(precision_score(true, predicted, zero_division=0)),
        "recall": float(recall_score(true, predicted, zero_division=0)),
        "f1": float(f1_score(true, predicted, zero_division=0)),
        "average_precision_at_50": float(precision[0].mean()),
        "average_precision_50_to_95": float(precision.mean()),
    }


def mean_figures(per_class):
    known = [figures for figures in per_class if figures is not None]
    return {name: float(numpy.mean([figures[name] for figures in known])) for name in known[0]}


def drawn_heat():
    """A heat map of the size of its picture, the boxes of its class, and the figures."""
    height, width = 24, 32
    values = random.random((height, width)).astype(numpy.float32)
    boxes = []
    for _ in range(int(random.integers(1, 4))):
        x1, x2 = sorted(int(x) for x in random.integers(0, width, size=2))
        y1, y2 = sorted(int(y) for y in random.integers(0, height, size=2))
        boxes.append([x1, y1, x2, y2])
    inside = numpy.zeros((height, width), dtype=bool)
    for x1, y1, x2, y2 in boxes:
        inside[y1 : y2 + 1, x1 : x2 + 1] = True
    heat = values.astype(numpy.float64)
    return {
        "height": height,
        "width": width,
        "values": [float(value) for value in values.ravel()],
        "boxes": boxes,
        "energy_in_box": float(heat[inside].sum() / heat.sum()),
        "is_hit": bool(inside.ravel()[heat.argmax()]),
    }


def main():
    # pycocotools prints.
    with contextlib.redirect_stdout(sys.stderr):
        frames = drawn_frames()
        evaluation = evaluated(frames)
    per_class = [class_figures(evaluation, cls) for cls in range(CLASSES)]
    assert [cls for cls in range(CLASSES) if per_class[cls] is None] == [ONLY_PREDICTED]
    golden = {
        "classes": CLASSES,
        "frames": frames,
        "mean": mean_figures(per_class),
        "per_class": per_class,
        "heat": [drawn_heat() for _ in range(6)],
    }
    json.dump(golden, sys.stdout)
    print()


if __name__ == "__main__":
    main()

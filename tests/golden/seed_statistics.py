"""Mean and sample standard deviation of some seeds' scores, by NumPy: statistics.json.

    python3 tests/golden/seed_statistics.py > tests/golden/statistics.json
"""

import json

import numpy as np

CASES = [
    [0.8731, 0.8519, 0.8907],
    [0.5, 0.5, 0.5000001],
    [63.21, 60.08, 61.77, 59.9, 64.05],
    [1e-9, 3e-9],
]


def case(values):
    return {"values": values, "mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1))}


print(json.dumps({"numpy": np.__version__, "cases": [case(values) for values in CASES]}, indent=1))

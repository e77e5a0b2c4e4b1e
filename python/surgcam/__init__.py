"""The Python side of surgcam: run experiments, and read their tables and features.

Everything is done by the program `surgcam`, which this package starts and whose output it reads:

    import surgcam

    surgcam.run("quickstart")                           # as `surgcam run quickstart`
    table = surgcam.tables("quickstart")["extraction"]  # a data frame of polars or pandas
    for name, features in surgcam.features("quickstart").items():
        features.values, features.classes, features.boxes, features.frames
        features.dataset()                              # for torch's DataLoader

The working folder must be in a project (`surgcam init my-project` makes one), or `project` names
one.
"""

from ._features import Features, features
from ._program import SurgcamError, program, run, version
from ._tables import tables

__all__ = ["Features", "SurgcamError", "features", "program", "run", "tables", "version"]

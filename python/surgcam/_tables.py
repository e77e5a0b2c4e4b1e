"""Tables as data frames."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ._program import PathLike, ask, overrides


def tables(
    experiment: PathLike,
    *,
    set: Mapping[str, Any] | None = None,
    project: PathLike | None = None,
) -> dict[str, Any]:
    """The tables of an experiment from the store, with all columns and all digits.

    Nothing is run. Values of stages that are not in the store yet are missing.

    Args:
        experiment: a TOML file, or the name of one in `experiments/`.
        set: the overrides that it was run with, as in `{"model.epochs": 2}`.
        project: the project's folder; the working folder's project if left out.

    Returns:
        A data frame for each table, by its name (`classification`, `localization`, `extraction`):
        of polars if it is installed, else of pandas.

    Raises:
        SurgcamError: the experiment is wrong.
        ImportError: neither polars nor pandas is installed.
    """
    frame = _data_frames()
    arguments = ["table", os.fspath(experiment), "--format", "json", *overrides(set)]
    told = json.loads(ask(arguments, project))
    return {name: frame(table["columns"], table["rows"]) for name, table in told.items()}


def _data_frames() -> Any:
    """What makes a data frame from names of columns and rows."""
    try:
        polars = importlib.import_module("polars")
    except ImportError:
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise ImportError(
                "tables are data frames of polars or pandas: `pip install polars`"
            ) from None
        return lambda columns, rows: pandas.DataFrame(rows, columns=columns)
    # A column may begin with many rows without a value, so that all of them tell its type.
    return lambda columns, rows: polars.DataFrame(
        rows, schema=columns, orient="row", infer_schema_length=None
    )

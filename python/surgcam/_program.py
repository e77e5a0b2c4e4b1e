"""Finding the program and starting it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

#: Whatever names a file or a folder.
PathLike = Union[str, "os.PathLike[str]"]


class SurgcamError(RuntimeError):
    """The program ended with another exit code than 0.

    Attributes:
        code: the exit code. 1: a stage failed; 2: a recipe or the command is wrong and nothing ran;
            130: interrupted.
        message: what the program wrote to stderr; empty where it went to your terminal.
    """

    def __init__(self, command: Sequence[str], code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message or f"`{' '.join(command)}` ended with exit code {code}")


def program() -> str:
    """The path of the program: that of the variable SURGCAM_PROGRAM, the one that came with this
    package, or the first on the PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    named = os.environ.get("SURGCAM_PROGRAM")
    found = named or _of_this_package() or shutil.which("surgcam")
    if found is None:
        raise FileNotFoundError(
            "the program `surgcam` is neither in this Python's environment nor on the PATH; "
            "`pip install surgcam` brings it"
        )
    return found


def _of_this_package() -> str | None:
    try:
        files = importlib.metadata.files("surgcam") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "surgcam" and file.parent.name == "bin":
            path = Path(str(file.locate())).resolve()
            return str(path) if path.is_file() else None
    return None


def version() -> str:
    """The program's version."""
    return ask(["--version"]).split()[-1]


def run(
    experiment: PathLike,
    *options: str,
    set: Mapping[str, Any] | None = None,
    project: PathLike | None = None,
) -> None:
    """Runs an experiment, as `surgcam run` does: only the stages that are not in the store yet.

    Progress and tables go to this process's own stderr and stdout.

    Args:
        experiment: a TOML file, or the name of one in `experiments/`.
        options: more options of `surgcam run`, as in `"--device", "cuda:0"`.
        set: values of recipes to override, as in `{"model.epochs": 2}`.
        project: the project's folder; the working folder's project if left out.

    Raises:
        SurgcamError: a stage failed, or the experiment is wrong.
    """
    command = [program(), "run", os.fspath(experiment), *options, *overrides(set)]
    code = subprocess.run(command, cwd=project, check=False).returncode
    if code != 0:
        raise SurgcamError(command, code, "")


def overrides(values: Mapping[str, Any] | None) -> list[str]:
    """`--set` for each value. A value is written as TOML, whose texts, numbers, booleans and lists
    are those of JSON."""
    options = []
    for key, value in (values or {}).items():
        options += ["--set", f"{key}={json.dumps(value)}"]
    return options


def ask(arguments: Sequence[str], project: PathLike | None = None) -> str:
    """What the program prints.

    Raises:
        SurgcamError: with what the program wrote to stderr.
    """
    command = [program(), *arguments]
    said = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    if said.returncode != 0:
        raise SurgcamError(command, said.returncode, said.stderr.strip())
    return said.stdout

"""The torch that this Python would import, found without importing it."""

import importlib.util
import pathlib


def folder():
    """Its package's folder, or `None`."""
    found = importlib.util.find_spec("torch")
    folders = list(found.submodule_search_locations or []) if found else []
    return folders[0] if folders else None


def version():
    """As its version.py says, or `None`."""
    file = pathlib.Path(folder() or "", "version.py")
    if not folder() or not file.is_file():
        return None
    lines = [line for line in file.read_text().splitlines() if line.startswith("__version__")]
    return lines[0].split("=")[1].strip().strip("'\"") if lines else None

"""Puts the two programs into the wheel.

The programs come from the folder that SURGCAM_PROGRAMS names, or `make build` builds them. They are
stripped, and lose the path of the libtorch that they were linked with, because on another machine
that path means nothing, or worse, something else. The wheel's tag says which glibc it needs, which
is read from the programs: a tag that promised more than they keep would be a lie that shows only on
somebody else's machine.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAMS = ("surgcam", "surgcam-worker")

#: The glibc of the wheel's tag, and the newest versions of other libraries' symbols that every
#: system with this glibc has (PEP 600; the numbers are auditwheel's).
GLIBC = (2, 34)
NEWEST = {"GLIBC": GLIBC, "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (11,)}

#: Libraries that the programs may need. The system has all but the last two, which are torch's:
#: surgcam finds them when it starts a worker.
LIBRARIES = {
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc10.so",
    "libtorch_cpu.so",
}

DT_NEEDED, DT_RPATH, DT_RUNPATH = 1, 15, 29


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls before it writes the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        work = Path(self.directory) / "programs"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        folder = programs_folder(root)
        for name in PROGRAMS:
            program = work / name
            subprocess.run(["strip", "-o", program, folder / name], check=True)
            forget_library_paths(program)
            check_promises(program)
            program.chmod(0o755)
            build_data["shared_scripts"][str(program)] = name
        licences = work / "THIRD-PARTY-LICENCES.txt"
        collect = [sys.executable, root / "scripts/licences", "--out", licences]
        subprocess.run(collect, check=True, cwd=root)
        build_data["force_include"][str(licences)] = f"surgcam/share/{licences.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_{GLIBC[0]}_{GLIBC[1]}_{platform.machine()}"


def programs_folder(root: Path) -> Path:
    """The folder with the programs, which are built if nobody has named it."""
    named = os.environ.get("SURGCAM_PROGRAMS")
    if not named:
        subprocess.run(["make", "build"], check=True, cwd=root)
        named = str(Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "debug")
    folder = Path(named)
    missing = [name for name in PROGRAMS if not (folder / name).is_file()]
    if missing:
        raise SystemExit(f"wheel: {folder} has no {' and no '.join(missing)}; run `make build`")
    return folder


def forget_library_paths(program: Path) -> None:
    """Removes DT_RPATH and DT_RUNPATH. Their text goes as well, so that the place where a wheel was
    built does not tell its bytes apart from another's."""
    content = bytearray(program.read_bytes())
    table, size, strings = dynamic_section(content)
    kept = []
    for offset in range(table, table + size, 16):
        tag, value = struct.unpack_from("<qQ", content, offset)
        if tag in (DT_RPATH, DT_RUNPATH):
            end = content.index(b"\0", strings + value)
            content[strings + value : end] = bytes(end - strings - value)
        else:
            kept.append(bytes(content[offset : offset + 16]))
    content[table : table + size] = b"".join(kept).ljust(size, b"\0")
    program.write_bytes(content)


def dynamic_section(content: bytearray) -> tuple[int, int, int]:
    """Where the dynamic section of a 64-bit ELF file is, its size, and where its strings are."""
    if content[:6] != b"\x7fELF\x02\x01":
        raise SystemExit("wheel: a program is not a 64-bit little-endian ELF file")
    (sections,) = struct.unpack_from("<Q", content, 40)
    entry, count = struct.unpack_from("<HH", content, 58)
    headers = [struct.unpack_from("<IIQQQQII", content, sections + entry * i) for i in range(count)]
    for _name, kind, _flags, _address, offset, size, link, _info in headers:
        if kind == 6:  # SHT_DYNAMIC; its link is the section of its strings
            return offset, size, headers[link][4]
    raise SystemExit("wheel: a program has no dynamic section")


def check_promises(program: Path) -> None:
    """Stops the build where the program needs more than the tag promises."""
    told = subprocess.run(
        ["objdump", "-T", "-p", program], check=True, capture_output=True, text=True
    ).stdout
    needed = set(re.findall(r"\b(GLIBC|GLIBCXX|CXXABI|GCC)_([0-9.]+)", told))
    # What this mark stands for came with glibc 2.36.
    needed |= {("GLIBC", "2.36")} if "GLIBC_ABI_DT_RELR" in told else set()
    broken = []
    for library, version in sorted(needed):
        if tuple(map(int, version.split("."))) > NEWEST[library]:
            broken.append(f"{library}_{version}")
    broken += sorted(set(re.findall(r"^\s+NEEDED\s+(\S+)", told, re.MULTILINE)) - LIBRARIES)
    broken += re.findall(r"^\s+(?:RPATH|RUNPATH)\s+\S+", told, re.MULTILINE)
    if broken:
        raise SystemExit(
            f"wheel: {program.name} needs {', '.join(broken)}, which not every system with glibc "
            f"{GLIBC[0]}.{GLIBC[1]} has; build on an older system, or raise the tag in "
            f"python/build.py"
        )

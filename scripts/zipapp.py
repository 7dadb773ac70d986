# ruff: noqa: INP001  # a script, not a package
"""Builds native/wallarm-fast.pyz: all steps and their libraries in a file that any Python from 3.11 on runs.

The libraries are those of the image, without compiled parts. The same sources give the same bytes. It is not
made by the standard library's zipapp, which keeps the times and the order of the file system.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "native/wallarm-fast.pyz"
# One Python and one platform, since the lock has markers. What is left is pure Python.
TARGET = ("--python-version=3.11", "--python-platform=x86_64-unknown-linux-gnu")
LEFT_OUT = re.compile(r"(^|/)(bin|tests?|__pycache__)/|\.(so|pyc|lock)$|dist-info/(?!METADATA$|.*LICEN[CS]E)")
# Whoever starts the file without -S must not get a library of this Python in place of one of ours.
MAIN = """import sys
sys.path[1:] = [path for path in sys.path[1:] if not path.endswith(("site-packages", "dist-packages"))]
import entrypoint
entrypoint.run()
"""


def main() -> None:
    """Install the libraries, and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--target", folder, "--requirement", str(ROOT / "requirements.txt")]
        options += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--quiet", *TARGET]
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "pip", "install", *options], check=True)  # noqa: S603 - our own lock
        files = {
            "__main__.py": MAIN.encode(),
            **dict(_read(Path(folder))),
            **dict(_read(ROOT, "wallarm_fast")),
        }
        files |= {name: (ROOT / name).read_bytes() for name in ("entrypoint.py", "LICENSE")}
    with FILE.open("wb") as stream:
        stream.write(b"#!/usr/bin/env python3\n")
        with ZipFile(stream, "w", ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(files):
                info = ZipInfo(name)  # of 1980
                info.external_attr = 0o644 << 16
                info.create_system = 3  # Unix, wherever it is built
                archive.writestr(info, files[name], ZIP_DEFLATED)
    FILE.chmod(0o755)
    print(f"{FILE.relative_to(ROOT)}: {FILE.stat().st_size:,} bytes, {len(files)} files")  # noqa: T201


def _read(folder: Path, package: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the files that are needed."""
    for path in sorted((folder / package).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not LEFT_OUT.search(name):
            yield name, path.read_bytes()


if __name__ == "__main__":
    os.umask(0o022)
    main()

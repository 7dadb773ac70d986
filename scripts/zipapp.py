# ruff: noqa: INP001  # a script, not a package
"""Builds native/wallarm-fast.pyz: all steps and their libraries in a file that any Python from 3.11 on runs.

The libraries are those of the image, without compiled parts. The same sources give the same bytes. It is not
made by the standard library's zipapp, which keeps the times and the order of the file system.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ROOT = Path(__file__).resolve().parents[1]
# One Python and one platform, since the lock has markers. What is left is pure Python.
TARGET = ("--python-version=3.11", "--python-platform=x86_64-unknown-linux-gnu")
LEFT_OUT = re.compile(
    r"^_yaml/|(^|/)(bin|tests?|__pycache__)/|\.(so|pyc|lock)$|dist-info/(?!METADATA$|.*LICEN[CS]E)"
)
# Whoever starts the file without -S must not get a library of this Python in place of one of ours.
MAIN = """import sys
sys.path[1:] = [path for path in sys.path[1:] if not path.endswith(("site-packages", "dist-packages"))]
import entrypoint
entrypoint.run()
"""


def main() -> None:
    """Write the file, here or where the argument says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "native/wallarm-fast.pyz")
    file = parser.parse_args().file
    files = {**_libraries(), **_read(ROOT, "wallarm_fast"), "__main__.py": MAIN.encode()}
    files |= {name: (ROOT / name).read_bytes() for name in ("entrypoint.py", "LICENSE")}
    with file.open("wb") as stream:
        stream.write(b"#!/usr/bin/env python3\n")
        with ZipFile(stream, "w", ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(files):
                info = ZipInfo(name)  # of 1980
                info.external_attr = 0o644 << 16
                info.create_system = 3  # Unix, wherever it is built
                archive.writestr(info, files[name], ZIP_DEFLATED)
    file.chmod(0o755)
    print(f"{file}: {file.stat().st_size:,} bytes, {len(files)} files")  # noqa: T201


def _libraries() -> dict[str, bytes]:
    """Return the files of the locked libraries."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--target", folder, "--requirement", str(ROOT / "requirements.txt")]
        options += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--quiet", *TARGET]
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "pip", "install", *options], check=True)  # noqa: S603 - our own lock
        return _read(Path(folder))


def _read(folder: Path, package: str = "") -> dict[str, bytes]:
    """Return names and contents of the files that are needed."""
    names = {path.relative_to(folder).as_posix(): path for path in (folder / package).rglob("*")}
    return {
        name: path.read_bytes()
        for name, path in names.items()
        if path.is_file() and not LEFT_OUT.search(name)
    }


if __name__ == "__main__":
    main()

# ruff: noqa: INP001  # a script, not a package
"""Make action.yml start the published image instead of building the Dockerfile, for a release."""

import argparse
import re
import sys
from pathlib import Path

_REFERENCE = re.compile(r"[a-z0-9.-]+(/[a-z0-9._-]+)+:v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}")
_BUILT = re.compile(r"^(  image:) Dockerfile$", re.MULTILINE)


def pin(action: str, reference: str) -> str:
    """Return the text of action.yml with `runs.image` set to the reference, and nothing else changed.

    ValueError if the reference does not name a version and a digest, or if the text does not build
    the Dockerfile in exactly one place.
    """
    if not _REFERENCE.fullmatch(reference):
        raise ValueError(f"not of the form HOST/NAME:vX.Y.Z@sha256:DIGEST: {reference!r}")
    pinned, count = _BUILT.subn(rf"\1 docker://{reference}", action)
    if count != 1:
        raise ValueError(f"the line 'image: Dockerfile' is there {count} times, not once")
    return pinned


def main() -> None:
    """Rewrite the file; a failure is one line and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", type=Path, help="path of action.yml")
    parser.add_argument("reference", help="HOST/NAME:vX.Y.Z@sha256:DIGEST")
    args = parser.parse_args()
    try:
        args.action.write_text(pin(args.action.read_text(encoding="utf-8"), args.reference), encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

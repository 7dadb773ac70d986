"""`python -m tests.e2e ACTION`: build the image with the engine there is; then test it, or time it."""

import argparse
import os
import signal
import sys

import pytest

from tests.e2e import bench_container
from tests.e2e.engine import ROOT, STEP_IMAGE, EngineError, build_images, running_engine

# The tests of a runner share what they install, so each file has one process; they mostly wait.
_PYTEST_OPTIONS = [
    *("--override-ini=addopts=--strict-markers --strict-config", "-rP", "--timeout=600"),
    *("--numprocesses=4", "--dist=loadfile"),
]


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.e2e", description=__doc__)
    parser.add_argument("action", choices=("image", "test", "bench"))
    parser.add_argument("options", nargs="*", help="for pytest, after --")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that what was started is stopped
    try:
        with running_engine() as docker:
            base = build_images(docker)
            print(f"Built {STEP_IMAGE} on {base}", flush=True)
            if args.action == "bench":
                bench_container.main(docker)
            elif args.action == "test":
                os.environ.update(docker.environ, PYTHON_IMAGE=base)
                return pytest.main([*_PYTEST_OPTIONS, str(ROOT / "tests/e2e"), *args.options])
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

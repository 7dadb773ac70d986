"""`python -m tests.e2e ACTION`: builds the images; then tests or times them."""

import argparse
import os
import signal
import sys

import pytest

from tests.e2e import bench_container
from tests.e2e.engine import ROOT, STEP_IMAGE, EngineError, build_images, running_engine

# A line per test at the end, and all output of those that fail.
_PYTEST = ["--override-ini=addopts=--strict-markers --strict-config", "--quiet", "-rfEp", "--timeout=600"]
# The tests of a runner share what they install, so each file has a process of its own. They mostly wait.
_PYTEST += ["--numprocesses=4", "--dist=loadfile", str(ROOT / "tests/e2e")]


def main() -> int:
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
                os.environ.update(docker.environ, E2E_DOCKER=docker.client, E2E_BASE=base)
                return pytest.main([*_PYTEST, *args.options])
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

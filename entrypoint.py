#!/usr/bin/env python3
"""What the container starts: the step that the first argument or the name of the command tells, else stop."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before anything that an old Python fails at
    sys.stderr.write("error: Python 3.11 or newer is needed\n")
    sys.exit(2)

import importlib
import io
import os
import signal
from pathlib import Path

# By argument; the commands of the image are this file under other names.
STEPS = {"start": "start-recording", "stop": "stop-recording", "verdict": "fast-verdict"}


def main(arguments: list[str]) -> int:
    """Run a step with the command line, without the name of the program; return the exit code."""
    # Process 1 of a container ignores signals that it does not handle. The step takes over once it is loaded.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os._exit(128 + number))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # and not closed
            # One character that cannot be encoded must not lose a line; runners expect the line ends of Unix.
            stream.reconfigure(errors="backslashreplace", newline="\n")
    command = Path(sys.argv[0]).name
    name = next((step for step in STEPS if STEPS[step] == command), "stop")
    if arguments and arguments[0] in STEPS:
        name = arguments.pop(0)
    try:
        step = importlib.import_module(f"wallarm_fast.{name}.step").STEP
        from wallarm_fast.app import run_step  # noqa: PLC0415 - after the signal handlers
    except ModuleNotFoundError as error:
        if str(error.name).startswith("wallarm_fast"):
            raise
        sys.stderr.write(f"error: the library {error.name} is missing; run `make setup`, or use the image\n")
        return 2
    if arguments:
        from wallarm_fast.cli import run_cli  # noqa: PLC0415 - rarely needed

        return run_cli(step, arguments)
    return run_step(step, os.environ)


def run() -> None:
    """Run the process to its end."""
    exit_code = main(sys.argv[1:])
    # At once: a thread in a request or a write that hangs must neither delay the end nor print into it.
    os._exit(exit_code)


if __name__ == "__main__":
    run()

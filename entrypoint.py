#!/usr/bin/env python3
"""What the container starts: the stop step, with the environment of this process."""

import os
import signal
import sys

if __name__ == "__main__":
    # Process 1 of a container ignores signals that it does not handle. The step takes over once it is loaded.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os._exit(128 + number))

    from wallarm_fast.stop.step import main

    exit_code = main(os.environ, sys.argv[1:])
    # At once: a thread in a request or a write that hangs must neither delay the end nor print into it.
    os._exit(exit_code)

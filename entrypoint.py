#!/usr/bin/env python3
"""What the container starts: the stop step, with the environment of this process."""

import os
import sys
from contextlib import suppress

if __name__ == "__main__":
    try:
        from wallarm_fast.stop.step import main

        exit_code = main(os.environ, sys.argv[1:])
    except KeyboardInterrupt:  # before main handles signals
        exit_code = 130
    with suppress(OSError):
        sys.stdout.flush()
    # At once: a thread in a request that hangs must neither delay the end nor print into it.
    os._exit(exit_code)

#!/usr/bin/env python3
"""What the container starts: the step that its name says, or the first argument, or else the stop step."""

import os
import signal
import sys

if __name__ == "__main__":
    # Process 1 of a container ignores signals that it does not handle. The step takes over once it is loaded.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os._exit(128 + number))

    command, *arguments = sys.argv
    command = os.path.basename(command)  # noqa: PTH119 - pathlib would be an import more
    if command == "fast-verdict" or arguments[:1] == ["verdict"]:
        from wallarm_fast.verdict.step import main

        if command != "fast-verdict":
            del arguments[0]
    elif command == "start-recording":
        sys.exit("error: there is no such step yet")
    else:
        from wallarm_fast.stop.step import main

    exit_code = main(os.environ, arguments)
    # At once: a thread in a request or a write that hangs must neither delay the end nor print into it.
    os._exit(exit_code)

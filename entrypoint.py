#!/usr/bin/env python3
"""What the container starts."""

import os
import sys

if __name__ == "__main__":
    try:
        from stop_recording.app import main

        sys.exit(main(os.environ, sys.argv[1:]))
    except KeyboardInterrupt:  # before main could see to it
        sys.exit(130)

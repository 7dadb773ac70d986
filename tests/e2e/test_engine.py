import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.engine import ROOT


def test_where_there_is_no_engine_the_reason_is_told_and_nothing_passes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.e2e", "test"]
    environ = os.environ | {"PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No container engine answers (there is no docker client on PATH)")
    assert "dockerd is not installed" in done.stderr

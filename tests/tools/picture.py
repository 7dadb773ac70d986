"""Takes the picture of a job summary for the README: the step's Markdown, in the style of GitHub.

The step is the real entrypoint.py, with the simulator in place of the Wallarm cloud. The same fonts and the
same Chromium give the same picture.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

from tests.tools.demo import ROOT, STEP
from tests.tools.simulator import Simulator
from wallarm_fast.stop.errors import TooFewBaselinesError

PICTURE = ROOT / "docs/summary.png"
# Once it is loaded, the page has its height as its title.
PAGE = """<!DOCTYPE html>
<meta charset="utf-8"><title></title>
<style>
  body {
    box-sizing: border-box; width: 900px; margin: 0; padding: 24px;
    border: 1px solid #d1d9e0; border-radius: 6px; color: #1f2328; background: #fff;
    font: 16px/1.5 -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
  }
  h3, p, table, pre { margin: 0 0 16px; }
  body > :last-child { margin-bottom: 0; }
  h3 { font-size: 1.25em; line-height: 1.25; }
  h3, th, strong { font-weight: 600; }
  table { border-collapse: collapse; }
  th, td { padding: 6px 13px; border: 1px solid #d1d9e0; }
  tbody tr:nth-child(2n) { background: #f6f8fa; }
  pre { padding: 16px; border-radius: 6px; background: #f6f8fa; }
  pre, code { font: 13.6px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
</style>
<body onload="document.title = document.body.offsetHeight">
"""


def main() -> None:
    if not shutil.which("chromium"):
        sys.exit("chromium is not on PATH; Debian has it in the package chromium")
    with tempfile.TemporaryDirectory() as name:
        page = Path(name, "page.html")
        page.write_text(PAGE + MarkdownIt().enable("table").render(summarize(Path(name))))
        height = re.findall("<title>([0-9]+)</title>", browse(page, "--dump-dom"))[0]
        browse(page, f"--window-size=900,{height}", f"--screenshot={PICTURE}")


def summarize(folder: Path) -> str:
    """Return the job summary of a step that stops two test runs, of which the second recorded nothing."""
    with Simulator() as simulator:
        runs = [simulator.state.create_run(name) for name in ("first", "second")]
        simulator.state.record(runs[0].id, 128)
        inputs = {"TOKEN": simulator.token, "API_HOST": simulator.url, "MIN_BASELINES": "1"}
        inputs["TEST_RUN_ID"] = ",".join(str(run.id) for run in runs)
        environ = {f"INPUT_{name}": value for name, value in inputs.items()} | {"PATH": os.environ["PATH"]}
        files = {"GITHUB_OUTPUT": f"{folder}/output", "GITHUB_STEP_SUMMARY": f"{folder}/summary"}
        environ |= files | {"GITHUB_ACTIONS": "true"}
        done = subprocess.run(STEP, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == TooFewBaselinesError.exit_code, done.stdout + done.stderr
    return (folder / "summary").read_text()


def browse(page: Path, *options: str) -> str:
    # The page is our own, and root cannot use the sandbox.
    command = ["chromium", "--headless", "--no-sandbox", f"--user-data-dir={page.parent}/profile"]
    command += ["--force-device-scale-factor=2", *options, page.as_uri()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    main()

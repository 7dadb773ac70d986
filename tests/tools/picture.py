"""Takes the pictures of job summaries for the README: the steps' Markdown, in the style of GitHub.

The steps are the real entrypoint.py, with the simulator in place of the Wallarm cloud. The same fonts and the
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

from tests.tools.demo import ROOT, STEP, VULNERABILITY
from tests.tools.simulator import Simulator
from wallarm_fast.stop.errors import TooFewBaselinesError
from wallarm_fast.verdict.errors import VulnerabilitiesError

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
    for name, summary in {"stop": stop(), "verdict": verdict(), "several": several()}.items():
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder, "page.html")
            page.write_text(PAGE + MarkdownIt().enable("table").render(summary))
            height = re.findall("<title>([0-9]+)</title>", browse(page, "--dump-dom"))[0]
            browse(page, f"--window-size=900,{height}", f"--screenshot={ROOT}/docs/{name}.png")


def stop() -> str:
    """Return the summary of an ordinary success."""
    with Simulator(baselines=128) as simulator:
        simulator.state.create_run("nightly")
        return summarize(simulator, 0, TEST_RUN_ID="5080")


def verdict() -> str:
    """Return the summary of a verdict with a vulnerability."""
    with Simulator(baselines=128, test_seconds=0, vulns=[VULNERABILITY]) as simulator:
        simulator.state.create_run("nightly")
        simulator.state.stop("5080")
        return summarize(simulator, VulnerabilitiesError.exit_code, "verdict", TEST_RUN_ID="5080")


def several() -> str:
    """Return the summary of a step that stops two test runs, of which the second recorded nothing."""
    with Simulator() as simulator:
        for name in ("first", "second"):
            simulator.state.create_run(name)
        simulator.state.record("5080", 128)
        few = TooFewBaselinesError.exit_code
        return summarize(simulator, few, TEST_RUN_ID="5080,5081", MIN_BASELINES="1")


def summarize(simulator: Simulator, exit_code: int, *arguments: str, **inputs: str) -> str:
    """Return the job summary of a step, which must end with the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {"PATH": os.environ["PATH"], "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": f"{folder}/output"}
        environ |= {"GITHUB_STEP_SUMMARY": f"{folder}/summary"}
        inputs |= {"TOKEN": simulator.token, "API_HOST": simulator.url}
        environ |= {f"INPUT_{name}": value for name, value in inputs.items()}
        done = subprocess.run([*STEP, *arguments], env=environ, check=False, capture_output=True, text=True)
        assert done.returncode == exit_code, done.stdout + done.stderr
        summary = Path(folder, "summary").read_text()
    # As with the real cloud, whose portal is known.
    return re.sub(r"\| (508\d) \|", r"| [\1](https://us1.my.wallarm.com/testing/testruns/\1) |", summary)


def browse(page: Path, *options: str) -> str:
    # The page is our own, and root cannot use the sandbox.
    command = ["chromium", "--headless", "--no-sandbox", f"--user-data-dir={page.parent}/profile"]
    command += ["--force-device-scale-factor=2", *options, page.as_uri()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    main()

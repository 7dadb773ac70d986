"""Without Docker: the file that has everything in it, and the composite actions that start it.

GitHub's runner gives a composite action neither INPUT_ variables nor what its steps put out: the actions map
both. So they are run here as that runner would, and not by one that does more.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.contract import START, STEPS, STOP, VERDICT, Step, each_step
from tests.harness import ROOT, SOON, TOKEN, assert_no_token, build_zipapp, wait_until
from tests.tools.simulator import Simulator

LIBRARIES = {
    "actions_toolkit",
    "anyio",
    "certifi",
    "h11",
    "httpcore",
    "httpx",
    "idna",
    "yaml",
    "typing_extensions",
}


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the actions, as a release has it."""
    folder = tmp_path_factory.mktemp("release") / "native"
    shutil.copytree(ROOT / "native", folder, ignore=shutil.ignore_patterns("*.pyz"))
    build_zipapp(folder / "wallarm-fast.pyz")
    return folder


class Action:
    """Runs a composite action as GitHub's runner does, with these inputs."""

    def __init__(self, native: Path, work: Path, sim: Simulator) -> None:
        self.native = native
        self.work = work
        self.environ = {"PATH": os.environ["PATH"], "GITHUB_ACTIONS": "true"}
        for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV"):
            self.environ[name] = str(work / name)
        self.inputs = {"token": TOKEN, "api_host": sim.url}

    def start(self, step: Step, **inputs: str) -> "subprocess.Popen[str]":
        folder = self.native / step.folder
        action = yaml.safe_load((folder / "action.yml").read_text())
        (run,) = action["runs"]["steps"]
        given = dict.fromkeys(action["inputs"], "") | self.inputs | inputs
        variables = {
            name: re.sub(r"\$\{\{ inputs\.(\w+) }}", lambda found: given[found[1]], value)
            for name, value in run["env"].items()
        }
        script = self.work / "script.sh"
        script.write_text(run["run"])
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        environ = {**self.environ, **variables, "GITHUB_ACTION_PATH": str(folder)}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.work, env=environ, stdout=pipe, stderr=pipe, text=True)

    def __call__(self, step: Step, **inputs: str) -> tuple[int, str]:
        """Return the exit code and the log."""
        with self.start(step, **inputs) as process:
            stdout, stderr = process.communicate(timeout=3 * SOON)
        assert_no_token(stdout + stderr)
        return process.returncode, stdout + stderr

    @property
    def outputs(self) -> dict[str, str]:
        text = Path(self.environ["GITHUB_OUTPUT"]).read_text()
        return dict(re.findall(r"(?m)^(\w+)<<\S+\n(.*)\n", text))


@pytest.fixture
def action(native: Path, tmp_path: Path, sim: Simulator) -> Action:
    return Action(native, tmp_path, sim)


def test_two_builds_have_the_same_bytes(native: Path, tmp_path: Path) -> None:
    build_zipapp(tmp_path / "again.pyz")
    assert (tmp_path / "again.pyz").read_bytes() == (native / "wallarm-fast.pyz").read_bytes()


def test_the_file_has_the_libraries_with_their_licenses_and_nothing_compiled(native: Path) -> None:
    names = zipfile.ZipFile(native / "wallarm-fast.pyz").namelist()
    packages = {name.partition("/")[0].removesuffix(".py") for name in names if "dist-info" not in name}
    assert packages == LIBRARIES | {"LICENSE", "__main__", "entrypoint", "wallarm_fast"}
    licensed = {name.partition("-")[0] for name in names if re.search(r"dist-info/.*LICEN[CS]E", name)}
    assert licensed == LIBRARIES - {"yaml"} | {"pyyaml"}
    assert not [name for name in names if re.search(r"\.(so|pyd|pyc)$|(^|/)tests?/", name)]


@each_step
def test_every_input_reaches_the_step_and_every_output_comes_back(step: Step, native: Path) -> None:
    action = yaml.safe_load((native / step.folder / "action.yml").read_text())
    (run,) = action["runs"]["steps"]
    passed = {f"INPUT_{name.upper()}": f"${{{{ inputs.{name} }}}}" for name in step.inputs}
    assert run["env"] == passed
    values = {name: spec["value"] for name, spec in action["outputs"].items()}
    assert values == {name: f"${{{{ steps.run.outputs.{name} }}}}" for name in step.outputs}
    assert "inputs." not in run["run"]


def test_the_three_steps_work_one_after_the_other(action: Action, sim: Simulator) -> None:
    sim.state.rules.test_seconds = 0
    assert [action(step, test_run_id="5081")[0] for step in STEPS] == [0, 0, 0]
    assert Path(action.environ["GITHUB_ENV"]).read_text().count("\n5081\n") == 1
    assert action.outputs["test_record_id"] == "9059"
    assert action.outputs["status"] == "passed"


def test_an_input_is_never_read_by_the_shell_as_code(action: Action, sim: Simulator) -> None:
    text = "$(touch hacked) `touch hacked` \"; touch hacked; '"
    exit_code, log = action(START, name=text)
    assert exit_code == 0, log
    assert sim.state.find("5081").name == text
    assert not (action.work / "hacked").exists()


def test_a_failing_step_has_its_exit_code_and_its_status(action: Action) -> None:
    exit_code, log = action(STOP, test_run_id="1")
    assert exit_code == 4
    assert "::error title=Wallarm FAST%3A Test run not found::test run 1: " in log
    assert action.outputs["status"] == "not_found"


def test_a_canceled_job_ends_the_step_and_not_just_its_shell(action: Action, sim: Simulator) -> None:
    with action.start(VERDICT, test_run_id="5080") as process:
        wait_until(lambda: bool(sim.calls))
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == 130
    assert action.outputs["status"] == "interrupted"


def test_on_main_the_action_says_what_to_do(action: Action, tmp_path: Path) -> None:
    action.native = shutil.copytree(
        ROOT / "native", tmp_path / "main", ignore=shutil.ignore_patterns("*.pyz")
    )
    exit_code, log = action(STOP, test_run_id="5080")
    assert exit_code == 2
    assert "::native/wallarm-fast.pyz is missing; use a release, or run make zipapp and git add" in log


def test_nothing_of_the_workspace_runs_while_a_python_is_looked_for(action: Action) -> None:
    (action.work / "sitecustomize.py").write_text("open('imported', 'w')\n")
    action.environ["PYTHONPATH"] = "."
    assert action(STOP, test_run_id="5080")[0] == 0
    assert not (action.work / "imported").exists()


def test_a_python_is_found_whatever_pythonhome_says(action: Action) -> None:
    action.environ["PYTHONHOME"] = "/missing"
    assert action(STOP, test_run_id="5080")[0] == 0


@pytest.fixture
def old_python(action: Action, tmp_path: Path) -> Path:
    """PATH has just bash and a Python that is too old; there is a folder for the tools of the runner."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "bash").symlink_to(shutil.which("bash") or "")
    for name in ("python3", "python"):
        (commands / name).write_text("#!/bin/sh\nexit 1\n")
        (commands / name).chmod(0o755)
    action.environ |= {"PATH": str(commands), "RUNNER_TOOL_CACHE": str(tmp_path / "tools")}
    return tmp_path / "tools"


def test_a_newer_python_of_the_runner_s_tools_is_found(action: Action, old_python: Path) -> None:
    for version in ("3.9.1", "3.12.1"):
        (old_python / f"Python/{version}/x64/bin").mkdir(parents=True)
    (old_python / "Python/3.9.1/x64/bin/python3").symlink_to("/bin/false")
    (old_python / "Python/3.12.1/x64/bin/python3").symlink_to(sys.executable)
    assert action(STOP, test_run_id="5080")[0] == 0


def test_without_a_new_python_the_action_says_so(action: Action, old_python: Path) -> None:
    exit_code, log = action(STOP, test_run_id="5080")
    assert exit_code == 2
    assert "there is no Python 3.11 or newer; run actions/setup-python before" in log


@pytest.mark.parametrize("flags", [["-I", "-S"], []])
def test_no_library_of_the_python_that_runs_it_is_imported(
    flags: list[str], native: Path, tmp_path: Path
) -> None:
    """Such as a broken one that httpx imports if it is there."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    for name in ("brotli", "click", "httpx", "zstandard"):
        (site / f"{name}.py").write_text("raise SystemExit('imported')")
    command = [str(tmp_path / "venv/bin/python"), *flags, str(native / "wallarm-fast.pyz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: token (WALLARM_API_TOKEN): is required" in done.stderr

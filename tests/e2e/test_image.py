"""The image: what it holds, and the step in it, started as any CI would start it."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.engine import STEP_IMAGE, Docker
from tests.e2e.pipelines import Completed, Container
from tests.harness import SOON, TOKEN, wait_until
from tests.tools.simulator import Simulator
from wallarm_fast import __version__

VERDICT = "FAST_VERDICT_STATUS=not_tested\nVERDICT_TEST_RUN_ID=5080\nVULNERABILITY_COUNT=0\n"
SUCCESS = "TEST_RECORD_ID=9058\nTEST_RECORD_IDS=9058\nSTOP_RECORDING_STATUS=stopped\n"


def assert_success(done: Completed) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout[: len(SUCCESS)] == SUCCESS, done.stderr


def files_of(docker: Docker, image: str) -> set[str]:
    listing = "find / -xdev -not -path '/proc/*' -not -path '/sys/*' -not -path '/dev/*' -not -type d"
    return set(docker("run", "--rm", "--network=none", image, "sh", "-c", listing).stdout.splitlines())


@pytest.fixture(scope="session")
def added(docker: Docker, base: str) -> set[str]:
    """Every file that our image has and its base has not."""
    return files_of(docker, STEP_IMAGE) - files_of(docker, base)


def test_the_image_adds_at_most_ten_megabytes_to_its_base(docker: Docker, base: str) -> None:
    images = json.loads(docker("image", "inspect", base, STEP_IMAGE).stdout)
    base_layers, our_layers = (image["RootFS"]["Layers"] for image in images)
    added_bytes = images[1]["Size"] - images[0]["Size"]
    print(f"\nadded to the base: {added_bytes / 1e6:.2f} MB")
    assert our_layers[: len(base_layers)] == base_layers
    assert added_bytes <= 10_000_000


def test_the_image_adds_only_its_folder_the_commands_and_bytecode(added: set[str]) -> None:
    ours = re.compile(r"/opt/wallarm-fast/.*|.*/__pycache__/[^/]+\.pyc")
    commands = {f"/usr/local/bin/{name}" for name in ("start-recording", "stop-recording", "fast-verdict")}
    assert {path for path in added if not ours.fullmatch(path)} == commands
    useless = re.compile(r"/(pip|setuptools|wheel|ensurepip|tests?|\.cache|gcc|include)(/|$|[-.]\d)")
    assert not [path for path in added if useless.search(path)]


def test_every_library_comes_with_its_licence(added: set[str]) -> None:
    found = (re.search(r".*site-packages/[\w.]+-[\d.]+\.dist-info/", path) for path in added)
    libraries = {match[0] for match in found if match}
    assert libraries
    licensed = {
        library for library in libraries for path in added if re.match(rf"{library}\S*LICEN[CS]E", path)
    }
    assert licensed == libraries


def test_the_image_has_labels_and_no_entry_point(docker: Docker) -> None:
    config = json.loads(docker("image", "inspect", STEP_IMAGE).stdout)[0]["Config"]
    assert not config["Entrypoint"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert config["Labels"]["org.opencontainers.image.source"].startswith("https://")


def test_several_runs_may_be_given_as_a_yaml_list(container: Container, simulator: Simulator) -> None:
    other = simulator.state.create_run("other").id
    done = container(TEST_RUN_ID=f"- {container.environ['TEST_RUN_ID']}\n- {other}\n")
    assert done.returncode == 0, done.stderr
    assert "TEST_RECORD_IDS=9058,9059\n" in done.stdout, done.stderr


def test_no_privileges_and_no_writable_file_system_are_needed(container: Container) -> None:
    assert_success(container("--user=1000", "--read-only", "--cap-drop=ALL"))


def test_the_verdict_step_waits_for_the_tests_of_the_stopped_run(container: Container) -> None:
    container()
    done = container("--user=1000", "--read-only", "--cap-drop=ALL", command="fast-verdict")
    assert done.returncode == 12, done.stderr
    assert done.stdout == VERDICT, done.stderr
    assert "error: test run 5080: the run has ended, but nothing was tested" in done.stderr


def test_without_a_network_it_fails_without_a_traceback(docker: Docker) -> None:
    options = ["--network=none", "--read-only", f"--env=WALLARM_API_TOKEN={TOKEN}", "--env=TEST_RUN_ID=5080"]
    done = docker("run", "--rm", *options, "--env=STOP_RECORDING_TIMEOUT=2", STEP_IMAGE, check=False)
    assert done.returncode == 6
    assert "error: test run 5080: no connection" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["stop-recording", "fast-verdict"])
def test_each_command_is_the_step_of_its_name(docker: Docker, command: str) -> None:
    done = docker("run", "--rm", "--network=none", STEP_IMAGE, command, "--version")
    assert done.stdout == f"{command} {__version__}\n"


@pytest.mark.parametrize("command", ["", "stop-recording", "fast-verdict"])
def test_an_input_whose_name_has_dashes_is_read(container: Container, command: str) -> None:
    done = container(command=command, TEST_RUN_ID="", **{"INPUT_TEST-RUN-ID": "none"})
    assert done.returncode == 4
    assert "error: test run none: " in done.stderr


@pytest.mark.parametrize("command", ["", "/usr/local/bin/stop-recording"])
@pytest.mark.parametrize("variables", ["PATH=nonsense", "HOME=/none", "HOME= TMPDIR=/none LANG=xx LC_ALL=C"])
def test_container_and_command_work_in_any_environment(
    container: Container, command: str, variables: str
) -> None:
    assert_success(container(command=command, **dict(variable.split("=") for variable in variables.split())))


def test_any_user_that_can_write_the_output_file_works(container: Container, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = container(
        "--user=12345", f"--volume={tmp_path}:/out", STOP_RECORDING_OUTPUT_FILE="/out/result.env"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "result.env").read_text().startswith(SUCCESS)


def test_nothing_in_the_working_directory_is_imported(container: Container, tmp_path: Path) -> None:
    for name in ("httpx", "sitecustomize", "usercustomize", "startup", "json", "wallarm_fast", "yaml"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the workspace')")
    environ = {"PYTHONPATH": "/work", "PYTHONSTARTUP": "/work/startup.py", "PYTHONHOME": "/work"}
    assert_success(container(f"--volume={tmp_path}:/work", "--workdir=/work", PYTHONINSPECT="1", **environ))


def test_sigterm_ends_the_container_within_two_seconds_with_143(
    docker: Docker, container: Container, simulator: Simulator
) -> None:
    name = "wallarm-fast-e2e-sigterm"
    options = [f"--name={name}", *container.options(STOP_RECORDING_QUIET_PERIOD="100")]
    with subprocess.Popen(
        [docker.client, "run", "--rm", *options, STEP_IMAGE], env=docker.environ
    ) as process:
        wait_until(lambda: bool(simulator.calls))
        started = time.monotonic()
        docker("kill", "--signal=TERM", name)
        assert process.wait(SOON) == 143
        assert time.monotonic() - started < 2

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Step
from tests.e2e.engine import STEP_IMAGE, Docker
from tests.simulator import Simulator

SUCCESS = "TEST_RECORD_ID=9058\nTEST_RECORD_IDS=9058\nSTOP_RECORDING_STATUS=stopped\n"


def files(docker: Docker, image: str) -> set[str]:
    listing = "find / -xdev -not -path '/proc/*' -not -path '/sys/*' -not -path '/dev/*' -not -type d"
    return set(docker("run", "--rm", "--network=none", image, "sh", "-c", listing).stdout.splitlines())


@pytest.fixture(scope="session")
def added(docker: Docker, base: str) -> set[str]:
    """Every file that our image has and its base has not."""
    return files(docker, STEP_IMAGE) - files(docker, base)


def test_the_image_is_its_base_and_at_most_ten_megabytes(docker: Docker, base: str) -> None:
    inspected = json.loads(docker("image", "inspect", base, STEP_IMAGE).stdout)
    (base_layers, base_size), (our_layers, our_size) = (
        (image["RootFS"]["Layers"], image["Size"]) for image in inspected
    )
    print(f"\nadded to the base: {(our_size - base_size) / 1e6:.2f} MB")
    assert our_layers[: len(base_layers)] == base_layers
    assert our_size - base_size <= 10_000_000


def test_nothing_is_added_outside_our_own_folder_but_the_command_and_bytecode(added: set[str]) -> None:
    outside = {path for path in added if not path.startswith("/opt/stop-recording/")}
    assert {path for path in outside if not re.search(r"/__pycache__/[^/]+\.pyc$", path)} == {
        "/usr/local/bin/stop-recording"
    }


def test_no_pip_compiler_cache_or_test_is_added(added: set[str]) -> None:
    assert not [
        path
        for path in added
        if re.search(r"/(pip|setuptools|wheel|ensurepip|tests?|\.cache|gcc|include)(/|$|[-.]\d)", path)
    ]


def test_every_library_comes_with_its_licence(added: set[str]) -> None:
    libraries = {
        match[0] for path in added if (match := re.search(r"site-packages/[\w.]+-[\d.]+\.dist-info/", path))
    }
    assert libraries
    assert not {
        library for library in libraries if not re.search(rf"{library}\S*LICEN[CS]E", " ".join(added))
    }


def test_the_image_has_labels_and_no_entry_point(docker: Docker, base: str) -> None:
    config = json.loads(docker("image", "inspect", STEP_IMAGE).stdout)[0]["Config"]
    assert not config["Entrypoint"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert config["Labels"]["org.opencontainers.image.source"].startswith("https://")


def test_the_step_prints_names_and_values_on_stdout_and_its_log_on_stderr(step: Step) -> None:
    done = step()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(SUCCESS)
    assert "recording stopped" in done.stderr


def test_the_command_does_the_same_as_the_container(docker: Docker, step: Step) -> None:
    command = [STEP_IMAGE, "/usr/local/bin/stop-recording"]
    done = docker("run", "--rm", *step.options(PATH="nonsense"), *command, check=False)
    assert (done.returncode, done.stdout[: len(SUCCESS)]) == (0, SUCCESS), done.stderr


def test_several_runs_may_be_given_as_a_yaml_list(step: Step, simulator: Simulator) -> None:
    other = simulator.state.create_run("other").id
    done = step(TEST_RUN_ID=f"- {step.environ['TEST_RUN_ID']}\n- {other}\n")
    assert done.returncode == 0, done.stderr
    assert "TEST_RECORD_IDS=9058,9059\n" in done.stdout


def test_a_read_only_root_file_system_is_enough(step: Step) -> None:
    done = step("--read-only")
    assert (done.returncode, done.stdout[: len(SUCCESS)]) == (0, SUCCESS), done.stderr


def test_without_a_network_it_says_so_and_shows_no_traceback(docker: Docker, base: str) -> None:
    done = docker(
        *("run", "--rm", "--network=none", "--read-only", "--env=WALLARM_API_TOKEN=token_Qwe12345"),
        *("--env=TEST_RUN_ID=5080", "--env=STOP_RECORDING_TIMEOUT=2", STEP_IMAGE),
        check=False,
    )
    assert done.returncode == 6
    assert "error: test run 5080: no connection" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environ",
    [
        {"PATH": "nonsense"},
        {"HOME": "/does/not/exist"},
        {"HOME": ""},
        {"TMPDIR": "/none"},
        {"LANG": "xx", "LC_ALL": "C"},
    ],
    ids=str,
)
def test_whatever_the_job_has_in_its_environment_does_not_matter(step: Step, environ: dict[str, str]) -> None:
    done = step(**environ)
    assert (done.returncode, done.stdout[: len(SUCCESS)]) == (0, SUCCESS), done.stderr


def test_any_user_that_can_write_the_output_file_will_do(step: Step, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = step("--user=12345", f"--volume={tmp_path}:/out", STOP_RECORDING_OUTPUT_FILE="/out/result.env")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "result.env").read_text().startswith(SUCCESS)


def test_nothing_in_the_working_directory_is_imported(step: Step, tmp_path: Path) -> None:
    for name in ("httpx", "sitecustomize", "usercustomize", "startup", "json", "stop_recording", "yaml"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the workspace')")
    done = step(
        *(f"--volume={tmp_path}:/workspace", "--workdir=/workspace"),
        PYTHONPATH="/workspace",
        PYTHONSTARTUP="/workspace/startup.py",
        PYTHONHOME="/workspace",
        PYTHONINSPECT="1",
    )
    assert (done.returncode, done.stdout[: len(SUCCESS)]) == (0, SUCCESS), done.stderr


def test_sigterm_ends_the_container_within_two_seconds_with_143(
    docker: Docker, step: Step, simulator: Simulator
) -> None:
    name = "wallarm-fast-e2e-sigterm"
    environ = step.options(STOP_RECORDING_QUIET_PERIOD="100")
    command = [docker.client, "run", "--rm", f"--name={name}", *environ, STEP_IMAGE]
    with subprocess.Popen(command, env=docker.environ, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(100):
            if simulator.calls:
                break
            time.sleep(0.1)
        started = time.monotonic()
        docker("kill", "--signal=TERM", name)
        assert process.wait(timeout=20) == 143
        assert time.monotonic() - started < 2

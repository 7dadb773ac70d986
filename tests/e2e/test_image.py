"""The image: what it holds, and the step in it, started as any CI would start it."""

import datetime as dt
import json
import re
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from tests.certificates import Company
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


def test_every_library_comes_with_its_license(added: set[str]) -> None:
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


def test_the_start_step_creates_a_run_that_records(container: Container, simulator: Simulator) -> None:
    done = container("--user=1000", "--read-only", "--cap-drop=ALL", command="start-recording")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "TEST_RUN_ID=5081\nTEST_RUN_URL=\nSTART_RECORDING_STATUS=ready\n", done.stderr
    assert simulator.state.get(5081)["ready_for_recording"] is True


def test_the_verdict_step_waits_for_the_tests_of_the_stopped_run(container: Container) -> None:
    container()
    done = container("--user=1000", "--read-only", "--cap-drop=ALL", command="fast-verdict")
    assert done.returncode == 12, done.stderr
    assert done.stdout == VERDICT, done.stderr
    assert "error: test run 5080: the run has ended, but nothing was tested" in done.stderr


def test_a_company_s_certificates_without_key_usage_and_key_identifiers_are_trusted_by_ca_cert(
    container: Container, tmp_path: Path
) -> None:
    company = Company(tmp_path)
    with Simulator(tls=company.tls) as simulator:
        simulator.state.create_run("e2e")
        assert_success(container(WALLARM_API_HOST=simulator.host, WALLARM_CA_CERT=company.root.pem))


@pytest.mark.parametrize(
    ("trusted", "host", "year", "reason"),
    [
        (False, "localhost", 3000, "unable to get local issuer certificate"),
        (True, "api.example", 3000, "Hostname mismatch"),
        (True, "localhost", 2020, "certificate has expired"),
    ],
)
def test_a_certificate_of_another_ca_or_host_or_an_expired_one_is_not_trusted(
    container: Container, trusted: bool, host: str, year: int, reason: str
) -> None:
    ca, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(host, not_after=dt.datetime(year, 1, 1, tzinfo=dt.UTC)).configure_cert(tls)
    ca_cert = (ca if trusted else trustme.CA()).cert_pem.bytes().decode()
    with Simulator(tls=tls) as simulator:
        done = container(WALLARM_API_HOST=simulator.host, WALLARM_CA_CERT=ca_cert)
    assert done.returncode == 6
    assert f"certificate of {simulator.host} is not trusted (" in done.stderr
    assert reason in done.stderr


def test_without_a_network_it_fails_without_a_traceback(docker: Docker) -> None:
    options = ["--network=none", "--read-only", f"--env=WALLARM_API_TOKEN={TOKEN}", "--env=TEST_RUN_ID=5080"]
    done = docker("run", "--rm", *options, "--env=STOP_RECORDING_TIMEOUT=2", STEP_IMAGE, check=False)
    assert done.returncode == 6
    assert "error: test run 5080: no connection" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["start-recording", "stop-recording", "fast-verdict"])
def test_each_command_is_the_step_of_its_name(docker: Docker, command: str) -> None:
    done = docker("run", "--rm", "--network=none", STEP_IMAGE, command, "--version")
    assert done.stdout == f"{command} {__version__}\n"


@pytest.mark.parametrize(
    ("command", "name", "variable"),
    [
        ("", "test-run-id", "TEST_RUN_ID"),
        ("start-recording", "policy-id", "TEST_RUN_POLICY_ID"),
        ("stop-recording", "test-run-id", "TEST_RUN_ID"),
        ("fast-verdict", "test-run-id", "TEST_RUN_ID"),
    ],
)
def test_an_input_whose_name_has_dashes_is_read(
    container: Container, command: str, name: str, variable: str
) -> None:
    done = container(command=command, **{f"INPUT_{name.upper()}": "no/id"})
    assert done.returncode == 2
    assert f"error: {name.replace('-', '_')} ({variable}): " in done.stderr


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


def test_sigterm_ends_the_container_with_143(
    docker: Docker, container: Container, simulator: Simulator
) -> None:
    name = "wallarm-fast-e2e-sigterm"
    options = [f"--name={name}", *container.options(STOP_RECORDING_QUIET_PERIOD="100")]
    with subprocess.Popen(
        [docker.client, "run", "--rm", *options, STEP_IMAGE], env=docker.environ
    ) as process:
        wait_until(lambda: bool(simulator.calls))
        docker("kill", "--signal=TERM", name)
        assert process.wait(SOON) == 143

"""GitLab's runner, by gitlab-ci-local: the example pipeline in a user's project, the component released."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import TOKEN, Authority, Copies
from tests.e2e.engine import BUILD, ROOT, RUNNER_IMAGE, STEP_IMAGE, Docker
from tests.simulator import Simulator
from tests.simulator.faults import answer

EXAMPLE = ROOT / "examples/gitlab/.gitlab-ci.yml"


@pytest.fixture(scope="session")
def gitlab_ci_local() -> Path:
    """The runner, installed from the lock file beside this one."""
    folder = BUILD / "gitlab-ci-local"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests/e2e/gitlab_runner" / name, folder)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder / "node_modules/.bin/gitlab-ci-local"


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=e2e", "-c", "user.email=e2e@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.fixture(scope="session")
def released_component(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as the GitLab that the example includes from has it: a repository with the tag 1.0.0."""
    folder = tmp_path_factory.mktemp("gitlab") / "wallarm-fast-stop-recording.git"
    shutil.copytree(ROOT / "templates", folder / "templates")
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=1.0.0")
    git(folder, "tag", "1.0.0")
    return folder


@pytest.fixture(scope="session")
def environ(docker: Docker, base: str, released_component: Path) -> Iterator[dict[str, str]]:
    """A machine where git finds our release at gitlab.com, with the image of the example's other jobs."""
    config = {
        f"url.{released_component.parent}/.insteadOf": "https://gitlab.com:443/OWNER/",
        "protocol.file.allow": "always",
    }
    environ = {**docker.environ, "GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    image = yaml.safe_load(EXAMPLE.read_text())["record"]["image"]
    if docker.obtain(image):
        yield environ
    else:  # no registry: the runners' own image stands in for it, for now
        docker("tag", RUNNER_IMAGE, image)
        yield environ
        docker("image", "rm", image)


@dataclass(frozen=True)
class Pipeline:
    """What gitlab-ci-local did."""

    exit_code: int
    log: str


RunPipeline = Callable[..., Pipeline]


@pytest.fixture
def run_pipeline(
    environ: dict[str, str], gitlab_ci_local: Path, authority: Authority, simulator: Simulator, tmp_path: Path
) -> RunPipeline:
    """Run the example, or some of its jobs, in a user's project."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "remote", "add", "origin", "https://gitlab.com/group/app.git")
    shutil.copy(EXAMPLE, tmp_path)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=e2e")
    variables = {
        "GITLAB_CI": "true",  # as in GitLab; gitlab-ci-local says false, to be told from it
        "WALLARM_API_TOKEN": TOKEN,
        "WALLARM_API_HOST": simulator.host,
        "STOP_RECORDING_CA_CERT": "/ca.pem",
        "CURL_CA_BUNDLE": "/ca.pem",
        "STOP_RECORDING_IMAGE": STEP_IMAGE,
    }

    def run(*jobs: str, **more: str) -> Pipeline:
        command = [
            *(str(gitlab_ci_local), *jobs, "--network=host", f"--helper-image={RUNNER_IMAGE}"),
            *("--pull-policy=if-not-present", f"--volume={authority.path}:/ca.pem:ro"),
            "--ignore-predefined-vars=GITLAB_CI",
            *(f"--variable={name}={value}" for name, value in (variables | more).items()),
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environ | {"HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(done.stdout)
        return Pipeline(done.returncode, done.stdout)

    return run


def test_the_example_records_stops_and_copies_in_a_later_job(
    run_pipeline: RunPipeline, copies: Copies
) -> None:
    pipeline = run_pipeline()
    assert pipeline.exit_code == 0
    assert copies() == [("security tests", "9058")]
    assert TOKEN not in pipeline.log


def test_too_few_baselines_only_warn_by_allow_failure(
    run_pipeline: RunPipeline, simulator: Simulator, copies: Copies
) -> None:
    simulator.state.rules.baselines = 2
    pipeline = run_pipeline()
    assert pipeline.exit_code == 0
    assert "WARN  stop-recording" in pipeline.log
    assert copies() == [("security tests", "9058")]


def test_any_other_exit_code_fails_the_pipeline(
    run_pipeline: RunPipeline, simulator: Simulator, copies: Copies
) -> None:
    simulator.faults.add(answer(404, {"status": 404, "body": "Not found"}), on="GET", times=None)
    pipeline = run_pipeline()
    assert pipeline.exit_code == 1
    assert "FAIL  stop-recording" in pipeline.log
    assert not copies()


def test_an_unreachable_api_has_the_exit_code_that_is_retried_and_a_second_try_succeeds(
    run_pipeline: RunPipeline, copies: Copies
) -> None:
    # gitlab-ci-local does not retry, so that is done here.
    (_, component) = yaml.safe_load_all((ROOT / "templates/stop-recording.yml").read_text())
    (job,) = component.values()
    run_pipeline("record")
    first = run_pipeline(
        "stop-recording", WALLARM_API_HOST="localhost:1", INPUT_TIMEOUT="2", INPUT_QUIET_PERIOD="0"
    )
    (exit_code,) = re.findall(r"FAIL (\d+)", first.log)
    assert int(exit_code) in job["retry"]["exit_codes"]
    assert run_pipeline("stop-recording").exit_code == 0
    assert run_pipeline("test").exit_code == 0
    assert copies() == [("security tests", "9058")]

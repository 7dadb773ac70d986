"""GitLab's runner, by gitlab-ci-local: the example pipeline in a user's project, the component released."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.engine import BUILD, ROOT, RUNNER_IMAGE, STEP_IMAGE, Docker
from tests.e2e.pipelines import BOTH_PASSED, Authority, Completed, Runs, as_used, git, run
from tests.harness import TOKEN
from tests.tools.simulator import Simulator
from tests.tools.simulator.faults import envelope

PIPELINE = ".gitlab-ci.yml"
RunPipeline = Callable[..., Completed]


@pytest.fixture(scope="session")
def gitlab_ci_local() -> Path:
    """The runner, installed from the lock file."""
    folder = BUILD / "gitlab-ci-local"
    shutil.copytree(ROOT / "tests/e2e/gitlab_runner", folder, dirs_exist_ok=True)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder / "node_modules/.bin/gitlab-ci-local"


@pytest.fixture(scope="session")
def released_component(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as it is in the GitLab that the example includes from: a repository with the tag 1.0.0."""
    folder = tmp_path_factory.mktemp("gitlab") / "wallarm-fast-stop-recording.git"
    shutil.copytree(ROOT / "templates", folder / "templates")
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=1.0.0")
    git(folder, "tag", "1.0.0")
    return folder


@pytest.fixture(scope="session")
def environ(docker: Docker, released_component: Path) -> Iterator[dict[str, str]]:
    """A machine where git finds our release at gitlab.com, with the image of the example's other jobs."""
    config = {"protocol.file.allow": "always"}
    config[f"url.{released_component.parent}/.insteadOf"] = "https://gitlab.com:443/OWNER/"
    environ = {**docker.environ, "GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    image = yaml.safe_load((ROOT / "examples/gitlab" / PIPELINE).read_text())["record"]["image"]
    pulled = docker.obtain(image)
    if not pulled:  # no registry: the runners' image stands in for it, for now
        docker("tag", RUNNER_IMAGE, image)
    yield environ
    if not pulled:
        docker("image", "rm", image)


@pytest.fixture
def run_pipeline(
    environ: dict[str, str], gitlab_ci_local: Path, authority: Authority, simulator: Simulator, tmp_path: Path
) -> RunPipeline:
    """Runs the example, or some of its jobs, in a user's project."""
    (tmp_path / PIPELINE).write_text(as_used("gitlab/" + PIPELINE, simulator))
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "remote", "add", "origin", "https://gitlab.com/group/app.git")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=e2e")
    # What gitlab-ci-local would fetch: for several components of a project at once, it gets in its own way.
    fetched = tmp_path / ".gitlab-ci-local/includes/gitlab.com/OWNER/wallarm-fast-stop-recording/1.0.0"
    shutil.copytree(ROOT / "templates", fetched / "templates")
    variables = {
        "GITLAB_CI": "true",  # as in GitLab; that of gitlab-ci-local is false
        "WALLARM_API_TOKEN": TOKEN,
        "WALLARM_API_HOST": simulator.host,
        **dict.fromkeys(("WALLARM_CA_CERT", "CURL_CA_BUNDLE"), "/ca.pem"),
        "FAST_STEP_IMAGE": STEP_IMAGE,
    }

    def run_jobs(*jobs: str, **more: str) -> Completed:
        options = [f"--variable={name}={value}" for name, value in (variables | more).items()]
        options += ["--ignore-predefined-vars=GITLAB_CI", f"--volume={authority.path}:/ca.pem:ro"]
        options += ["--network=host", f"--helper-image={RUNNER_IMAGE}", "--pull-policy=if-not-present"]
        done = run([gitlab_ci_local, *jobs, *options], tmp_path, environ | {"HOME": str(tmp_path)})
        done.stdout += done.stderr
        print(done.stdout)
        return done

    return run_jobs


def test_the_example_records_stops_waits_and_copies_and_no_run_is_aborted(
    run_pipeline: RunPipeline, runs: Runs
) -> None:
    pipeline = run_pipeline()
    assert pipeline.returncode == 0
    assert runs() == BOTH_PASSED
    assert TOKEN not in pipeline.stdout


def test_too_few_baselines_only_warn_by_allow_failure(
    run_pipeline: RunPipeline, runs: Runs, tmp_path: Path
) -> None:
    allow = 'min_baselines: "9"\n      timeout: "15"\n      allow_failure_exit_codes: [8]'
    text = (tmp_path / PIPELINE).read_text()
    (tmp_path / PIPELINE).write_text(text.replace('min_baselines: "1"', allow))
    pipeline = run_pipeline()
    assert pipeline.returncode == 0
    assert runs() == BOTH_PASSED
    assert "WARN  stop-recording" in pipeline.stdout


def test_any_other_exit_code_fails_the_job(
    run_pipeline: RunPipeline, simulator: Simulator, runs: Runs
) -> None:
    simulator.faults.add(envelope(403, "User not authenticated", http=403), on="stop", times=None)
    # gitlab-ci-local goes on to the next stage after any failure of a job that may fail with some exit code.
    pipeline = run_pipeline(FAST_VERDICT_TIMEOUT="2")
    assert runs() == [("9058", "running", 5)]
    assert "FAIL  stop-recording" in pipeline.stdout


def test_an_unreachable_api_has_the_exit_code_that_is_retried_and_the_retry_succeeds(
    run_pipeline: RunPipeline, runs: Runs
) -> None:
    # gitlab-ci-local does not retry, so the test does.
    (_, component) = yaml.safe_load_all((ROOT / "templates/stop-recording.yml").read_text())
    (job,) = component.values()
    run_pipeline("record")
    unreachable = {"WALLARM_API_HOST": "localhost:1", "INPUT_TIMEOUT": "2", "INPUT_QUIET_PERIOD": "0"}
    (exit_code,) = re.findall(r"FAIL (\d+)", run_pipeline("stop-recording", **unreachable).stdout)
    assert int(exit_code) in job["retry"]["exit_codes"]
    assert [run_pipeline(name).returncode for name in ("stop-recording", "fast-verdict")] == [0, 0]
    assert runs() == BOTH_PASSED[:1]

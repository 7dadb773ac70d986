"""GitLab's runner, by gitlab-ci-local: the example, a job with all steps, and the components."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.engine import BUILD, ROOT, RUNNER_IMAGE, STEP_IMAGE, Docker
from tests.e2e.pipelines import IMAGE, PASSED, REQUESTS, Authority, Completed, Runs, as_used, git, run
from tests.harness import TOKEN, copy_project
from tests.tools.simulator import Simulator
from tests.tools.simulator.faults import envelope

PIPELINE = ".gitlab-ci.yml"
ONE_JOB = f"""
fast:
  image: {STEP_IMAGE}
  variables:
    STOP_RECORDING_QUIET_PERIOD: "1"
  script:
    - start-recording
    - . ./start-recording.env
    - export TEST_RUN_ID
    - HTTP_PROXY=$FAST_NODE python3 -c "import urllib.request; urllib.request.urlopen('http://app.example/1')"
    - stop-recording
    - fast-verdict
  artifacts:
    reports:
      junit: fast-verdict.junit.xml
"""
COMPONENTS = f"""
stages: [start, record, stop, verdict]
include:
  - component: $CI_SERVER_FQDN/OWNER/wallarm-fast-stop-recording/start-recording@1
    inputs: {{stage: start, image: "{STEP_IMAGE}"}}
  - component: $CI_SERVER_FQDN/OWNER/wallarm-fast-stop-recording/stop-recording@1
    inputs: {{stage: stop, image: "{STEP_IMAGE}", quiet_period: "1", min_baselines: "1"}}
  - component: $CI_SERVER_FQDN/OWNER/wallarm-fast-stop-recording/fast-verdict@1
    inputs: {{stage: verdict, image: "{STEP_IMAGE}"}}
record:
  stage: record
  script:
    - export http_proxy=$FAST_NODE
    - {REQUESTS}
fast-verdict: # as in the recipe
  when: always
  before_script:
    - test "$STOP_RECORDING_STATUS" = stopped
"""
RunPipeline = Callable[..., Completed]


@pytest.fixture(scope="session")
def gitlab_ci_local() -> Path:
    """The runner, installed from the lock file."""
    folder = BUILD / "gitlab-ci-local"
    shutil.copytree(ROOT / "tests/e2e/gitlab_runner", folder, dirs_exist_ok=True)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder / "node_modules/.bin/gitlab-ci-local"


@pytest.fixture(scope="session")
def released_components(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as it is in the GitLab that a user includes from: a repository with the tag 1.0.0."""
    folder = tmp_path_factory.mktemp("gitlab") / "wallarm-fast-stop-recording.git"
    shutil.copytree(ROOT / "templates", folder / "templates")
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=1.0.0")
    git(folder, "tag", "1.0.0")
    return folder


@pytest.fixture(scope="session")
def environ(docker: Docker, released_components: Path) -> dict[str, str]:
    """A machine where git finds our release at gitlab.com."""
    config = {"protocol.file.allow": "always"}
    config[f"url.{released_components.parent}/.insteadOf"] = "https://gitlab.com:443/OWNER/"
    environ = {**docker.environ, "GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environ


@pytest.fixture
def run_pipeline(  # noqa: PLR0913, PLR0917 - a machine with all that a pipeline needs
    environ: dict[str, str],
    gitlab_ci_local: Path,
    authority: Authority,
    simulator: Simulator,
    node: int,
    tmp_path: Path,
) -> RunPipeline:
    """Runs a pipeline, or some of its jobs, in a user's project with a FAST node outside."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "remote", "add", "origin", "https://gitlab.com/group/app.git")
    # What gitlab-ci-local would fetch: for several components of a project at once, it gets in its own way.
    fetched = tmp_path / ".gitlab-ci-local/includes/gitlab.com/OWNER/wallarm-fast-stop-recording/1.0.0"
    shutil.copytree(ROOT / "templates", fetched / "templates")
    variables = {
        "GITLAB_CI": "true",  # as in GitLab; that of gitlab-ci-local is false
        "WALLARM_API_TOKEN": TOKEN,
        "WALLARM_API_HOST": simulator.host,
        "WALLARM_CA_CERT": "/ca.pem",
        "FAST_NODE": f"http://localhost:{node}",
        "STOP_RECORDING_TIMEOUT": "15",
    }

    def run_jobs(pipeline: str, *jobs: str, network: str = "host", **more: str) -> Completed:
        (tmp_path / PIPELINE).write_text(pipeline)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=e2e")
        options = [f"--variable={name}={value}" for name, value in (variables | more).items()]
        options += ["--ignore-predefined-vars=GITLAB_CI", f"--volume={authority.path}:/ca.pem:ro"]
        options += [f"--network={network}", f"--helper-image={RUNNER_IMAGE}", "--pull-policy=if-not-present"]
        done = run([gitlab_ci_local, *jobs, *options], tmp_path, environ | {"HOME": str(tmp_path)})
        done.stdout += done.stderr
        print(done.stdout)
        return done

    return run_jobs


@pytest.fixture
def example(node: int) -> str:
    return as_used(f"gitlab/{PIPELINE}", node)


def test_the_example_records_stops_and_waits(run_pipeline: RunPipeline, example: str, runs: Runs) -> None:
    pipeline = run_pipeline(example)
    assert pipeline.returncode == 0
    assert runs() == PASSED
    assert TOKEN not in pipeline.stdout


def test_the_example_stops_and_waits_even_if_the_suite_fails(
    run_pipeline: RunPipeline, example: str, runs: Runs
) -> None:
    pipeline = run_pipeline(example.replace(REQUESTS, f"{REQUESTS}; exit 33"))
    assert pipeline.returncode != 0
    assert "FAIL  record" in pipeline.stdout
    assert "PASS  fast-verdict" in pipeline.stdout
    assert runs() == PASSED


def test_the_example_does_not_wait_after_a_stop_that_failed(
    run_pipeline: RunPipeline, example: str, simulator: Simulator, runs: Runs
) -> None:
    simulator.faults.add(envelope(403, "User not authenticated", http=403), on="stop", times=None)
    pipeline = run_pipeline(example)
    assert pipeline.returncode != 0
    assert "FAIL  stop-recording" in pipeline.stdout
    assert "FAIL  fast-verdict" in pipeline.stdout
    assert runs() == [("9058", "running", 5)]


def test_one_job_may_have_all_three_steps(run_pipeline: RunPipeline, runs: Runs) -> None:
    assert run_pipeline(ONE_JOB).returncode == 0
    assert runs() == [("9058", "passed", 1)]


def test_the_components_record_stop_and_wait(run_pipeline: RunPipeline, runs: Runs) -> None:
    assert run_pipeline(COMPONENTS).returncode == 0
    assert runs() == PASSED


def test_a_component_refuses_a_region_that_there_is_none_before_the_pipeline_starts(
    run_pipeline: RunPipeline, runs: Runs
) -> None:
    pipeline = run_pipeline(COMPONENTS.replace('quiet_period: "1"', "cloud_region: uk"))
    assert pipeline.returncode != 0
    assert "`cloud_region` input: `uk` cannot be used" in pipeline.stdout
    assert runs() == []


def test_the_mirror_tries_the_components_of_its_own_commit_and_then_publishes_them(
    run_pipeline: RunPipeline, tmp_path: Path
) -> None:
    for path in copy_project(tmp_path):
        if path.parent.name == "templates":
            path.write_text(path.read_text().replace(IMAGE, f"{STEP_IMAGE} # not by its @sha256"))
    pipeline = re.sub("registry.gitlab.com/.*", STEP_IMAGE, (ROOT / PIPELINE).read_text())
    # Each job has a network of its own, as in GitLab, since each starts a simulator at the same port.
    done = run_pipeline(pipeline, network="none", CI_COMMIT_TAG="1.0.0")
    assert done.returncode == 0
    passed = re.findall(r"PASS +(\S+)", done.stdout)
    assert sorted(passed) == ["publish-component", "try-start", "try-stop", "try-verdict"]


def test_too_few_baselines_only_warn_by_allow_failure(run_pipeline: RunPipeline, runs: Runs) -> None:
    allow = 'min_baselines: "9", allow_failure_exit_codes: [8]'
    text = COMPONENTS.replace('min_baselines: "1"', allow).replace("= stopped", "= too_few_baselines")
    pipeline = run_pipeline(text)
    assert pipeline.returncode == 0
    assert runs() == PASSED
    assert "WARN  stop-recording" in pipeline.stdout


def test_any_other_exit_code_fails_the_job(
    run_pipeline: RunPipeline, simulator: Simulator, runs: Runs
) -> None:
    simulator.faults.add(envelope(403, "User not authenticated", http=403), on="stop", times=None)
    pipeline = run_pipeline(COMPONENTS)
    assert runs() == [("9058", "running", 5)]
    assert "FAIL  stop-recording" in pipeline.stdout
    assert "FAIL  fast-verdict" in pipeline.stdout


def test_an_unreachable_api_has_the_exit_code_that_is_retried_and_the_retry_succeeds(
    run_pipeline: RunPipeline, runs: Runs
) -> None:
    # gitlab-ci-local does not retry, so the test does.
    (_, component) = yaml.safe_load_all((ROOT / "templates/stop-recording.yml").read_text())
    (job,) = component.values()
    for name in ("start-recording", "record"):
        run_pipeline(COMPONENTS, name)
    unreachable = {"WALLARM_API_HOST": "localhost:1", "INPUT_TIMEOUT": "2", "INPUT_QUIET_PERIOD": "0"}
    (exit_code,) = re.findall(r"FAIL (\d+)", run_pipeline(COMPONENTS, "stop-recording", **unreachable).stdout)
    assert int(exit_code) in job["retry"]["exit_codes"]
    for name in ("stop-recording", "fast-verdict"):
        assert run_pipeline(COMPONENTS, name).returncode == 0
    assert runs() == PASSED

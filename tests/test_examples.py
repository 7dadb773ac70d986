"""The examples and the GitLab components are valid and agree with the actions. The e2e tests run them."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract import START, STOP, VERDICT, Step, check_schema, each_step
from tests.harness import ROOT

SCHEMAS = {
    "examples/github/one-job.yml": "github-workflows",
    "examples/github/fast.yml": "github-workflows",
    "examples/gitlab/.gitlab-ci.yml": "gitlab-ci",
    "examples/circleci/config.yml": "circle-ci",
    "examples/azure/azure-pipelines.yml": "azure-pipelines",
    "examples/bamboo/bamboo.yml": "bamboo-spec",
    "examples/bitbucket/bitbucket-pipelines.yml": "bitbucket-pipelines",
}
JENKINSFILE = "examples/jenkins/Jenkinsfile"
EXAMPLES = [*SCHEMAS, JENKINSFILE]
WITH_DOCKER = [example for example in EXAMPLES if "/git" not in example]
each_example = pytest.mark.parametrize("example", EXAMPLES)


def scripts(example: str) -> list[str]:
    """Return every shell script of an example that starts a container."""
    text = (ROOT / example).read_text()
    if example == JENKINSFILE:
        literals = re.findall(r"(?s)sh '''(.*?)'''", text)
        # Groovy resolves the backslashes before the shell gets the text.
        return [re.sub(r"\\([^\n])", r"\1", textwrap.dedent(literal)) for literal in literals]
    todo, found = [yaml.safe_load(text)], list[str]()
    while todo:
        node = todo.pop()
        if isinstance(node, dict | list):
            todo += node.values() if isinstance(node, dict) else node
        elif isinstance(node, str) and "docker run" in node:
            found.append(node)
    return found


def component(step: Step) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs and the job of a GitLab component, with the defaults of the inputs filled in."""
    text = step.template
    inputs = next(yaml.safe_load_all(text))["spec"]["inputs"]
    for name, spec in inputs.items():
        default = spec["default"]
        value = default if isinstance(default, str) else json.dumps(default)
        text = text.replace(f"$[[ inputs.{name} ]]", value)
    (job,) = list(yaml.safe_load_all(text))[1].values()
    return inputs, job


@pytest.mark.parametrize(("example", "schema"), SCHEMAS.items(), ids=SCHEMAS)
def test_an_example_is_valid_for_its_ci_system(example: str, schema: str) -> None:
    check_schema(ROOT / example, schema)


@each_step
def test_the_job_of_a_component_is_valid_for_gitlab(step: Step, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(yaml.safe_dump({str(step): component(step)[1]}))
    check_schema(tmp_path / "job.yml", "gitlab-ci")


@each_step
def test_the_default_of_a_component_s_input_is_one_that_gitlab_accepts(step: Step) -> None:
    inputs, _ = component(step)
    for spec in inputs.values():
        assert spec["default"] in spec.get("options", [spec["default"]])
        if pattern := spec.get("regex"):
            assert pattern.startswith("^"), "GitLab looks for it anywhere"
            assert pattern.endswith("$")
            assert re.search(pattern, spec["default"])


@pytest.mark.parametrize(
    ("step", "name", "accepted", "refused"),
    [
        (STOP, "quiet_period", ["", "0", "10", "2.5"], ["ten", "-1", "10s", "1\n2", " 10"]),
        (STOP, "min_baselines", ["", "0", "12"], ["one", "1.5", "-1", "+1"]),
        (START, "inactivity_timeout", ["", "300"], ["5m", "300.0"]),
        (VERDICT, "min_threat", ["", "1", "100"], ["high"]),
    ],
    ids=str,
)
def test_a_number_that_is_none_is_refused_before_the_pipeline_starts(
    step: Step, name: str, accepted: list[str], refused: list[str]
) -> None:
    # GitLab's patterns are of RE2, in which $ is the end of the text.
    pattern = re.compile(component(step)[0][name]["regex"].replace("$", r"\Z"))
    assert [value for value in accepted if not pattern.search(value)] == []
    assert [value for value in refused if pattern.search(value)] == []


@each_step
def test_a_component_starts_its_step_and_takes_the_files_and_variables_that_it_writes(step: Step) -> None:
    _, job = component(step)
    assert job["script"] == [f"/usr/local/bin/{step}"]
    reports = job["artifacts"]["reports"]
    assert reports["dotenv"] == step.gitlab_files["output_file"]
    assert reports.get("junit") == step.gitlab_files.get("junit_file")
    assert reports["annotations"] == f"{step}.links.json"
    (passed_on,) = re.findall(r"(?s)\. Passes (.*?)\s+to\s+later jobs", step.template.replace("#", ""))
    variables = [spec.variable for spec in step.outputs.values() if spec.variable]
    assert sorted(re.findall(r"[A-Z_]+", passed_on)) == sorted(variables)


@pytest.mark.parametrize("name", ["one-job", "fast"])
def test_a_github_example_uses_inputs_and_outputs_of_the_actions(name: str) -> None:
    text = (ROOT / f"examples/github/{name}.yml").read_text()
    every = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    steps = [step for step in every if "OWNER/" in step.get("uses", "")]
    folders = [re.findall("OWNER/wallarm-fast-stop-recording(.*)@v1", step["uses"])[0] for step in steps]
    assert folders == ["/start", "", "/verdict"]
    for folder, step in zip(folders, steps, strict=True):
        action = yaml.safe_load((ROOT / f".{folder}/action.yml").read_text())
        assert set(step["with"]) <= set(action["inputs"])
        used = re.findall(rf"steps\.{step.get('id')}\.outputs\.(\w+)", text)
        assert set(used) <= set(action["outputs"])


@pytest.mark.parametrize("name", ["one-job", "fast"])
def test_a_misspelled_output_does_not_skip_a_job_of_a_github_example(name: str) -> None:
    conditions = re.findall(r"(?m)^ +if: (.*)$", (ROOT / f"examples/github/{name}.yml").read_text())
    assert len(conditions) == 2
    assert not [condition for condition in conditions if ".outputs." in condition]


@pytest.mark.parametrize("example", WITH_DOCKER)
def test_every_script_of_an_example_is_clean_for_shellcheck(example: str) -> None:
    shellcheck = str(Path(sys.executable).with_name("shellcheck"))
    command = [shellcheck, "--shell=sh", "--exclude=SC1091,SC2154", "-"]
    assert scripts(example)
    for script in scripts(example):
        checked = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout


@each_example
def test_an_example_sets_the_proxy_for_its_suite_alone_and_in_both_cases(example: str) -> None:
    # curl reads http_proxy only. GitHub refuses a workflow whose env has two names that differ in case only.
    text = (ROOT / example).read_text()
    assert re.findall(r"(?i)\b\w+_proxy\b.", text) == ["http_proxy=", "HTTP_PROXY="]


def test_a_container_that_writes_into_the_workspace_runs_as_the_user_of_the_job() -> None:
    writers = [command for command in containers(JENKINSFILE) if "--volume" in command]
    assert len(writers) == 1
    assert '--user "$(id -u):$(id -g)"' in writers[0]


@pytest.mark.parametrize("example", WITH_DOCKER)
def test_the_examples_start_the_same_containers(example: str) -> None:
    assert containers(example) == containers(JENKINSFILE)


def containers(example: str) -> list[str]:
    """Return the commands that start containers, without what differs from one CI system to another."""
    text = "\n".join(scripts(example)).replace("\\\n", " ").replace("--env FAST_VERDICT_TIMEOUT=1800", "")
    text = re.sub(r'"\$\w+image"|ghcr\S+', "IMAGE", text, flags=re.IGNORECASE)
    commands = {" ".join(line.split()) for line in text.splitlines() if "docker run" in line}
    return sorted(command.partition(" #")[0] for command in commands)


@each_example
def test_no_example_needs_another_program_for_calls_of_the_api(example: str) -> None:
    assert not re.search(r"\b(curl|wget|jq)\b", (ROOT / example).read_text())


@each_example
def test_no_example_contains_a_secret(example: str) -> None:
    text = re.sub("(?m)^(#|//).*", "", (ROOT / example).read_text())
    values = re.findall(r"(?m)(?:WALLARM_API_TOKEN\s*[:=]|^\s*token:) *(.*)", text)
    assert not [value for value in values if not re.match(r"\"?\$|credentials\(", value)]


def test_the_jenkinsfile_has_balanced_braces() -> None:
    text = (ROOT / JENKINSFILE).read_text()
    groovy = re.sub(r"(?sm)'''.*?'''|^ *//.*?$|'[^']*'", "", text)
    assert groovy.count("{") == groovy.count("}")
    assert re.match(r"\s*pipeline \{\s+agent any\s+options \{", groovy)

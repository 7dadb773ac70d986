"""The examples and templates, without a runner: that they are well-formed and agree with the action."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = {
    "examples/github/fast.yml": "vendor.github-workflows",
    "examples/gitlab/.gitlab-ci.yml": "vendor.gitlab-ci",
    "examples/circleci/config.yml": "vendor.circle-ci",
    "examples/azure/azure-pipelines.yml": "vendor.azure-pipelines",
    "examples/bamboo/bamboo.yml": "vendor.bamboo-spec",
}
EXAMPLES = [*SCHEMAS, "examples/jenkins/Jenkinsfile"]


def load(name: str) -> Any:  # noqa: ANN401  # whatever the file holds
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def component() -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and job of the GitLab component, inputs filled in with their defaults."""
    text = (ROOT / "templates/stop-recording.yml").read_text(encoding="utf-8")
    inputs = next(yaml.safe_load_all(text))["spec"]["inputs"]
    for name, spec in inputs.items():
        default = spec["default"]
        text = text.replace(
            f"$[[ inputs.{name} ]]", default if isinstance(default, str) else json.dumps(default)
        )
    (job,) = list(yaml.safe_load_all(text))[1].values()
    return inputs, job


def check_schema(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    # Bamboo's schema has a pattern that is no ECMAScript.
    command = ["check-jsonschema", "--regex-variant=python", "--builtin-schema", schema, str(path)]
    command[0] = str(Path(sys.executable).with_name(command[0]))
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("example", "schema"), SCHEMAS.items(), ids=SCHEMAS)
def test_an_example_is_what_its_ci_system_takes(example: str, schema: str) -> None:
    checked = check_schema(ROOT / example, schema)
    assert checked.returncode == 0, checked.stdout


def test_the_component_s_job_is_what_gitlab_takes(tmp_path: Path) -> None:
    file = tmp_path / "job.yml"
    file.write_text(yaml.safe_dump({"stop-recording": component()[1]}))
    checked = check_schema(file, "vendor.gitlab-ci")
    assert checked.returncode == 0, checked.stdout


def test_the_component_has_the_action_s_inputs_but_those_that_gitlab_keeps_in_variables() -> None:
    inputs, job = component()
    of_gitlab = {"stage", "job", "image", "allow_failure_exit_codes"}
    assert set(inputs) - of_gitlab == set(load("action.yml")["inputs"]) - {"token", "ca_cert", "output_file"}
    passed_on = {
        name.removeprefix("INPUT_").lower() for name in job["variables"] if name.startswith("INPUT_")
    }
    assert passed_on == set(inputs) - of_gitlab


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_every_input_and_output_of_the_action_has_a_type(kind: str) -> None:
    assert set(load("action-types.yml")[kind]) == set(load("action.yml")[kind])


def test_the_github_example_uses_inputs_and_outputs_that_the_action_has() -> None:
    action, text = load("action.yml"), (ROOT / "examples/github/fast.yml").read_text(encoding="utf-8")
    (step,) = (s for s in load("examples/github/fast.yml")["jobs"]["stop"]["steps"] if s.get("id") == "stop")
    assert set(step["with"]) <= set(action["inputs"])
    assert set(re.findall(r"steps\.stop\.outputs\.(\w+)", text)) <= set(action["outputs"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_secret_is_never_written_out_in_an_example(example: str) -> None:
    text = (ROOT / example).read_text(encoding="utf-8")
    values = re.findall(
        r"(?:X-WallarmAPI-Token:|WALLARM_API_TOKEN\s*[:=]|^\s*token:) *(.*)", text, re.MULTILINE
    )
    assert values
    assert not [value for value in values if not re.match(r"\"?\$|credentials\(", value)]


def test_the_jenkinsfile_is_balanced_and_its_scripts_are_shell() -> None:
    text = (ROOT / "examples/jenkins/Jenkinsfile").read_text(encoding="utf-8")
    scripts = re.findall(r"sh '''(.*?)'''", text, re.DOTALL)
    assert len(scripts) == 4
    for script in scripts:
        checked = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
    groovy = re.sub(r"'''.*?'''|'[^']*'|^//.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert groovy.count("{") == groovy.count("}")
    assert re.match(r"\s*pipeline \{\s+agent any\s+environment \{", groovy)

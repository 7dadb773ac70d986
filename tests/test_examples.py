"""The examples and the GitLab component are valid and agree with the action. The e2e tests run them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

SCHEMAS = {
    "examples/github/fast.yml": "github-workflows",
    "examples/gitlab/.gitlab-ci.yml": "gitlab-ci",
    "examples/circleci/config.yml": "circle-ci",
    "examples/azure/azure-pipelines.yml": "azure-pipelines",
    "examples/bamboo/bamboo.yml": "bamboo-spec",
}
JENKINSFILE = "examples/jenkins/Jenkinsfile"


def check_schema(path: Path, schema: str) -> None:
    """Fail unless the file is valid for its CI system."""
    # The schema of Bamboo has a pattern that is not ECMAScript.
    options = ["--regex-variant=python", "--builtin-schema", f"vendor.{schema}"]
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *options, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def check_shell(script: str) -> None:
    checked = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def component() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs and the job of the GitLab component, with the defaults of the inputs filled in."""
    text = (ROOT / "templates/stop-recording.yml").read_text()
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


def test_the_job_of_the_component_is_valid_for_gitlab(tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(yaml.safe_dump({"stop-recording": component()[1]}))
    check_schema(tmp_path / "job.yml", "gitlab-ci")


def test_the_component_has_the_inputs_of_the_action_except_those_that_are_variables_on_gitlab() -> None:
    inputs, job = component()
    own = set(inputs) - {"stage", "job", "image", "allow_failure_exit_codes"}
    action = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    assert own == set(action) - {"token", "ca_cert", "output_file"}
    passed = {name.removeprefix("INPUT_").lower() for name in job["variables"] if name.startswith("INPUT_")}
    assert passed == own


def test_the_github_example_uses_inputs_and_outputs_of_the_action() -> None:
    action, text = (
        yaml.safe_load((ROOT / "action.yml").read_text()),
        (ROOT / "examples/github/fast.yml").read_text(),
    )
    (step,) = (step for step in yaml.safe_load(text)["jobs"]["stop"]["steps"] if step.get("id") == "stop")
    assert set(step["with"]) <= set(action["inputs"])
    assert set(re.findall(r"steps\.stop\.outputs\.(\w+)", text)) <= set(action["outputs"])


@pytest.mark.parametrize("example", [*SCHEMAS, JENKINSFILE])
def test_no_example_contains_a_secret(example: str) -> None:
    secret = re.compile(r"(?m)(?:X-WallarmAPI-Token:|WALLARM_API_TOKEN\s*[:=]|^\s*token:) *(.*)")
    values = secret.findall((ROOT / example).read_text())
    assert values
    assert not [value for value in values if not re.match(r"\"?\$|credentials\(", value)]


def test_the_jenkinsfile_has_balanced_braces_and_valid_shell_scripts() -> None:
    text = (ROOT / JENKINSFILE).read_text()
    scripts = re.findall(r"(?s)sh '''(.*?)'''", text)
    assert len(scripts) == 4
    for script in scripts:
        check_shell(script)
    groovy = re.sub(r"(?sm)'''.*?'''|'[^']*'|^//.*?$", "", text)
    assert groovy.count("{") == groovy.count("}")
    assert re.match(r"\s*pipeline \{\s+agent any\s+environment \{", groovy)

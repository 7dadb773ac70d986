"""What is promised in several places is the same in all: code, action.yml, README, changelog, examples."""

import re
import tomllib
from dataclasses import fields
from functools import cache
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from wallarm_fast import __version__, errors
from wallarm_fast.errors import StepError
from wallarm_fast.inputs.connection import USE_SSL_VARIABLE
from wallarm_fast.inputs.table import TOKEN_FILE_VARIABLE
from wallarm_fast.stop import errors as stop_errors
from wallarm_fast.stop.outputs import DOTENV_NAMES, make_publication
from wallarm_fast.stop.results import StopReport, StopResult
from wallarm_fast.stop.settings import GITLAB_OUTPUT_FILE, INPUTS

OUTPUTS = list(make_publication(StopReport([StopResult("1")]), []).outputs)
RESULT_FIELDS = [field.name for field in fields(StopResult)]
REQUIRED = ("token", "test_run_id")
# Status by exit code.
STATUS = {
    error.exit_code: error.status
    for error in [*vars(errors).values(), *vars(stop_errors).values()]
    if isinstance(error, type) and issubclass(error, StepError) and hasattr(error, "exit_code")
}


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text()


def load(name: str) -> Any:  # noqa: ANN401 - whatever the file contains
    return yaml.safe_load(text(name))


def table(*head: str) -> list[list[str]]:
    """Return the rows, as cells, of the table of the README that begins with these columns."""
    (rows,) = re.findall(
        rf"(?m)^\| {re.escape(' | '.join(head))} .*\|\n\|[-|: ]+\|\n((?:\|.*\|\n)+)", text("README.md")
    )
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]


def code(cell: str) -> list[str]:
    """Return what is in backquotes."""
    return re.findall(r"`([^`]*)`", cell)


# action.yml


def test_the_action_has_the_inputs_and_outputs_of_the_code_in_the_same_order() -> None:
    assert list(load("action.yml")["inputs"]) == list(INPUTS)
    assert list(load("action.yml")["outputs"]) == OUTPUTS


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_every_input_and_output_of_the_action_has_a_type(kind: str) -> None:
    assert list(load("action-types.yml")[kind]) == list(load("action.yml")[kind])


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_has_no_default_in_the_action_since_that_would_hide_the_variable(name: str) -> None:
    spec = load("action.yml")["inputs"][name]
    assert "default" not in spec
    assert spec["required"] is False


@pytest.mark.parametrize("name", INPUTS)
def test_the_description_of_an_input_names_its_variable_and_its_default(name: str) -> None:
    description = load("action.yml")["inputs"][name]["description"]
    named = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", description)
    assert named[:1] == [INPUTS[name].variable]
    assert named[1:] == ([TOKEN_FILE_VARIABLE] if name == "token" else [])
    if name in REQUIRED:
        assert "Required" in description
        assert "Default" not in description
    else:
        default = f" Default {INPUTS[name].default}." if INPUTS[name].default else " Default is "
        assert default in description
    assert (GITLAB_OUTPUT_FILE in description) is (name == "output_file")


def test_the_descriptions_of_the_outputs_name_every_status_and_every_field_of_a_result() -> None:
    outputs = load("action.yml")["outputs"]
    assert {"stopped", "dry_run", *STATUS.values(), errors.SignalError.status} == set(
        re.findall(r"[a-z_]+", outputs["status"]["description"].replace("or why not", ""))
    )
    assert re.findall(r"\w+", outputs["results"]["description"].partition(":")[2]) == RESULT_FIELDS


def test_every_output_but_results_has_a_dotenv_name() -> None:
    assert list(DOTENV_NAMES) == OUTPUTS[:-1]


# README


def test_the_readme_has_the_inputs_of_the_code_with_their_variables_and_defaults() -> None:
    rows = table("input", "environment variable", "default", "meaning")
    assert [code(row[0]) for row in rows] == [[name] for name in INPUTS]
    for row, (name, spec) in zip(rows, INPUTS.items(), strict=True):
        assert code(row[1]) == [spec.variable]
        if name in REQUIRED:
            assert row[2] == "required"
        elif spec.default:
            assert row[2] == f"`{spec.default}`"
        else:
            assert code(row[2]) == ([GITLAB_OUTPUT_FILE] if name == "output_file" else [])
            assert row[2] not in ("", "required")


def test_the_readme_has_the_outputs_of_the_code_with_their_dotenv_names() -> None:
    rows = table("output", "dotenv name", "value")
    assert [code(row[0]) for row in rows] == [[name] for name in OUTPUTS]
    assert [code(row[1]) for row in rows] == [[DOTENV_NAMES[name]] for name in OUTPUTS[:-1]] + [[]]
    assert code(rows[-1][2]) == RESULT_FIELDS


def test_the_readme_has_the_exit_codes_of_the_code_with_their_statuses() -> None:
    rows = {row[0]: code(row[1]) for row in table("code", "status", "meaning")}
    assert list(rows) == ["0", *(str(number) for number in range(1, 9)), "130, 143"]
    assert rows["0"] == ["stopped", "dry_run"]
    assert rows["130, 143"] == [errors.SignalError.status]
    assert {int(number): status for number, (status,) in list(rows.items())[1:-1]} == STATUS


@pytest.mark.parametrize(
    "variable", [TOKEN_FILE_VARIABLE, USE_SSL_VARIABLE, "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]
)
def test_the_readme_names_the_variables_that_are_not_inputs(variable: str) -> None:
    assert f"`{variable}`" in text("README.md")


def test_every_input_output_and_variable_that_the_readme_uses_exists() -> None:
    snippets = "\n".join(re.findall(r"(?ms)^```yaml\n(.*?)^```", text("README.md")))
    used = re.findall(r"steps\.stop\.outputs\.(\w+)", snippets)
    assert used
    assert set(used) <= set(OUTPUTS)
    given = re.findall(r"(?m)^ *with:\n((?: +\w+: .*\n)+)", snippets)
    assert given
    assert {name for block in given for name in re.findall(r"(?m)^ +(\w+):", block)} <= set(INPUTS)
    variables = set(re.findall(r"STOP_RECORDING_\w+", text("README.md")))
    assert variables <= {spec.variable for spec in INPUTS.values()} | set(DOTENV_NAMES.values())


# Versions and names


def test_changelog_and_package_have_the_version_of_the_code() -> None:
    assert re.findall(r"(?m)^## (\d+\.\d+\.\d+)$", text("CHANGELOG.md"))[0] == __version__
    project = tomllib.loads(text("pyproject.toml"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "wallarm_fast.__version__"}


def test_all_snippets_use_the_same_action_and_the_same_image_of_this_major_version() -> None:
    names = ["README.md", "action.yml", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    names += [
        str(path.relative_to(ROOT))
        for folder in ("examples", "templates", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    ]
    major = __version__.partition(".")[0]
    actions = {name: set(re.findall(r"uses:\s*(\S*stop-recording@\S+)", text(name))) for name in names}
    image = re.compile(r"([\w.-]+(?:/[\w.-]+)*/wallarm-fast-stop-recording:[\w.-]+)")
    images = {name: set(image.findall(text(name))) for name in names}
    assert set.union(*actions.values()) == {f"OWNER/wallarm-fast-stop-recording@v{major}"}
    assert set.union(*images.values()) == {f"ghcr.io/OWNER/wallarm-fast-stop-recording:{major}"}
    assert actions["README.md"]
    assert actions["examples/github/fast.yml"]
    assert images["README.md"]
    assert images["examples/gitlab/.gitlab-ci.yml"]

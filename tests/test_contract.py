"""What is promised in several places is the same in all: code, action.yml, README, changelog, snippets."""

import re
import tomllib

import pytest

from tests.contract import SHARED, STEPS, STOP, Step, code, each_step, noted, text
from tests.harness import ROOT
from wallarm_fast import __version__
from wallarm_fast.errors import SignalError
from wallarm_fast.inputs.connection import USE_SSL_VARIABLE
from wallarm_fast.inputs.table import TOKEN_FILE_VARIABLE

INPUTS = [pytest.param(step, name, id=f"{step}-{name}") for step in STEPS for name in step.inputs]
each_input = pytest.mark.parametrize(("step", "name"), INPUTS)

# action.yml


@each_step
@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_the_action_has_what_the_code_has_in_the_same_order_and_with_types(kind: str, step: Step) -> None:
    assert list(step.load("action.yml")[kind]) == list(getattr(step, kind))
    assert list(step.load("action-types.yml")[kind]) == list(getattr(step, kind))


@each_input
def test_an_input_has_no_default_in_the_action_since_that_would_hide_the_variable(
    name: str, step: Step
) -> None:
    spec = step.load("action.yml")["inputs"][name]
    assert "default" not in spec
    assert spec["required"] is False


@each_input
def test_the_description_of_an_input_names_its_variable_and_its_default(name: str, step: Step) -> None:
    spec, description = step.inputs[name], step.load("action.yml")["inputs"][name]["description"]
    named = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", description)
    assert named == [spec.variable, *([TOKEN_FILE_VARIABLE] if name == "token" else [])]
    required = noted(spec, "(required.*)")
    assert re.findall("Required(?: with(?:out)? copy)?", description) == [*map(str.capitalize, required)]
    defaults = re.findall(r" Default (is|\S+)", description)
    assert defaults == ([] if required else [f"{spec.default}." if spec.default else "is"])
    assert [file for file in step.gitlab_files if file in description] == noted(spec, "GitLab: (.*)")


@each_step
def test_the_descriptions_of_the_outputs_name_every_status_and_every_field(step: Step) -> None:
    outputs = {name: spec["description"] for name, spec in step.load("action.yml")["outputs"].items()}
    successes, failures = (re.findall(r"\w+", part) for part in outputs["status"].split("or why not:"))
    assert successes == step.successes
    assert {*failures} == {*SHARED.values(), *step.failures.values(), SignalError.status}
    for name, listed in step.arrays.items():
        assert re.findall(r"\w+", outputs[name].partition(":")[2]) == listed


@each_step
def test_every_output_but_arrays_of_objects_has_a_dotenv_name(step: Step) -> None:
    assert [*step.dotenv_names, *step.arrays] == step.outputs


# README


@each_step
def test_the_readme_has_the_inputs_of_the_code_with_their_variables_and_defaults(step: Step) -> None:
    rows = step.table("input", "environment variable", "default", "meaning")
    assert [code(row[0]) for row in rows] == [[name] for name in step.inputs]
    for (_, variable, default, _), spec in zip(rows, step.inputs.values(), strict=True):
        assert code(variable) == [spec.variable]
        if required := noted(spec, "(required.*)"):
            assert [default.replace("`", "")] == required
        elif spec.default:
            assert default == f"`{spec.default}`"
        else:
            assert code(default) == noted(spec, "GitLab: (.*)")
            assert default not in ("", "required")


@each_step
def test_the_readme_has_the_outputs_of_the_code_with_their_dotenv_names(step: Step) -> None:
    rows = step.table("output", "dotenv name", "value")
    assert [code(row[0]) for row in rows] == [[name] for name in step.outputs]
    variables = [[variable] for variable in step.dotenv_names.values()]
    assert [code(row[1]) for row in rows] == variables + [[]] * len(step.arrays)
    assert [code(row[2]) for row in rows[len(variables) :]] == [*step.arrays.values()]


@each_step
def test_the_readme_has_the_exit_codes_of_the_code_with_their_statuses(step: Step) -> None:
    rows = [(row[0], code(row[1])) for row in step.table("code", "status", "meaning")]
    shared, signals = (SHARED, [("130, 143", [SignalError.status])]) if step is STOP else ({}, [])
    own = {number: status for number, status in step.failures.items() if number not in SHARED}
    failures = [(str(number), [status]) for number, status in sorted({**shared, **own}.items())]
    assert rows == [("0", step.successes), *failures, *signals]


def test_the_readme_says_which_exit_codes_the_steps_do_not_share() -> None:
    assert f"those above and these, without {' and '.join(map(str, STOP.failures))}:" in text("README.md")


@pytest.mark.parametrize(
    "variable", [TOKEN_FILE_VARIABLE, USE_SSL_VARIABLE, "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]
)
def test_the_readme_names_the_variables_that_are_not_inputs(variable: str) -> None:
    assert f"`{variable}`" in text("README.md")


# Versions and names


def test_changelog_and_package_have_the_version_of_the_code() -> None:
    assert re.findall(r"(?m)^## (\d+\.\d+\.\d+)$", text("CHANGELOG.md"))[0] == __version__
    project = tomllib.loads(text("pyproject.toml"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "wallarm_fast.__version__"}


def test_all_snippets_use_the_same_actions_components_and_image_of_this_major_version() -> None:
    pages = [
        str(path.relative_to(ROOT))
        for pattern in ("*.md", "docs/**/*.md", "examples/**/*", "templates/*", "action.yml", "*/action.yml")
        for path in ROOT.glob(pattern)
        if path.is_file()
    ]
    name, major = "OWNER/wallarm-fast-stop-recording", __version__.partition(".")[0]
    for expression, expected in {
        r"uses:\s*(\S*wallarm-fast-stop-recording\S*)": {f"{name}@v{major}", f"{name}/verdict@v{major}"},
        r"component:\s*(\S+/\S+)": {f"$CI_SERVER_FQDN/{name}/{step}@{major}" for step in STEPS},
        r"\b(ghcr\.io/\S+?:[\w.-]+)": {f"ghcr.io/{name}:{major}"},
    }.items():
        found = {page: {*re.findall(expression, text(page))} for page in pages}
        pinned = f"{name}@{'0' * 40}"  # stands for any commit
        assert set.union(*found.values()) - {pinned} == expected
        assert found["README.md"] | found["docs/recipes.md"] >= expected

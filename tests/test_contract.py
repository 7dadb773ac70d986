"""What is promised in several places is the same in all: code, action.yml, README, changelog, snippets."""

import re

import pytest

from tests.contract import STEPS, Step, text
from tests.harness import ROOT
from wallarm_fast import __version__
from wallarm_fast.inputs.connection import USE_SSL_VARIABLE
from wallarm_fast.inputs.table import TOKEN_FILE_VARIABLE

INPUTS = [pytest.param(step, name, id=f"{step}-{name}") for step in STEPS for name in step.inputs]
each_input = pytest.mark.parametrize(("step", "name"), INPUTS)

# What is generated needs no comparing test; these are promises that the generator could break.


@each_input
def test_an_input_has_no_default_in_the_action_since_that_would_hide_the_variable(
    name: str, step: Step
) -> None:
    spec = step.load("action.yml")["inputs"][name]
    assert "default" not in spec
    assert spec["required"] is False


@pytest.mark.parametrize(
    "variable", [TOKEN_FILE_VARIABLE, USE_SSL_VARIABLE, "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]
)
def test_the_reference_names_the_variables_that_are_not_inputs(variable: str) -> None:
    assert f"`{variable}`" in text("docs/reference.md")


# Versions and names


def test_the_changelog_has_the_version_of_the_code() -> None:
    assert re.findall(r"(?m)^## (\d+\.\d+\.\d+)$", text("CHANGELOG.md"))[0] == __version__


def test_all_snippets_use_the_same_actions_components_and_image_of_this_major_version() -> None:
    pages = [
        str(path.relative_to(ROOT))
        for pattern in ("*.md", "docs/**/*.md", "examples/**/*", "templates/*", "action.yml", "*/action.yml")
        for path in ROOT.glob(pattern)
        if path.is_file()
    ]
    name, major = "OWNER/wallarm-fast-stop-recording", __version__.partition(".")[0]
    for expression, expected in {
        r"uses:\s*(\S*wallarm-fast-stop-recording[\w/@-]*)": {
            f"{name}@v{major}",
            f"{name}/start@v{major}",
            f"{name}/verdict@v{major}",
            f"{name}/native@v{major}",
        },
        r"component:\s*(\S+/\S+)": {f"$CI_SERVER_FQDN/{name}/{step}@{major}" for step in STEPS},
        r"\b(ghcr\.io/\S+?:[\w.-]+)": {f"ghcr.io/{name}:{major}"},
    }.items():
        found = {page: {*re.findall(expression, text(page))} for page in pages}
        pinned = f"{name}@{'0' * 40}"  # stands for any commit
        assert set.union(*found.values()) - {pinned} == expected
        assert found["README.md"] | found["docs/recipes.md"] >= expected

"""What is promised in several places is promised alike: code, action.yml, README, changelog, examples.

And the modules keep to their own job, which is what keeps the step small and fast to start.
"""

import ast
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from stop_recording import __version__, errors
from stop_recording.errors import StopRecordingError
from stop_recording.reporting.outputs import DOTENV_NAMES, action_outputs
from stop_recording.result import Report, StopResult
from stop_recording.settings import GITLAB_OUTPUT_FILE, INPUTS, TOKEN_FILE_VARIABLE, USE_SSL_VARIABLE
from tests.conftest import ROOT, AsProcess

PACKAGE = ROOT / "stop_recording"
MODULES = sorted(PACKAGE.rglob("*.py"))
OUTPUTS = list(action_outputs(Report([StopResult("1")]), []))
REQUIRED = ("token", "test_run_id")
ERRORS = {
    error.status: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, StopRecordingError) and hasattr(error, "status")
}


def action() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return loaded


def readme() -> str:
    return (ROOT / "README.md").read_text()


def table(*head: str) -> list[list[str]]:
    """Return the rows, as cells, of the README's table that begins with these columns."""
    lines = readme().splitlines()
    starts = [number for number, line in enumerate(lines) if _cells(line)[: len(head)] == list(head)]
    assert len(starts) == 1, f"{len(starts)} tables with the columns {head}"
    rows = []
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(_cells(line))
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []


def _code(cell: str) -> list[str]:
    """Return what stands between backquotes."""
    return re.findall(r"`([^`]*)`", cell)


# action.yml


def test_the_action_takes_the_inputs_of_the_code_in_that_order() -> None:
    assert list(action()["inputs"]) == list(INPUTS)


def test_the_action_gives_the_outputs_of_the_code_in_that_order() -> None:
    assert list(action()["outputs"]) == OUTPUTS


@pytest.mark.parametrize("name", INPUTS)
def test_no_input_has_a_default_in_the_action_for_it_would_hide_the_variable(name: str) -> None:
    spec = action()["inputs"][name]
    assert "default" not in spec
    assert spec.get("required") is False


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_s_description_names_its_variable(name: str) -> None:
    named = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", action()["inputs"][name]["description"])
    assert named[:1] == [INPUTS[name].variable]
    assert set(named) <= {INPUTS[name].variable, TOKEN_FILE_VARIABLE}


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_s_description_names_its_default(name: str) -> None:
    description = action()["inputs"][name]["description"]
    if name in REQUIRED:
        assert "Required" in description
        assert "Default" not in description
    elif INPUTS[name].default:
        assert description.endswith(f" Default {INPUTS[name].default}.")
    else:
        assert " Default is " in description


def test_the_descriptions_name_the_token_file_and_gitlab_s_output_file() -> None:
    assert TOKEN_FILE_VARIABLE in action()["inputs"]["token"]["description"]
    assert GITLAB_OUTPUT_FILE in action()["inputs"]["output_file"]["description"]


def test_the_description_of_status_names_every_status() -> None:
    described = set(re.findall(r"[a-z_]+", action()["outputs"]["status"]["description"]))
    assert {"stopped", "dry_run", *ERRORS} <= described


def test_the_description_of_results_names_every_field() -> None:
    described = re.findall(r"\w+", action()["outputs"]["results"]["description"].partition(":")[2])
    assert described == [field.name for field in fields(StopResult)]


def test_every_output_but_results_has_a_dotenv_name() -> None:
    assert list(DOTENV_NAMES) == OUTPUTS[:-1]


# README


def test_the_readme_has_the_inputs_of_the_code_in_that_order() -> None:
    rows = table("input", "environment variable", "default", "meaning")
    assert [_code(row[0]) for row in rows] == [[name] for name in INPUTS]
    assert [_code(row[1]) for row in rows] == [[spec.variable] for spec in INPUTS.values()]


@pytest.mark.parametrize("name", INPUTS)
def test_the_readme_has_the_default_of_the_code(name: str) -> None:
    (row,) = [row for row in table("input") if _code(row[0]) == [name]]
    default = INPUTS[name].default
    if name in REQUIRED:
        assert row[2] == "required"
    elif default:
        assert row[2] == f"`{default}`"
    else:
        assert _code(row[2]) == ([GITLAB_OUTPUT_FILE] if name == "output_file" else [])
        assert row[2] not in ("", "required")


def test_the_readme_has_the_outputs_and_dotenv_names_of_the_code_in_that_order() -> None:
    rows = table("output", "dotenv name", "value")
    assert [_code(row[0]) for row in rows] == [[name] for name in OUTPUTS]
    assert [_code(row[1]) for row in rows] == [[DOTENV_NAMES[name]] for name in OUTPUTS[:-1]] + [[]]


def test_the_readme_names_every_field_of_results() -> None:
    (row,) = [row for row in table("output") if _code(row[0]) == ["results"]]
    assert _code(row[2]) == [field.name for field in fields(StopResult)]


def test_the_readme_has_the_exit_codes_and_statuses_of_the_code_in_order() -> None:
    rows = {row[0]: _code(row[1]) for row in table("code", "status", "meaning")}
    assert rows.pop("0") == ["stopped", "dry_run"]
    assert rows.pop("130, 143") == [errors.Interrupted.status]
    by_code = {
        str(error.exit_code): [status] for status, error in ERRORS.items() if error is not errors.Interrupted
    }
    assert list(rows.items()) == list(by_code.items())
    assert list(by_code) == [str(code) for code in range(1, 9)]


@pytest.mark.parametrize(
    "variable", [TOKEN_FILE_VARIABLE, USE_SSL_VARIABLE, "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]
)
def test_the_readme_names_the_variables_that_are_no_inputs(variable: str) -> None:
    assert f"`{variable}`" in readme()


def test_every_input_and_output_that_the_readme_uses_exists() -> None:
    snippets = "\n".join(re.findall(r"(?ms)^```yaml\n(.*?)^```", readme()))
    used = re.findall(r"steps\.stop\.outputs\.(\w+)", snippets)
    assert used
    assert set(used) <= set(OUTPUTS)
    given = re.findall(r"(?m)^ *with:\n((?: +\w+: .*\n)+)", snippets)
    assert given
    assert {name for block in given for name in re.findall(r"(?m)^ +(\w+):", block)} <= set(INPUTS)
    variables = set(re.findall(r"STOP_RECORDING_\w+", readme()))
    assert variables <= {spec.variable for spec in INPUTS.values()} | set(DOTENV_NAMES.values())


# Versions and names


def test_the_newest_version_of_the_changelog_is_that_of_the_code() -> None:
    versions = re.findall(r"(?m)^## (\d+\.\d+\.\d+)$", (ROOT / "CHANGELOG.md").read_text())
    assert versions[0] == __version__


def test_the_package_takes_its_version_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "stop_recording.__version__"}


def _texts() -> dict[str, str]:
    shown = [
        ROOT / name for name in ("README.md", "action.yml", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    ]
    folders = [ROOT / name for name in ("examples", "templates", "docs")]
    files = [*shown, *(file for folder in folders for file in folder.rglob("*"))]
    return {str(file.relative_to(ROOT)): file.read_text() for file in files if file.is_file()}


def test_every_snippet_uses_the_same_action_and_the_same_image_of_this_major_version() -> None:
    major = __version__.partition(".")[0]
    actions = re.compile(r"uses:\s*(\S*stop-recording@\S+)")
    images = re.compile(r"([\w.-]+(?:/[\w.-]+)*/wallarm-fast-stop-recording:[\w.-]+)")
    used = {(file, name) for file, text in _texts().items() for name in actions.findall(text)}
    pulled = {(file, name) for file, text in _texts().items() for name in images.findall(text)}
    assert {name for _, name in used} == {f"OWNER/wallarm-fast-stop-recording@v{major}"}, used
    assert {name for _, name in pulled} == {f"ghcr.io/OWNER/wallarm-fast-stop-recording:{major}"}, pulled
    assert {"README.md", "examples/github/fast.yml"} <= {file for file, _ in used}
    assert {"README.md", "examples/gitlab/.gitlab-ci.yml"} <= {file for file, _ in pulled}


# Who imports what


def _imports(module: Path) -> set[str]:
    """Return every module that a file imports, wherever in it, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _importers(library: str) -> list[str]:
    return [
        str(module.relative_to(PACKAGE))
        for module in MODULES
        if any(name.partition(".")[0] == library for name in _imports(module))
    ]


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        ("httpx", ["wallarm.py"]),
        ("actions_toolkit", ["reporting/github.py"]),
        ("tenacity", ["retry.py"]),
        ("yaml", ["inputs.py"]),
        ("requests", []),
        ("github", []),
        ("os", []),
    ],
)
def test_each_library_is_imported_where_its_job_is_done_and_nowhere_else(
    library: str, importers: list[str]
) -> None:
    assert _importers(library) == importers


def _own(module: str) -> set[str]:
    """Return the modules of the package that one of them imports."""
    parts = {
        ".".join(name.split(".")[1:2])
        for name in _imports(PACKAGE / module)
        if name.startswith("stop_recording.")
    }
    return parts - {"__version__"}


def test_the_errors_import_nothing_of_the_package() -> None:
    assert _own("errors.py") == set()


def test_only_reporting_knows_a_ci_and_what_stops_recordings_knows_no_reporting() -> None:
    for module in (
        "recording.py",
        "runs.py",
        "wallarm.py",
        "retry.py",
        "settings.py",
        "inputs.py",
        "result.py",
    ):
        assert "reporting" not in _own(module), module
        assert "app" not in _own(module), module
    for module in ("recording.py", "runs.py", "wallarm.py", "retry.py"):
        assert "settings" not in _own(module), module
        assert not re.search("github|gitlab", (PACKAGE / module).read_text(), re.IGNORECASE), module


# What a run loads: with `python -X importtime`, which names every module on stderr.


def _loaded(process: AsProcess, platform: str, **env: str) -> set[str]:
    environ = process.environ(platform, env)
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "entrypoint.py")],
        env=environ,
        cwd=process.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    loaded = set(re.findall(r"(?m)^import time:.*\| +(\S+)$", ran.stderr))
    assert "httpx" in loaded
    return loaded


@pytest.mark.parametrize("platform", ["github", "gitlab", "console"])
def test_one_plain_id_loads_neither_yaml_nor_what_actions_toolkit_drags_in(
    platform: str, process: AsProcess
) -> None:
    loaded = {name.partition(".")[0] for name in _loaded(process, platform)}
    assert not loaded & {"yaml", "requests", "github", "nacl", "cryptography", "urllib3", "jwt"}
    assert ("actions_toolkit" in loaded) == (platform == "github")


def test_a_list_of_ids_loads_yaml(process: AsProcess) -> None:
    assert "yaml" in _loaded(process, "github", TEST_RUN_ID="[5080]")

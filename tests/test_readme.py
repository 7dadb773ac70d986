"""The READMEs: both languages say the same, and every snippet is valid."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, AsProcess
from tests.test_examples import check_schema, check_shell

ENGLISH = (ROOT / "README.md").read_text()
TURKISH = (ROOT / "README.tr.md").read_text()


def fences(text: str) -> list[tuple[str, str]]:
    """Return language and content of each snippet."""
    return re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", text)


def prose(text: str) -> str:
    return re.sub(r"(?ms)^```\w+\n.*?^```$", "", text)


YAML = [snippet for language, snippet in fences(ENGLISH) if language == "yaml"]
SHELL = [snippet for language, snippet in fences(ENGLISH) if language == "sh"]


def _tables(text: str) -> list[list[list[str]]]:
    rows = re.findall(r"(?m)^\|(.*)\|$", prose(text))
    return [[sorted(re.findall(r"`[^`]+`", cell)) for cell in row.split("|")] for row in rows]


@pytest.mark.parametrize(
    ("parts", "least"),
    [
        (lambda text: re.findall(r"(?m)^(#+) ", prose(text)), 10),
        (_tables, 20),
        (lambda text: re.findall(r"(?m)^\| ([\d, ]+) \|", text), 10),
        (lambda text: [snippet for snippet in fences(text) if snippet[0] != "mermaid"], 10),
        (lambda text: re.sub('".*?"', '""', dict(fences(text))["mermaid"]).splitlines(), 5),
        (lambda text: re.findall(r"\]\(((?!README)[^)]+)\)", prose(text)), 10),
    ],
    ids=["headings", "tables", "exit codes", "snippets", "diagram", "links"],
)
def test_the_turkish_readme_has_the_same_parts(parts: Callable[[str], list[object]], least: int) -> None:
    assert len(parts(ENGLISH)) >= least
    assert parts(TURKISH) == parts(ENGLISH)


@pytest.mark.parametrize(("text", "other"), [(ENGLISH, "README.tr.md"), (TURKISH, "README.md")])
def test_every_file_that_a_readme_links_to_exists(text: str, other: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", text)
    assert other in links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_snippet_is_in_a_language_that_is_checked_here() -> None:
    assert set(re.findall(r"(?m)^ *```(.*)$", ENGLISH)[::2]) == {"mermaid", "sh", "yaml"}


def _complete(snippet: str) -> tuple[str, object]:
    """Return the schema for a snippet, and the snippet completed to a whole file."""
    loaded = yaml.safe_load(snippet)
    if "ghcr.io" in snippet or "component:" in snippet or "  script:" in snippet:
        return "gitlab-ci", loaded
    runner = {"runs-on": "ubuntu-latest"}
    if isinstance(loaded, list):
        jobs: dict[str, object] = {"job": {**runner, "steps": loaded}}
    elif "steps" in loaded:
        jobs = {"job": {**runner, **loaded}}
    elif "with" in loaded:
        jobs = {"job": {**runner, "steps": [{"uses": "OWNER/wallarm-fast-stop-recording@v1", **loaded}]}}
    else:
        jobs = {name: {**runner, "steps": [{"run": "true"}], **job} for name, job in loaded.items()}
    return "github-workflows", {"name": "x", "on": "push", "jobs": jobs}


@pytest.mark.parametrize("snippet", YAML)
def test_a_yaml_snippet_is_valid_for_its_ci_system(snippet: str, tmp_path: Path) -> None:
    schema, document = _complete(snippet)
    (tmp_path / "file.yml").write_text(yaml.safe_dump(document))
    check_schema(tmp_path / "file.yml", schema)


def test_there_are_snippets_for_both_ci_systems() -> None:
    assert {_complete(snippet)[0] for snippet in YAML} == {"gitlab-ci", "github-workflows"}


@pytest.mark.parametrize("snippet", SHELL)
def test_a_shell_snippet_is_valid(snippet: str) -> None:
    check_shell(snippet)


def test_the_make_commands_have_targets() -> None:
    targets = re.findall(r"(?m)^make (\w+)", ENGLISH)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text()) for target in targets)


def test_the_docker_recipe_reads_the_record_from_what_the_step_prints(process: AsProcess) -> None:
    (recipe,) = [snippet for snippet in SHELL if "docker run" in snippet]
    _, read = recipe.splitlines()
    (process.directory / "stop.env").write_text(process().stdout)
    command = ["sh", "-c", f'{read}\necho "$TEST_RECORD_ID"']
    done = subprocess.run(command, cwd=process.directory, capture_output=True, text=True, check=True)
    assert done.stdout == "9058\n"

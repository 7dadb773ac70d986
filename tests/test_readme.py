"""The READMEs: both languages say the same, and every snippet is one that its system takes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, AsProcess

ENGLISH = (ROOT / "README.md").read_text()
TURKISH = (ROOT / "README.tr.md").read_text()


def fences(text: str) -> list[tuple[str, str]]:
    """Return language and text of each snippet."""
    return re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", text)


def prose(text: str) -> str:
    return re.sub(r"(?ms)^```\w+\n.*?^```$", "", text)


SNIPPETS = [text for language, text in fences(ENGLISH) if language == "yaml"]


def test_the_turkish_readme_has_the_same_headings() -> None:
    levels = [re.findall(r"(?m)^(#+) ", prose(text)) for text in (ENGLISH, TURKISH)]
    assert len(levels[0]) > 10
    assert levels[0] == levels[1]


def test_the_turkish_readme_has_the_same_tables() -> None:
    def tables(text: str) -> list[list[list[str]]]:
        rows = re.findall(r"(?m)^\|(.*)\|$", prose(text))
        return [[sorted(re.findall(r"`[^`]+`", cell)) for cell in row.split("|")] for row in rows]

    assert len(tables(ENGLISH)) > 20
    assert tables(TURKISH) == tables(ENGLISH)


def test_the_turkish_readme_has_the_same_numbers_in_the_exit_codes() -> None:
    codes = [re.findall(r"(?m)^\| ([\d, ]+) \|", text) for text in (ENGLISH, TURKISH)]
    assert len(codes[0]) == 10
    assert codes[0] == codes[1]


def test_the_turkish_readme_has_the_same_snippets() -> None:
    snippets = [[s for s in fences(text) if s[0] != "mermaid"] for text in (ENGLISH, TURKISH)]
    assert len(snippets[0]) > 10
    assert snippets[0] == snippets[1]


def test_the_turkish_readme_has_the_same_picture() -> None:
    def drawn(text: str) -> str:
        return re.sub('".*?"', '""', dict(fences(text))["mermaid"])

    assert drawn(TURKISH) == drawn(ENGLISH)


def test_the_turkish_readme_links_to_the_same_places() -> None:
    def targets(text: str) -> list[str]:
        found = re.findall(r"\]\(([^)]+)\)", prose(text))
        return [target for target in found if not target.startswith("README")]

    assert len(targets(ENGLISH)) > 10
    assert targets(TURKISH) == targets(ENGLISH)


@pytest.mark.parametrize(("text", "other"), [(ENGLISH, "README.tr.md"), (TURKISH, "README.md")])
def test_every_file_that_a_readme_links_to_exists(text: str, other: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", text)
    assert other in links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_snippet_is_of_a_language_that_is_checked_here() -> None:
    assert set(re.findall(r"(?m)^ *```(.*)$", ENGLISH)[::2]) == {"mermaid", "sh", "yaml"}


def _workflow(snippet: str) -> tuple[str, object]:
    """Return the schema of a snippet's system, and the snippet as a whole file of that system."""
    loaded = yaml.safe_load(snippet)
    on_gitlab = "ghcr.io" in snippet or "component:" in snippet or "  script:" in snippet
    if on_gitlab:
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


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_yaml_snippet_is_what_its_system_takes(snippet: str, tmp_path: Path) -> None:
    schema, document = _workflow(snippet)
    file = tmp_path / "file.yml"
    file.write_text(yaml.safe_dump(document))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_systems_have_snippets() -> None:
    assert {_workflow(snippet)[0] for snippet in SNIPPETS} == {"gitlab-ci", "github-workflows"}


@pytest.mark.parametrize("snippet", [text for language, text in fences(ENGLISH) if language == "sh"])
def test_a_shell_snippet_is_shell(snippet: str) -> None:
    done = subprocess.run(["sh", "-n"], input=snippet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_make_commands_have_targets() -> None:
    targets = re.findall(r"(?m)^make (\w+)", ENGLISH)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text()) for target in targets)


def test_the_docker_recipe_reads_the_record_from_what_the_step_prints(process: AsProcess) -> None:
    (recipe,) = [text for language, text in fences(ENGLISH) if "docker run" in text]
    _, read = recipe.splitlines()
    (process.directory / "stop.env").write_text(process().stdout)
    command = ["sh", "-c", f'{read}\necho "$TEST_RECORD_ID"']
    done = subprocess.run(command, cwd=process.directory, capture_output=True, text=True, check=True)
    assert done.stdout == "9058\n"

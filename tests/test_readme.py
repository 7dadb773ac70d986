"""The documents: both READMEs say the same, every snippet is valid, every link leads somewhere."""

import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.contract import STEPS, STOP, Step, check_schema, check_shell, each_step
from tests.harness import ROOT, AsProcess, InProcess
from tests.tools.simulator import Simulator

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ENGLISH = (ROOT / "README.md").read_text()
TURKISH = (ROOT / "README.tr.md").read_text()


def parse(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def fences(text: str) -> list[tuple[str, str]]:
    """Return language and content of each snippet."""
    return [(token.info, token.content) for token in parse(text) if token.type == "fence"]


def prose(text: str) -> str:
    return re.sub(r"(?ms)^```\w+\n.*?^```$", "", text)


# The snippets of all documents, without repetition.
SNIPPETS = list(dict.fromkeys(snippet for path in DOCUMENTS for snippet in fences(path.read_text())))
YAML = [snippet for language, snippet in SNIPPETS if language == "yaml"]
SHELL = [snippet for language, snippet in SNIPPETS if language == "sh"]
(LOG,) = [snippet for language, snippet in fences(ENGLISH) if language == "text"]


def _commands(text: str) -> list[tuple[str, str]]:
    """Return language and content of each snippet, without comments."""
    return [(language, re.sub(r"(?m) *#.*$", "", snippet)) for language, snippet in fences(text)]


def _comments(text: str) -> set[str]:
    return {comment for _, snippet in fences(text) for comment in re.findall("(?m)# .*$", snippet)}


@pytest.mark.parametrize(
    ("parts", "least"),
    [
        (lambda text: re.findall(r"(?m)^(#+) ", prose(text)), 5),
        (lambda text: re.findall(r"`[^`]+`", prose(text)), 10),
        (_commands, 4),
        (lambda text: re.findall(r"\]\(((?!README)[^)]+)\)", prose(text.replace(".tr.md", ".md"))), 10),
    ],
    ids=["headings", "code", "snippets", "links"],
)
def test_the_turkish_readme_has_the_same_parts(parts: Callable[[str], list[object]], least: int) -> None:
    assert len(parts(ENGLISH)) >= least
    assert sorted(parts(TURKISH), key=str) == sorted(parts(ENGLISH), key=str)


def test_the_comments_in_the_snippets_of_the_turkish_readme_are_translated() -> None:
    assert len(_comments(TURKISH)) == len(_comments(ENGLISH))
    assert _comments(TURKISH) & _comments(ENGLISH) == set()


def test_each_readme_explains_owner_before_the_first_snippet() -> None:
    for text in (ENGLISH, TURKISH):
        assert text.index("`OWNER`") < text.index("```")


def _anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    tokens = parse(path.read_text())
    titles = [inline.content for head, inline in pairwise(tokens) if head.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_heading_that_a_document_links_to_exists(path: Path) -> None:
    parts = [part for token in parse(path.read_text()) for part in token.children or []]
    links = [str(part.attrs[name]) for part in parts for name in ("href", "src") if name in part.attrs]
    missing = []
    for link in (link for link in links if not re.match("https?:", link)):
        name, _, anchor = unquote(link).partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize(("text", "other"), [(ENGLISH, "README.tr.md"), (TURKISH, "README.md")])
def test_each_readme_links_to_the_other(text: str, other: str) -> None:
    assert f"]({other})" in text


def test_every_snippet_is_in_a_language_that_is_checked_here() -> None:
    assert {language for language, _ in SNIPPETS} <= {"ini", "sh", "text", "yaml"}


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


@pytest.mark.parametrize("snippet", SHELL)
def test_a_shell_snippet_is_valid(snippet: str) -> None:
    check_shell(snippet)


def _mappings(value: object) -> Iterator[dict[str, Any]]:
    """Yield every mapping in a document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(item)


MAPPINGS = [mapping for snippet in YAML for mapping in _mappings(yaml.safe_load(snippet))]


def _step_of(uses: str) -> Step:
    """Return the step of an action, or the main step if there is none."""
    return next((step for step in STEPS if step.folder and f"/{step.folder[:-1]}@" in uses), STOP)


def test_every_input_that_a_snippet_gives_to_an_action_exists() -> None:
    given = [mapping for mapping in MAPPINGS if "with" in mapping]
    assert len(given) > 5
    for mapping in given:
        assert mapping["with"].keys() <= _step_of(mapping.get("uses", "")).inputs.keys()


def test_every_input_that_a_snippet_gives_to_a_component_exists() -> None:
    components = [mapping for mapping in MAPPINGS if "component" in mapping]
    assert components
    steps = {str(step): step for step in STEPS}
    for mapping in components:
        step = steps[re.sub(".*/|@.*", "", mapping["component"])]
        head = next(yaml.safe_load_all(step.template))
        assert mapping["inputs"].keys() <= head["spec"]["inputs"].keys()


@each_step
def test_every_job_of_a_snippet_for_gitlab_sets_and_takes_what_its_step_reads_and_writes(step: Step) -> None:
    jobs = [job for job in MAPPINGS if str(step) in job.get("script", "")]
    assert jobs
    for job in jobs:
        variables = job.get("variables", {}).keys() - {"GIT_STRATEGY"}
        assert variables <= {spec.variable for spec in step.inputs.values()}
        reports = job.get("artifacts", {}).get("reports", {})
        assert reports.get("dotenv", step.gitlab_files["output_file"]) == step.gitlab_files["output_file"]
        assert {*reports.values()} <= {*step.gitlab_files.values()}


def test_every_verdict_of_a_snippet_for_gitlab_runs_even_if_the_tests_failed_but_only_after_a_stop() -> None:
    guard = 'test "$STOP_RECORDING_STATUS" = stopped'
    jobs = [document["fast-verdict"] for document in MAPPINGS if "fast-verdict" in document]
    assert len(jobs) == 4
    for job in jobs:
        assert job["when"] == "always"
        assert guard in [*job.get("script", []), *job.get("before_script", [])]


@pytest.mark.parametrize("text", [ENGLISH, TURKISH], ids=["English", "Turkish"])
def test_a_snippet_sets_the_proxy_for_the_tests_alone_and_in_both_cases(text: str) -> None:
    # curl reads http_proxy only. GitHub refuses a workflow whose env has two names that differ in case only.
    snippets = "".join(snippet for language, snippet in fences(text) if language == "yaml")
    assert re.findall(r"(?i)\b\w+_proxy\b.", snippets) == ["http_proxy=", "HTTP_PROXY="] * 2


def test_every_output_and_status_that_a_snippet_reads_exists() -> None:
    text = "".join(YAML)
    outputs = re.findall(r"(?:steps|needs)\.stop\.outputs\.(\w+)", text)
    assert {"status"} <= {*outputs} <= {*STOP.outputs}
    compared = re.findall(r"(?:\.status|_STATUS\") !?=+ '?(\w+)", text)
    assert {"stopped", "too_few_baselines"} <= {*compared} <= {*STOP.successes, *STOP.failures}


def test_every_variable_of_a_step_that_a_document_names_exists() -> None:
    known = {spec.variable for step in STEPS for spec in step.inputs.values()}
    known |= {spec.variable for step in STEPS for spec in step.outputs.values()}
    for path in DOCUMENTS:
        named = re.findall(r"\b(?:START_RECORDING|STOP_RECORDING|FAST_VERDICT)_\w+", path.read_text())
        assert {*named} <= known | {step.step.variable_prefix for step in STEPS}


def test_the_make_commands_have_targets() -> None:
    targets = re.findall(r"(?m)^make (\w+)", "".join(SHELL))
    assert {"demo", "test"} <= {*targets}
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in targets if not re.search(rf"(?m)^{target}:", makefile)] == []


def test_the_docker_recipe_reads_the_record_from_what_the_step_prints(stop_process: AsProcess) -> None:
    (read,) = re.findall("(?m)^TEST_RECORD_ID=.*$", (ROOT / "docs/recipes.md").read_text())
    (stop_process.directory / "stop.env").write_text(stop_process().stdout)
    command = ["sh", "-c", f'{read}\necho "$TEST_RECORD_ID"']
    done = subprocess.run(command, cwd=stop_process.directory, capture_output=True, text=True, check=True)
    assert done.stdout == "9058\n"


def test_the_log_in_the_readme_is_that_of_a_run(stop: InProcess, sim: Simulator) -> None:
    sim.state.clock = stop.clock.monotonic
    arrivals = [0, 0, 0, 4, 4]  # in seconds after the step has started
    sim.state.records["9058"].arrivals = [stop.clock.now + second for second in arrivals]
    ran = stop("console", STOP_RECORDING_QUIET_PERIOD="10")
    assert ran.exit_code == 0
    assert ran.stderr.replace(sim.url, "https://us1.api.wallarm.com") == LOG

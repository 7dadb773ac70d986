"""The modules keep to their own jobs, which keeps the step small and fast to start."""

import ast
import re
from pathlib import Path

import pytest

from tests.harness import ROOT, AsProcess
from tests.plans import TESTED, plan
from tests.tools.simulator import Simulator

PACKAGE = ROOT / "wallarm_fast"
MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
# What each part of the package may import of the others.
ALLOWED = {
    "clock": set(),
    "errors": set(),
    "text": set(),
    "log": {"clock"},
    "parallel": {"clock", "errors"},
    "api": {"clock", "errors", "log", "text"},
    "outputs": {"errors", "text"},
    "platforms": {"clock", "errors", "outputs", "parallel", "text"},
    "inputs": {"api", "errors", "platforms", "text"},
    "app": {"api", "cli", "clock", "errors", "inputs", "outputs", "parallel", "platforms"},
    "cli": {"app", "errors", "inputs"},  # which app imports only for a command line
}
# A step may import all of these, but no other step.
ALLOWED |= {step: set(ALLOWED) for step in ("start", "stop", "verdict")}


def imports(module: Path) -> set[str]:
    """Return the full names of all modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_go_one_way(part: str) -> None:
    files = [path for name, path in MODULES.items() if re.match(rf"{part}[./]", name)]
    assert files
    used = {
        name.split(".")[1] for path in files for name in imports(path) if name.startswith("wallarm_fast.")
    }
    assert used - {part, "__version__"} <= ALLOWED[part]


def test_every_part_of_the_package_has_its_rules() -> None:
    assert {re.split("[./]", name)[0] for name in MODULES} == {"__init__", *ALLOWED}


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        ("httpx", ["api/client.py", "api/failures.py", "api/transport.py"]),
        ("httpcore", ["api/transport.py"]),
        ("actions_toolkit", ["platforms/github.py"]),
        ("yaml", ["inputs/parsers.py"]),
        ("requests", []),
        ("os", ["inputs/connection.py", "platforms/files.py"]),
    ],
)
def test_each_library_is_imported_where_its_job_is_done_and_nowhere_else(
    library: str, importers: list[str]
) -> None:
    used = {name: {full.partition(".")[0] for full in imports(path)} for name, path in MODULES.items()}
    assert [name for name, libraries in used.items() if library in libraries] == importers


def test_the_api_the_inputs_and_the_rules_of_the_steps_know_no_ci() -> None:
    outside = re.compile(
        r"api/|outputs/(?!table|summary)|inputs/(parsers|proxy|connection|run_fields)|(parallel|log|clock|errors)\.py"
        r"|start/job|stop/(recording|request|confirm|quiet|job|report)|verdict/(run|job|judging|report)\.py"
    )
    names = [name for name in MODULES if outside.match(name)]
    assert len(names) > 10
    assert not [name for name in names if re.search("(?i)github|gitlab", MODULES[name].read_text())]


def test_no_module_is_too_long_to_take_in() -> None:
    assert [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > 250] == []


def loaded(process: AsProcess, platform: str, **env: str) -> set[str]:
    """Return the full names of the modules that a run of the step loads."""
    ran = process(platform, PYTHONPROFILEIMPORTTIME="1", **env)
    assert ran.exit_code == 0, ran.log
    return set(re.findall(r"(?m)^import time:.*\| +(\S+)$", ran.stderr))


@pytest.mark.parametrize("platform", ["github", "gitlab", "console"])
def test_one_plain_id_loads_neither_yaml_nor_xml_nor_the_verdict_nor_what_actions_toolkit_would(
    platform: str, stop_process: AsProcess
) -> None:
    modules = loaded(stop_process, platform)
    assert modules >= {"httpx", "wallarm_fast.stop.settings"}
    assert not modules & {"yaml", "requests", "github", "nacl", "cryptography", "urllib3", "jwt"}
    assert not [name for name in modules if re.match(r"wallarm_fast\.verdict\b|xml\b", name)]


def test_actions_toolkit_is_loaded_on_github(stop_process: AsProcess) -> None:
    assert "actions_toolkit" in loaded(stop_process, "github")


@pytest.mark.parametrize("platform", ["gitlab", "console"])
def test_actions_toolkit_is_not_loaded_elsewhere(platform: str, stop_process: AsProcess) -> None:
    assert "actions_toolkit" not in loaded(stop_process, platform)


@pytest.mark.parametrize("platform", ["gitlab", "console"])
def test_the_verdict_step_loads_nothing_of_the_stop_step(
    platform: str, verdict_process: AsProcess, sim: Simulator
) -> None:
    plan(sim, TESTED)
    modules = loaded(verdict_process, platform)
    assert "wallarm_fast.verdict.settings" in modules
    assert not [name for name in modules if re.match(r"wallarm_fast\.stop\b", name)]


def test_the_verdict_step_loads_xml_to_write_a_file(verdict_process: AsProcess, sim: Simulator) -> None:
    plan(sim, TESTED)
    assert "xml.etree" in loaded(verdict_process, "gitlab")


def test_the_verdict_step_does_not_load_xml_without_a_file(
    verdict_process: AsProcess, sim: Simulator
) -> None:
    plan(sim, TESTED)
    assert "xml.etree" not in loaded(verdict_process, "console")


def test_no_module_of_the_tests_imports_a_test_or_a_conftest() -> None:
    found = {
        str(path.relative_to(ROOT)): name
        for path in (ROOT / "tests").rglob("*.py")
        for name in imports(path)
        if re.match(r"tests\.(.*\.)?(test_|conftest)|conftest", name)
    }
    assert found == {}

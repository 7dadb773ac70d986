"""The steps, and where the rest of the project describes them; checks of what it shows to be copied."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import ROOT, platform_of
from wallarm_fast import app
from wallarm_fast.api.progress import Vulnerability
from wallarm_fast.errors import InputError, SignalError, StepError
from wallarm_fast.inputs.table import Input
from wallarm_fast.stop.outputs import DOTENV_NAMES as STOP_VARIABLES
from wallarm_fast.stop.results import StopResult
from wallarm_fast.stop.step import STEP as STOP_STEP
from wallarm_fast.verdict.outputs import DOTENV_NAMES as VERDICT_VARIABLES
from wallarm_fast.verdict.results import VerdictResult
from wallarm_fast.verdict.step import STEP as VERDICT_STEP


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text()


def code(cell: str) -> list[str]:
    """Return what is in backquotes."""
    return re.findall(r"`([^`]*)`", cell)


def noted(spec: Input, note: str) -> list[str]:
    """Return what the meaning of an input has in parentheses."""
    return re.findall(rf"\({note}\)", spec.meaning)


def statuses(part: str) -> dict[int, str]:
    """Return the statuses that a part of the package defines, by exit code."""
    module = f"wallarm_fast.{part}errors"
    classes = [error for error in StepError.__subclasses__() if error.__module__ == module]
    return {error.exit_code: error.status for error in classes if error is not SignalError}


@dataclass(frozen=True)
class Step:
    """A step, and where the rest of the project describes it."""

    step: app.Step[Any]
    folder: str  # of its action.yml
    head: str  # how its tables in the README begin
    dotenv_names: Mapping[str, str]
    successes: list[str]
    failures: Mapping[int, str]  # that the other step has not, by exit code
    arrays: Mapping[str, list[str]]  # outputs that are arrays of objects with these fields

    def __str__(self) -> str:
        return self.step.command

    @property
    def template(self) -> str:
        """The text of its GitLab component."""
        return text(f"templates/{self}.yml")

    @property
    def inputs(self) -> Mapping[str, Input]:
        return self.step.inputs

    @property
    def outputs(self) -> list[str]:
        report = self.step.no_report({}, platform_of({})).with_error(InputError("x"))
        return list(self.step.publication(report, []).outputs)

    @property
    def gitlab_files(self) -> list[str]:
        return [file for spec in self.inputs.values() for file in noted(spec, "GitLab: (.*)")]

    def load(self, name: str) -> dict[str, dict[str, Any]]:
        """Return what a YAML file next to its action.yml contains."""
        return yaml.safe_load(text(self.folder + name)) or {}

    def table(self, *head: str) -> list[list[str]]:
        """Return the rows, as cells, of the table of the README that begins with these columns."""
        start = re.escape(f"| {self.head}{' | '.join(head)} ")
        (rows,) = re.findall(rf"(?m)^{start}.*\|\n\|[-|: ]+\|\n((?:\|.*\|\n)+)", text("README.md"))
        return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]


RESULT, FOUND, VERDICT_RESULT = (
    [field.name for field in fields(data)] for data in (StopResult, Vulnerability, VerdictResult)
)
STOP = Step(STOP_STEP, "", "", STOP_VARIABLES, ["stopped", "dry_run"], statuses("stop."), {"results": RESULT})
VERDICT = Step(
    VERDICT_STEP, "verdict/", "verdict ", VERDICT_VARIABLES, ["passed"], statuses("verdict."),
    {"vulnerabilities": [*FOUND, "test_run_id"], "results": VERDICT_RESULT},
)  # fmt: skip
STEPS = [STOP, VERDICT]
SHARED = statuses("")
each_step = pytest.mark.parametrize("step", STEPS, ids=str)


def check_schema(path: Path, schema: str) -> None:
    """Fail unless the file is valid for its CI system."""
    # The schema of Bamboo has a pattern that is not ECMAScript.
    options = ["--regex-variant=python", "--builtin-schema", f"vendor.{schema}"]
    command = [sys.executable, "-m", "check_jsonschema", *options, str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def check_shell(script: str) -> None:
    checked = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr

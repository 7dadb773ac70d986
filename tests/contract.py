"""The steps, and where the rest of the project describes them; checks of what it shows to be copied."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import ROOT
from wallarm_fast import app
from wallarm_fast.inputs.table import Input
from wallarm_fast.outputs.table import Output
from wallarm_fast.start import step as start
from wallarm_fast.stop import step as stop
from wallarm_fast.verdict import step as verdict


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@dataclass(frozen=True)
class Step:
    """A step, and where the rest of the project describes it."""

    step: app.Step
    folder: str  # of its action.yml
    successes: list[str]

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
    def outputs(self) -> Mapping[str, Output]:
        return self.step.outputs

    @property
    def failures(self) -> set[str]:
        """What the output `status` may say of a failure."""
        described = self.load("action.yml")["outputs"]["status"]["description"]
        return set(re.findall(r"\w+", described.partition("or why not")[2]))

    @property
    def gitlab_files(self) -> dict[str, str]:
        """The files that it writes in GitLab CI, by their inputs."""
        return {name: spec.gitlab_file for name, spec in self.inputs.items() if spec.gitlab_file}

    def load(self, name: str) -> dict[str, dict[str, Any]]:
        """Return what a YAML file next to its action.yml contains."""
        return yaml.safe_load(text(self.folder + name)) or {}


START = Step(start.STEP, "start/", ["ready"])
STOP = Step(stop.STEP, "", ["stopped", "dry_run"])
VERDICT = Step(verdict.STEP, "verdict/", ["passed"])
STEPS = [START, STOP, VERDICT]
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

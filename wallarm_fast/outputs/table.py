"""Names and meanings of outputs, and their values on the way to the platform."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Output:
    """An output: the variable in a dotenv file ("": it is in none), what it is in a line, and its type."""

    variable: str
    meaning: str
    type: str = "string"


@dataclass(frozen=True)
class StepOutputs:
    """What a step passes to the platform.

    `values` are the outputs of a GitHub action, `variables` the same for a dotenv file, `environment` are
    variables for later steps of the job, `summary` is Markdown, `links` are addresses by their labels, and
    `files` make the texts of files by the inputs that name these.
    """

    values: Mapping[str, str]
    variables: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Callable[[], str]] = field(default_factory=dict)


def to_json(value: object) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

"""The inputs that become fields of the API's call which creates or copies a test run.

The environment variables are those that a FAST node in CI mode reads, and TEST_RUN_RPS_PER_BASELINE. In
policy_id and the limits, 0 means the default, as in the vendor's plugin for Jenkins.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.table import Input, InputReader
from wallarm_fast.text import as_json_id

OF_THE_API = "(set by the API)"
_NO_LIMIT = "no limit"
_MAX_RPS = 1000
_MAX_RPS_PER_BASELINE = 500
RUN_INPUTS = {
    "description": Input("TEST_RUN_DESC", "description of the test run"),
    "policy_id": Input(
        "TEST_RUN_POLICY_ID", "ID of the test policy; 0 is the default policy", otherwise="the default policy"
    ),
    "rps": Input(
        "TEST_RUN_RPS",
        f"limit of test requests per second, 1 to {_MAX_RPS}; 0 is no limit",
        otherwise=_NO_LIMIT,
        type="integer",
    ),
    "rps_per_baseline": Input(
        "TEST_RUN_RPS_PER_BASELINE",
        f"limit of test requests per second for each baseline, 1 to {_MAX_RPS_PER_BASELINE}; 0 is no limit",
        otherwise=_NO_LIMIT,
        type="integer",
    ),
    "stop_on_first_fail": Input(
        "TEST_RUN_STOP_ON_FIRST_FAIL",
        "end the test run at its first vulnerability",
        otherwise=f"`false` {OF_THE_API}",
        type="boolean",
    ),
    "file_extensions_to_exclude": Input(
        "FILE_EXTENSIONS_TO_EXCLUDE", "regular expression for the file extensions that are not tested"
    ),
}
# Fields of the API's call by the inputs, and how to parse these.
Fields: TypeAlias = Mapping[str, tuple[str, Callable[[str], object]]]
_PARSERS: Fields = {
    "description": ("desc", parsers.parse_text),
    "policy_id": ("policy_id", lambda text: as_json_id(parsers.parse_id(text)) or None),
    "rps": ("rps", partial(parsers.parse_limit, most=_MAX_RPS)),
    "rps_per_baseline": ("rps_per_baseline", partial(parsers.parse_limit, most=_MAX_RPS_PER_BASELINE)),
    "stop_on_first_fail": ("stop_on_first_fail", parsers.parse_boolean),
    "file_extensions_to_exclude": ("file_extensions_to_exclude", parsers.parse_text),
}


def read_run_fields(reader: InputReader, more: Fields) -> Mapping[str, object]:
    """Return the fields that are given, by their names in the API; `more` are inputs of one step."""
    parsers_of = {**_PARSERS, **more}
    found = {field: reader.read_optional(name, parse) for name, (field, parse) in parsers_of.items()}
    return {field: value for field, value in found.items() if value is not None}

"""Inputs and environment variables: their names, their defaults, and what comes of them.

Nothing else reads the environment, but for httpx, which takes the proxies (HTTPS_PROXY, HTTP_PROXY, NO_PROXY)
from it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from stop_recording import inputs
from stop_recording.errors import BadInput

_T = TypeVar("_T")


@dataclass(frozen=True)
class Input:
    """An input of the action: taken from INPUT_<NAME>, the environment variable, or the default."""

    variable: str
    default: str
    meaning: str


INPUTS = {
    "token": Input("WALLARM_API_TOKEN", "", "FAST node token (required)"),
    "test_run_id": Input("TEST_RUN_ID", "", "one id, or several, of test runs (required)"),
    "cloud_region": Input("WALLARM_CLOUD_REGION", "us", "us or eu"),
    "api_host": Input("WALLARM_API_HOST", "", "host, host:port or base URL of the API; wins over the region"),
    "timeout": Input("STOP_RECORDING_TIMEOUT", "120", "seconds for the whole step"),
    "quiet_period": Input(
        "STOP_RECORDING_QUIET_PERIOD", "0", "seconds without a new baseline before the stop"
    ),
    "min_baselines": Input("STOP_RECORDING_MIN_BASELINES", "0", "fail when fewer baselines were recorded"),
    "dry_run": Input("STOP_RECORDING_DRY_RUN", "false", "check inputs, token and run, change nothing"),
    "ca_cert": Input("STOP_RECORDING_CA_CERT", "", "certificates to trust in addition: PEM file or PEM text"),
    "output_file": Input(
        "STOP_RECORDING_OUTPUT_FILE", "", "dotenv file to write (GitLab: stop-recording.env)"
    ),
}
TOKEN_FILE_VARIABLE = "WALLARM_API_TOKEN_FILE"  # noqa: S105 - a name, not a token
USE_SSL_VARIABLE = "WALLARM_API_USE_SSL"
GITLAB_OUTPUT_FILE = "stop-recording.env"

# Region: host of the API, base URL of the portal.
CLOUDS = {
    "us": ("us1.api.wallarm.com", "https://us1.my.wallarm.com"),
    "eu": ("api.wallarm.com", "https://my.wallarm.com"),
}


@dataclass(frozen=True)
class Platform:
    """What runs the step and where it takes results. Reading it never fails, so it can carry the errors."""

    kind: Literal["github", "gitlab", "console"]
    output_file: str | None
    github_output: str | None
    github_step_summary: str | None
    debug: bool
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """Every input, checked. Times are in seconds; `portal` is None where the API is none of the clouds'."""

    token: str = field(repr=False)
    test_run_ids: tuple[str, ...]
    base_url: str
    portal: str | None
    timeout: float
    quiet_period: float
    min_baselines: int
    dry_run: bool
    ca_certificates: str | None
    warnings: tuple[str, ...]


def read_platform(environ: Mapping[str, str]) -> Platform:
    """Take from the environment what is needed to report anything at all, bad inputs included."""
    github = environ.get("GITHUB_ACTIONS") == "true"
    gitlab = not github and environ.get("GITLAB_CI") == "true"
    try:
        token = _token(environ)
    except ValueError:
        token = ""
    return Platform(
        kind="github" if github else "gitlab" if gitlab else "console",
        output_file=_value(environ, "output_file") or (GITLAB_OUTPUT_FILE if gitlab else None),
        github_output=(environ.get("GITHUB_OUTPUT") or None) if github else None,
        github_step_summary=(environ.get("GITHUB_STEP_SUMMARY") or None) if github else None,
        debug=environ.get("RUNNER_DEBUG") == "1" or environ.get("CI_DEBUG_TRACE") == "true",
        secrets=(token,) if token else (),
    )


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check every input; BadInput names all the problems at once.

    Creates an output file that is not there yet: only so is it sure that it can be written.
    """
    reader = _Reader(environ)
    api_host, _ = CLOUDS[reader.read("cloud_region", _cloud, "us")]
    url = reader.read("api_host", lambda text: inputs.base_url(text or api_host), inputs.base_url(api_host))
    unencrypted = url.scheme == "http" and not inputs.is_loopback(url.hostname or "")
    encrypt = reader.check(
        USE_SSL_VARIABLE, environ.get(USE_SSL_VARIABLE, "").strip() or "true", inputs.boolean, otherwise=False
    )
    if encrypt and unencrypted:
        reader.problems.append(
            "api_host: http:// would send the token unencrypted; use https://, or accept it with "
            f"{USE_SSL_VARIABLE}=false"
        )
    settings = Settings(
        token=reader.token,
        test_run_ids=reader.read("test_run_id", inputs.test_run_ids, ()),
        base_url=url.geturl(),
        portal=dict(CLOUDS.values()).get(url.hostname or ""),
        timeout=reader.read("timeout", inputs.seconds, math.inf),
        quiet_period=reader.read("quiet_period", inputs.seconds, 0.0),
        min_baselines=reader.read("min_baselines", inputs.whole_number, 0),
        dry_run=reader.read("dry_run", inputs.boolean, otherwise=False),
        ca_certificates=reader.read(
            "ca_cert", lambda text: inputs.certificates(text) if text else None, None
        ),
        warnings=(f"the token is sent unencrypted to {url.hostname}",) if unencrypted else (),
    )
    if settings.timeout == 0:
        reader.problems.append("timeout: must be more than 0")
    elif settings.quiet_period >= settings.timeout:
        reader.problems.append("quiet_period: must be shorter than timeout, or no time would be left to stop")
    platform = read_platform(environ)
    if platform.kind == "github" and not platform.github_output:
        reader.problems.append("GITHUB_OUTPUT: is not set, so the outputs could not be handed on")
    reader.check("GITHUB_OUTPUT", platform.github_output or "", _check_writable, None)
    reader.check("output_file", platform.output_file or "", _check_writable, None)
    if reader.problems:
        raise BadInput("; ".join(reader.problems))
    return settings


class _Reader:
    """Reads the inputs; gathers the `problems` of all of them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []
        self.token = ""
        try:
            self.token = inputs.token(_token(environ))
        except ValueError as problem:
            self.problems.append(f"token: {problem}")

    def read(self, name: str, parse: Callable[[str], _T], otherwise: _T) -> _T:
        return self.check(name, _value(self._environ, name), parse, otherwise)

    def check(self, name: str, text: str, parse: Callable[[str], _T], otherwise: _T) -> _T:
        if self.token and self.token in text:
            # Values are shown: as addresses and ids, and when they are wrong.
            self.problems.append(f"{name}: contains the token; give the token in the input token alone")
            return otherwise
        try:
            return parse(text)
        except ValueError as problem:
            self.problems.append(f"{name}: {problem}")
            return otherwise


def _value(environ: Mapping[str, str], name: str) -> str:
    upper = name.upper()
    for key in (f"INPUT_{upper}", f"INPUT_{upper.replace('_', '-')}", INPUTS[name].variable):
        if value := environ.get(key, "").strip():
            return value
    return INPUTS[name].default


def _token(environ: Mapping[str, str]) -> str:
    path = environ.get(TOKEN_FILE_VARIABLE, "").strip()
    if (token := _value(environ, "token")) or not path:
        return token
    try:
        return inputs.small_file(path).strip()
    except ValueError as problem:
        # Not shown: whoever mistakes the variable puts the token itself there.
        raise ValueError(f"the file that {TOKEN_FILE_VARIABLE} names {problem}") from None


def _cloud(region: str) -> str:
    if region.lower() not in CLOUDS:
        raise ValueError(f"must be us or eu, not {inputs.shown(region)}")
    return region.lower()


def _check_writable(path: str) -> None:
    if path:
        try:
            if Path(path).is_fifo():  # opening it could block for ever
                raise ValueError(f"{inputs.shown(path)} is a pipe; give a file")
            Path(path).open("a", encoding="utf-8").close()
        except OSError as error:
            raise ValueError(f"{inputs.shown(path)} cannot be written: {error.strerror}") from None

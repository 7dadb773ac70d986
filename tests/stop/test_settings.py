"""From an environment to Settings: which source wins, what is refused, and what a refusal may show."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stop_recording.errors import BadInput
from stop_recording.settings import INPUTS, Settings, read_platform, read_settings
from tests.conftest import TOKEN, InProcess
from tests.simulator import Simulator

NEEDED = {"WALLARM_API_TOKEN": TOKEN, "TEST_RUN_ID": "5080"}


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(env: Mapping[str, str] | None = None, **more: str) -> Settings:
    """Read these variables, on top of the two that are required."""
    return read_settings({**NEEDED, **(env or {}), **more})


def refusal(env: Mapping[str, str] | None = None, **more: str) -> str:
    with pytest.raises(BadInput) as refused:
        read(env, **more)
    return str(refused.value)


# Where a value comes from. For each input: three different values as text, and as what comes of them.

VALUES: dict[str, tuple[str, tuple[tuple[str, object], ...]]] = {
    "token": ("token", (("tokenA", "tokenA"), ("tokenB", "tokenB"), ("tokenC", "tokenC"))),
    "test_run_id": ("test_run_ids", (("1", ("1",)), ("2,3", ("2", "3")), ("[4]", ("4",)))),
    "cloud_region": (
        "base_url",
        (
            ("eu", "https://api.wallarm.com"),
            ("US", "https://us1.api.wallarm.com"),
            ("EU", "https://api.wallarm.com"),
        ),
    ),
    "api_host": ("base_url", (("a", "https://a"), ("b:1", "https://b:1"), ("https://c", "https://c"))),
    "timeout": ("timeout", (("1", 1.0), ("2.5", 2.5), ("3", 3.0))),
    "quiet_period": ("quiet_period", (("1", 1.0), ("2.5", 2.5), ("3", 3.0))),
    "min_baselines": ("min_baselines", (("1", 1), ("2", 2), ("3", 3))),
    "dry_run": ("dry_run", (("true", True), ("false", False), ("yes", True))),
}


def _names(name: str) -> tuple[str, str, str]:
    return f"INPUT_{name.upper()}", f"INPUT_{name.upper().replace('_', '-')}", INPUTS[name].variable


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("source", [0, 1, 2], ids=["input", "input with dashes", "variable"])
def test_every_input_is_read_from_each_of_its_names(name: str, source: int) -> None:
    field, values = VALUES[name]
    env = {key: value for key, value in NEEDED.items() if key != INPUTS[name].variable}
    found = read_settings({**env, _names(name)[source]: values[0][0]})
    assert getattr(found, field) == values[0][1]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("blank", ["", " ", "\t\r\n ", "\N{NO-BREAK SPACE}"], ids=repr)
def test_the_input_wins_over_the_variable_and_a_blank_one_falls_through(name: str, blank: str) -> None:
    field, values = VALUES[name]
    # A name of one word has no form with dashes.
    sources = list(zip(dict.fromkeys(_names(name)), values, strict=False))
    env = {**NEEDED, **{key: value[0] for key, value in sources}}
    for key, value in sources:
        assert getattr(read_settings(env), field) == value[1], key
        env[key] = blank


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_trimmed(name: str) -> None:
    field, values = VALUES[name]
    padded = read({_names(name)[0]: f" \t\n{values[0][0]}\r\n "})
    assert getattr(padded, field) == values[0][1]


@pytest.mark.parametrize("blank", [None, "", "  \n"])
def test_without_a_value_every_input_has_its_default(blank: str | None) -> None:
    keys = [key for name in INPUTS for key in _names(name) if key not in NEEDED]
    assert read(dict.fromkeys(keys, blank) if blank is not None else {}) == Settings(
        token=TOKEN,
        test_run_ids=("5080",),
        base_url="https://us1.api.wallarm.com",
        portal="https://us1.my.wallarm.com",
        timeout=120.0,
        quiet_period=0.0,
        min_baselines=0,
        dry_run=False,
        ca_certificates=None,
        warnings=(),
    )


@pytest.mark.parametrize("source", [0, 1, 2])
def test_the_certificates_and_the_output_file_come_from_each_of_their_names(source: int, ca_pem: str) -> None:
    env = {_names("ca_cert")[source]: ca_pem, _names("output_file")[source]: "x.env"}
    assert read(env).ca_certificates == ca_pem.strip()
    assert read_platform({**NEEDED, **env}).output_file == "x.env"
    assert Path("x.env").is_file()


# The token and its file.


def test_the_token_file_comes_after_the_variable_and_the_input() -> None:
    Path("token").write_text("from-file\n")
    assert read(WALLARM_API_TOKEN_FILE="token").token == TOKEN
    assert read(WALLARM_API_TOKEN_FILE="token", INPUT_TOKEN="input").token == "input"
    assert read(WALLARM_API_TOKEN_FILE="token", WALLARM_API_TOKEN=" ").token == "from-file"


@pytest.mark.parametrize("content", ["from-file", "from-file\n", "from-file\r\n", "\n from-file \n\n"])
def test_the_token_in_a_file_is_trimmed(content: str) -> None:
    Path("token").write_text(content, newline="")
    environ = {"TEST_RUN_ID": "1", "WALLARM_API_TOKEN_FILE": "token"}
    assert read_settings(environ).token == "from-file"
    assert read_platform(environ).secrets == ("from-file",)


def test_the_token_file_is_not_read_when_it_is_not_needed() -> None:
    assert read(WALLARM_API_TOKEN_FILE="missing").token == TOKEN


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("missing", "cannot be read: No such file or directory"),
        (".", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("/dev/stdin/x", "cannot be read"),
        ("empty", "is required"),
        ("blank", "is required"),
        ("two-lines", "not shown here"),
        ("binary", "not shown here"),
    ],
)
def test_a_token_file_that_holds_no_token_is_bad_input(file: str, why: str) -> None:
    Path("empty").touch()
    Path("blank").write_text(" \n\n")
    Path("two-lines").write_text("hush\nhush\n")
    Path("binary").write_bytes(b"hush\xff\x00")
    message = refusal(WALLARM_API_TOKEN=" ", WALLARM_API_TOKEN_FILE=file)
    assert re.fullmatch(f"token: .*{why}.*", message)
    assert "hush" not in message


LONG_TOKEN = "Zm9v" * 16
WRONG_PLACES = sorted(INPUTS[name].variable for name in INPUTS if name != "token")


@pytest.mark.parametrize("token", [TOKEN, LONG_TOKEN], ids=["short", "long"])
@pytest.mark.parametrize("variable", [*WRONG_PLACES, "WALLARM_API_USE_SSL"])
def test_a_token_that_was_also_put_in_a_wrong_place_is_not_shown(variable: str, token: str) -> None:
    message = refusal({"STOP_RECORDING_CA_CERT": "missing", "WALLARM_API_TOKEN": token, variable: token})
    assert not _piece_of(token, message)


@pytest.mark.parametrize("ids", [TOKEN, f"x{TOKEN}-1", f"5080,{TOKEN}", f'["{TOKEN}"]'])
def test_an_id_that_holds_the_token_is_refused_and_not_shown(ids: str) -> None:
    message = refusal(TEST_RUN_ID=ids)
    assert message == "test_run_id: contains the token; give the token in the input token alone"


def test_a_token_put_where_the_name_of_its_file_belongs_is_not_shown() -> None:
    message = refusal(WALLARM_API_TOKEN="", WALLARM_API_TOKEN_FILE=LONG_TOKEN)
    assert not _piece_of(LONG_TOKEN, message)


def test_an_api_host_that_holds_the_token_is_refused_since_a_url_is_shown() -> None:
    assert TOKEN not in refusal(WALLARM_API_HOST=f"https://gateway.example/{TOKEN}")


def _piece_of(secret: str, text: str, length: int = 10) -> str | None:
    """Return a piece of the secret, of that many characters, that stands in the text."""
    pieces = (secret[start : start + length] for start in range(len(secret) - length + 1))
    return next((piece for piece in pieces if piece in text), None)


def test_what_is_read_shows_no_token_when_printed() -> None:
    environ = {**NEEDED, "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "out"}
    platform = read_platform(environ)
    assert platform.secrets == (TOKEN,)
    assert TOKEN not in repr(read_settings(environ))
    assert TOKEN not in repr(platform)
    assert TOKEN not in f"{platform} {platform!s}"


# Region and address.


@pytest.mark.parametrize(
    ("region", "url", "portal"),
    [
        ("us", "https://us1.api.wallarm.com", "https://us1.my.wallarm.com"),
        ("Us", "https://us1.api.wallarm.com", "https://us1.my.wallarm.com"),
        ("EU", "https://api.wallarm.com", "https://my.wallarm.com"),
    ],
)
def test_the_region_in_any_case_chooses_api_and_portal(region: str, url: str, portal: str) -> None:
    found = read(WALLARM_CLOUD_REGION=region)
    assert (found.base_url, found.portal) == (url, portal)


@pytest.mark.parametrize("region", ["uk", "us1", "e u", "us,eu", "\N{LATIN SMALL LETTER LONG S}", "true"])
def test_an_unknown_region_is_bad_input(region: str) -> None:
    assert refusal(WALLARM_CLOUD_REGION=region) == f"cloud_region: must be us or eu, not {region!r}"


def test_an_unknown_region_is_told_even_where_api_host_wins() -> None:
    assert "cloud_region" in refusal(WALLARM_CLOUD_REGION="uk", WALLARM_API_HOST="host")


@pytest.mark.parametrize(
    ("host", "portal"),
    [
        ("api.wallarm.com", "https://my.wallarm.com"),
        ("https://US1.API.wallarm.com/", "https://us1.my.wallarm.com"),
        ("api.wallarm.com:443", "https://my.wallarm.com"),
        ("gateway.example", None),
        ("api.wallarm.com.evil.example", None),
    ],
)
def test_api_host_wins_over_the_region_and_has_a_portal_only_if_it_is_a_cloud(
    host: str, portal: str | None
) -> None:
    found = read(WALLARM_API_HOST=host, WALLARM_CLOUD_REGION="us")
    assert found.base_url.lower().startswith(f"https://{host.lower().removeprefix('https://').rstrip('/')}")
    assert found.portal == portal


@pytest.mark.parametrize(
    "host",
    [
        "http://gateway.example",
        "http://10.0.0.1",
        "http://[2001:db8::1]",
        "http://localhost.example",
        "HTTP://h",
    ],
)
@pytest.mark.parametrize("use_ssl", [None, "", "true", "yes", "1"])
def test_plain_http_is_refused_with_the_way_to_accept_it(host: str, use_ssl: str | None) -> None:
    env = {} if use_ssl is None else {"WALLARM_API_USE_SSL": use_ssl}
    message = refusal(env, WALLARM_API_HOST=host)
    assert message.startswith("api_host: http:// would send the token unencrypted")
    assert "WALLARM_API_USE_SSL=false" in message


@pytest.mark.parametrize("use_ssl", ["false", "False", "no", "0", " off "])
def test_plain_http_is_taken_with_a_warning_when_accepted(use_ssl: str) -> None:
    found = read(WALLARM_API_HOST="http://gateway.example:8080/x", WALLARM_API_USE_SSL=use_ssl)
    assert found.base_url == "http://gateway.example:8080/x"
    assert found.warnings == ("the token is sent unencrypted to gateway.example",)


@pytest.mark.parametrize(
    "host", ["http://localhost:1", "http://127.0.0.1", "http://127.1.2.3:80", "http://[::1]:1/x"]
)
@pytest.mark.parametrize("use_ssl", ["", "true", "false"])
def test_plain_http_to_the_machine_itself_needs_no_leave_and_no_warning(host: str, use_ssl: str) -> None:
    found = read(WALLARM_API_HOST=host, WALLARM_API_USE_SSL=use_ssl)
    assert found.base_url == host
    assert found.warnings == ()


def test_no_ssl_does_not_make_a_bare_host_http() -> None:
    found = read(WALLARM_API_HOST="gateway.example", WALLARM_API_USE_SSL="false")
    assert found.base_url == "https://gateway.example"
    assert found.warnings == ()


def test_a_bad_use_ssl_is_bad_input() -> None:
    message = refusal(WALLARM_API_USE_SSL="maybe", WALLARM_API_HOST="http://gateway.example")
    assert message == "WALLARM_API_USE_SSL: must be true or false, not 'maybe'"


def test_a_host_beside_loopback_brackets_does_not_get_the_token_unencrypted() -> None:
    assert "api_host" in refusal(WALLARM_API_HOST="http://evil.example[::1]")


# Times.


@pytest.mark.parametrize("timeout", ["0", "0.0", "000"])
def test_a_timeout_of_nothing_is_bad_input(timeout: str) -> None:
    assert refusal(STOP_RECORDING_TIMEOUT=timeout) == "timeout: must be more than 0"


@pytest.mark.parametrize(
    ("quiet", "timeout"), [("120", ""), ("10", "10"), ("10", "9.5"), ("0.5", "0.5"), ("86400", "86400")]
)
def test_a_quiet_period_that_leaves_no_time_to_stop_is_bad_input(quiet: str, timeout: str) -> None:
    message = refusal(STOP_RECORDING_QUIET_PERIOD=quiet, STOP_RECORDING_TIMEOUT=timeout)
    assert message.startswith("quiet_period: must be shorter than timeout")


def test_a_quiet_period_just_below_the_timeout_is_taken() -> None:
    found = read(STOP_RECORDING_QUIET_PERIOD="119.9")
    assert (found.quiet_period, found.timeout) == (119.9, 120.0)


def test_a_bad_timeout_is_not_laid_to_a_good_quiet_period() -> None:
    message = refusal(STOP_RECORDING_TIMEOUT="2 minutes", STOP_RECORDING_QUIET_PERIOD="30")
    assert message == "timeout: must be a number of seconds, 0 to 86400, not '2 minutes'"


# Files that will be written.


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (".", "Is a directory"),
        ("missing/x.env", "No such file or directory"),
        ("file/x.env", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
@pytest.mark.parametrize(
    "ci", [{}, {"GITLAB_CI": "true"}, {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "out"}]
)
def test_an_output_file_that_cannot_be_written_is_bad_input(path: str, why: str, ci: dict[str, str]) -> None:
    Path("file").touch()
    message = refusal(ci, STOP_RECORDING_OUTPUT_FILE=path)
    assert message.startswith("output_file: ")
    assert why in message


def test_an_output_file_may_be_a_device() -> None:
    assert read(STOP_RECORDING_OUTPUT_FILE="/dev/null").test_run_ids == ("5080",)


def test_what_an_output_file_holds_is_kept_by_the_check() -> None:
    Path("x.env").write_text("A=1\n")
    read(STOP_RECORDING_OUTPUT_FILE="x.env")
    assert Path("x.env").read_text() == "A=1\n"


@pytest.mark.parametrize("value", [{}, {"GITHUB_OUTPUT": ""}])
def test_github_without_github_output_is_bad_input(value: dict[str, str]) -> None:
    message = refusal(value, GITHUB_ACTIONS="true")
    assert message == "GITHUB_OUTPUT: is not set, so the outputs could not be handed on"


@pytest.mark.parametrize("path", [".", "missing/output"])
def test_a_github_output_that_cannot_be_written_is_bad_input(path: str) -> None:
    assert refusal(GITHUB_ACTIONS="true", GITHUB_OUTPUT=path).startswith("GITHUB_OUTPUT: ")


def test_elsewhere_github_output_does_not_matter() -> None:
    assert read(GITHUB_OUTPUT="missing/output", GITLAB_CI="true").test_run_ids == ("5080",)


# The platform.


@pytest.mark.parametrize(
    ("environ", "kind", "output_file"),
    [
        ({}, "console", None),
        ({"GITHUB_ACTIONS": "true"}, "github", None),
        ({"GITLAB_CI": "true"}, "gitlab", "stop-recording.env"),
        ({"GITHUB_ACTIONS": "true", "GITLAB_CI": "true"}, "github", None),
        ({"GITHUB_ACTIONS": "", "GITLAB_CI": "false"}, "console", None),
        ({"STOP_RECORDING_OUTPUT_FILE": "a.env"}, "console", "a.env"),
        ({"GITHUB_ACTIONS": "true", "INPUT_OUTPUT_FILE": "a.env"}, "github", "a.env"),
        ({"GITLAB_CI": "true", "INPUT_OUTPUT-FILE": "a.env"}, "gitlab", "a.env"),
        ({"GITLAB_CI": "true", "STOP_RECORDING_OUTPUT_FILE": " "}, "gitlab", "stop-recording.env"),
    ],
)
def test_the_platform_and_its_output_file_are_known_by_their_variables(
    environ: dict[str, str], kind: str, output_file: str | None
) -> None:
    platform = read_platform(environ)
    assert (platform.kind, platform.output_file) == (kind, output_file)


@pytest.mark.parametrize("environ", [{"RUNNER_DEBUG": "1"}, {"CI_DEBUG_TRACE": "true"}])
def test_debug_lines_are_shown_where_the_runner_is_told_to(environ: dict[str, str]) -> None:
    assert read_platform(environ).debug
    assert not read_platform(dict.fromkeys(environ, "")).debug


# All problems at once, before any request.

EVERYTHING_WRONG = {
    "WALLARM_API_TOKEN": "hush hush",
    "TEST_RUN_ID": "../x",
    "WALLARM_CLOUD_REGION": "moon",
    "WALLARM_API_HOST": "ftp://user:pass@host",
    "WALLARM_API_USE_SSL": "perhaps",
    "STOP_RECORDING_TIMEOUT": "soon",
    "STOP_RECORDING_QUIET_PERIOD": "-1",
    "STOP_RECORDING_MIN_BASELINES": "many",
    "STOP_RECORDING_DRY_RUN": "wet",
    "STOP_RECORDING_CA_CERT": "no/such.pem",
    "STOP_RECORDING_OUTPUT_FILE": "no/such/directory.env",
}


def test_every_problem_is_told_at_once_and_once() -> None:
    problems = refusal(EVERYTHING_WRONG, GITHUB_ACTIONS="true").split("; ")
    told = [found[1] for problem in problems if (found := re.match(r"(\w+): ", problem))]
    assert sorted(told) == sorted([*INPUTS, "WALLARM_API_USE_SSL", "GITHUB_OUTPUT"])


@pytest.mark.parametrize("platform", ["console", "github", "gitlab"])
def test_all_that_is_wrong_is_one_error_line_before_any_request(
    platform: str, step: InProcess, sim: Simulator
) -> None:
    ran = step(
        platform,
        TEST_RUN_ID="../x",
        STOP_RECORDING_TIMEOUT="soon",
        STOP_RECORDING_DRY_RUN="wet",
        STOP_RECORDING_CA_CERT="no/such.pem",
    )
    assert ran.exit_code == 2
    assert sim.calls == []
    (line,) = ran.errors
    for name in ("test_run_id: ", "timeout: ", "dry_run: ", "ca_cert: "):
        assert name in line


@pytest.mark.parametrize("platform", ["console", "github", "gitlab"])
def test_nothing_is_asked_when_only_an_output_file_is_wrong(
    platform: str, step: InProcess, sim: Simulator
) -> None:
    ran = step(platform, STOP_RECORDING_OUTPUT_FILE="no/such/directory.env")
    assert ran.exit_code == 2
    assert sim.calls == []
    assert len(ran.errors) == 1


@pytest.mark.parametrize("token", ["hush hush", "hush\nhush", "hush\x1b[31m", "hush\x00"])
@pytest.mark.parametrize("platform", ["console", "github", "gitlab"])
def test_a_malformed_token_is_bad_input_and_never_shown(
    platform: str, token: str, step: InProcess, sim: Simulator
) -> None:
    ran = step(platform, WALLARM_API_TOKEN=token)
    assert ran.exit_code == 2
    assert sim.calls == []
    after_the_mask = "\n".join(line for line in ran.log.splitlines() if not line.startswith("::add-mask::"))
    assert "hush" not in after_the_mask
    assert "hush" not in ran.github_output + ran.summary + (ran.dotenv or "")


@pytest.mark.parametrize("platform", ["console", "github", "gitlab"])
def test_bytes_of_no_encoding_in_the_token_are_bad_input_not_a_crash(platform: str, step: InProcess) -> None:
    ran = step(platform, WALLARM_API_TOKEN="hush\udcff")
    assert ran.exit_code == 2


def test_a_refusal_is_one_line_whatever_the_values_hold() -> None:
    message = refusal(dict.fromkeys(EVERYTHING_WRONG, "x\n::error::y\x1b[31m/"))
    assert "\n" not in message
    assert "\x1b" not in message


# Any environment at all.

SECRETS = st.from_regex(r"secret[A-Za-z0-9+/=_-]{6,60}", fullmatch=True)
SURROGATES = st.text(st.characters(codec=None), max_size=12)
TEXT = st.text(max_size=12) | SURROGATES
PATHS = st.sampled_from(
    ["", ".", "/", "missing/x", "a.env", "\x00", "\udcff", "x" * 300, "/dev/null", "file/x"]
)
WORDS = st.sampled_from(
    [
        "",
        " ",
        "0",
        "1",
        "7.5",
        "-1",
        "nan",
        "1e5",
        "true",
        "NO",
        "us",
        "EU",
        "host",
        "host:1",
        "::1",
        "http://h",
        "https://h/p",
    ]
)
ENVIRONMENTS = st.fixed_dictionaries(
    {},
    optional={
        **{
            key: {"output_file": PATHS, "token": SECRETS | TEXT}.get(name, WORDS | TEXT)
            for name in INPUTS
            for key in _names(name)
        },
        "WALLARM_API_TOKEN_FILE": PATHS,
        "WALLARM_API_USE_SSL": WORDS | TEXT,
        "GITHUB_ACTIONS": st.sampled_from(["true", "false", ""]),
        "GITLAB_CI": st.sampled_from(["true", "false", ""]),
        "GITHUB_OUTPUT": PATHS,
        "GITHUB_STEP_SUMMARY": PATHS,
        "RUNNER_DEBUG": WORDS,
    },
)


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for all examples of a property."""
    before = Path.cwd()
    directory = tmp_path_factory.mktemp("playground")
    yield directory
    os.chdir(before)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(ENVIRONMENTS, SECRETS)
@example({"STOP_RECORDING_OUTPUT_FILE": "\x00"}, "secret1234567")
@example({"WALLARM_API_HOST": "http://[::1"}, "secret1234567")
@example({"TEST_RUN_ID": "[\ud800]"}, "secret1234567")
def test_any_environment_gives_settings_of_the_promised_form_or_bad_input(
    playground: Path, environ: dict[str, str], token: str
) -> None:
    os.chdir(playground)
    environ = {"WALLARM_API_TOKEN": token, "TEST_RUN_ID": "5080", **environ}
    platform = read_platform(environ)
    assert all(secret not in repr(platform) for secret in platform.secrets if len(secret) > 12)
    message = None
    try:
        found = read_settings(environ)
    except BadInput as refused:
        message = str(refused)
    if message is None:
        assert_promised_form(found)
        assert platform.secrets == (found.token,)
    else:
        assert message
        assert "\n" not in message
        assert token not in message


def assert_promised_form(found: Settings) -> None:
    fields: dict[str, Any] = vars(found)
    assert fields == {
        "token": ANY,
        "test_run_ids": ANY,
        "base_url": ANY,
        "portal": ANY,
        "timeout": ANY,
        "quiet_period": ANY,
        "min_baselines": ANY,
        "dry_run": ANY,
        "ca_certificates": ANY,
        "warnings": ANY,
    }
    assert re.fullmatch(r"[\x21-\x7e]+", found.token)
    assert found.test_run_ids
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", test_run_id) for test_run_id in found.test_run_ids)
    assert re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*[^/\s])?", found.base_url)
    assert found.portal in (None, "https://us1.my.wallarm.com", "https://my.wallarm.com")
    assert 0 < found.timeout <= 86_400
    assert 0 <= found.quiet_period < found.timeout
    assert found.min_baselines >= 0
    assert isinstance(found.dry_run, bool)
    assert found.ca_certificates is None or found.ca_certificates.startswith("-----BEGIN CERTIFICATE-----")
    unencrypted = found.base_url.startswith("http://") and not re.match(
        r"http://(localhost|127\.[0-9.]+|\[[0:]+1\])(:[0-9]+)?(/|$)", found.base_url
    )
    assert bool(found.warnings) == unencrypted

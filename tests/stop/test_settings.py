"""From the environment to the settings: which source wins, what is refused, and what a refusal shows."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.harness import PLATFORMS, TOKEN, InProcess, files_of, platform_of
from tests.tools.simulator import Simulator
from wallarm_fast.api.connection import Connection
from wallarm_fast.app import make_reader
from wallarm_fast.errors import InputError
from wallarm_fast.stop.settings import INPUTS, StopSettings, read_settings
from wallarm_fast.stop.step import STEP

NEEDED = {"WALLARM_API_TOKEN": TOKEN, "TEST_RUN_ID": "5080"}
US = ("https://us1.api.wallarm.com", "https://us1.my.wallarm.com")
EU = ("https://api.wallarm.com", "https://my.wallarm.com")
USE_SSL, NO_FILE = "WALLARM_API_USE_SSL", "No such file or directory"
DEFAULTS = StopSettings(
    connection=Connection(US[0], TOKEN, portal=US[1]), timeout=120.0, test_run_ids=("5080",)
)


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def variables(text: str) -> dict[str, str]:
    """Return the variables in "a=1 B=2"; a lower-case name is that of an input, or use_ssl."""
    names = {name: f"INPUT_{name.upper()}" for name in INPUTS} | {"use_ssl": USE_SSL}
    pairs = [variable.split("=", 1) for variable in text.split()]
    return {names.get(name, name): value for name, value in pairs}


def read(env: dict[str, str] | str, warnings: Sequence[str] = ()) -> StopSettings:
    """Read these variables, on top of the two that are required; fail if there are other warnings."""
    environ = NEEDED | (variables(env) if isinstance(env, str) else env)
    reader = make_reader(STEP, environ, files_of(environ))
    settings = read_settings(reader)
    assert reader.warnings == list(warnings)
    return settings


def label(name: str) -> str:
    return f"{name} ({INPUTS[name].variable})" if name in INPUTS else name


def names_of(name: str) -> tuple[str, str, str]:
    return f"INPUT_{name.upper()}", f"INPUT_{name.upper().replace('_', '-')}", INPUTS[name].variable


VALUES = {"token": "other", "test_run_id": "1 2", "cloud_region": "eu", "timeout": "9.5", "quiet_period": "1"}
VALUES |= {"min_baselines": "7", "dry_run": "yes"}
OTHERS = StopSettings(
    connection=Connection(EU[0], "other", portal=EU[1]),
    timeout=9.5,
    test_run_ids=("1", "2"),
    quiet_period=1.0,
    min_baselines=7,
    dry_run=True,
)


@pytest.mark.parametrize("source", [0, 1, 2])
def test_an_input_wins_over_its_variable_unless_blank_and_is_trimmed(source: int) -> None:
    env: dict[str, str] = {}
    for name, value in VALUES.items():
        keys = names_of(name)  # the first two are the same if the name is a single word
        env |= dict.fromkeys(keys[source:], "\x00") | dict.fromkeys(keys[:source], " \t\r\n\xa0")
        env[keys[source]] = f" \t\n{value}\r\n "
    assert read(env) == OTHERS


def test_without_a_value_every_input_has_its_default(ca_pem: str) -> None:
    keys = {USE_SSL, *(key for name in INPUTS for key in names_of(name))} - set(NEEDED)
    assert read("") == DEFAULTS
    assert read(dict.fromkeys(keys, " \n")) == DEFAULTS
    assert read({INPUTS["ca_cert"].variable: ca_pem}).connection.ca_certificates == ca_pem


def test_the_token_file_comes_last_is_read_only_when_needed_and_no_token_is_in_a_repr() -> None:
    Path("token").write_bytes(b"\xef\xbb\xbf\r\n from-file \r\n")  # with a byte order mark, as on Windows
    environ = {"WALLARM_API_TOKEN": " ", "WALLARM_API_TOKEN_FILE": " token "}
    assert read(environ).connection.token == "from-file"
    assert platform_of(environ).secrets == ("from-file",)
    assert platform_of({}).secrets == ()
    assert read(environ | {"INPUT_TOKEN": "input"}).connection.token == "input"
    assert read("WALLARM_API_TOKEN_FILE=token") == DEFAULTS
    assert read("WALLARM_API_TOKEN_FILE=missing") == DEFAULTS
    assert TOKEN not in f"{platform_of(NEEDED)!r} {platform_of(NEEDED)} {DEFAULTS!r} {DEFAULTS}"


# API and portal.
ADDRESSES = {
    "cloud_region=Us": US,
    "cloud_region=EU use_ssl=false": EU,
    "cloud_region=eu api_host=api.wallarm.com/v1": EU,
    "api_host=us1.api.wallarm.com.": ("https://us1.api.wallarm.com.", "https://us1.my.wallarm.com"),
    "api_host=API.Wallarm.com:443/x": ("https://API.Wallarm.com:443/x", "https://my.wallarm.com"),
    "api_host=api.wallarm.com.gw": ("https://api.wallarm.com.gw", None),
    "api_host=http://localhost:1": ("http://localhost:1", None),
    "api_host=http://[::1]:1/x use_ssl=false": ("http://[::1]:1/x", None),
    "api_host=http://127.1.2.3 use_ssl=true": ("http://127.1.2.3", None),
    "quiet_period=115 STOP_RECORDING_STATUS=x": US,
}
UNENCRYPTED = "the token is sent unencrypted to"
LIKE = "the variable STOP_RECORDING_{} is unknown and ignored; did you mean {}?"
NEAR = "quiet_period ({} s) is too close to timeout ({} s); recording is stopped after {} s at the latest"
UNUSED = "is not used; to trust its certificates, set ca_cert (WALLARM_CA_CERT)"
# The API, and the warning.
DOUBTFUL = {
    "api_host=HTTP://gw:80/x use_ssl=NO": ("http://gw:80/x", f"{UNENCRYPTED} gw"),
    "api_host=http://[2001:db8::1] use_ssl=0": ("http://[2001:db8::1]", f"{UNENCRYPTED} 2001:db8::1"),
    "cloud_region=eu api_host=gw": ("https://gw", "cloud_region is ignored, since api_host is set to gw"),
    "REQUESTS_CA_BUNDLE=ca.pem": (US[0], f"REQUESTS_CA_BUNDLE {UNUSED}"),
    "CURL_CA_BUNDLE=ca.pem": (US[0], f"CURL_CA_BUNDLE {UNUSED}"),
    "SSL_CERT_FILE=no.pem": (US[0], "SSL_CERT_FILE names 'no.pem', which does not exist"),
    "SSL_CERT_DIR=no": (US[0], "SSL_CERT_DIR names 'no', which does not exist"),
    "quiet_period=115.5": (US[0], NEAR.format("115.5", "120", "115")),
    "timeout=9 quiet_period=4.6": (US[0], NEAR.format("4.6", "9", "4.5")),
    "STOP_RECORDING_TIMOUT=1": (US[0], LIKE.format("TIMOUT", "STOP_RECORDING_TIMEOUT")),
    "STOP_RECORDING_MIN_BASELINE=1": (US[0], LIKE.format("MIN_BASELINE", "STOP_RECORDING_MIN_BASELINES")),
    "STOP_RECORDING_API_TOKEN=1": (US[0], LIKE.format("API_TOKEN", "WALLARM_API_TOKEN")),
    "STOP_RECORDING_XYZ=1": (US[0], "the variable STOP_RECORDING_XYZ is unknown and ignored"),
}


@pytest.mark.parametrize(("env", "addresses"), ADDRESSES.items(), ids=ADDRESSES)
def test_host_or_region_decide_on_api_and_portal(env: str, addresses: tuple[str, str | None]) -> None:
    found = read(env)
    assert (found.connection.base_url, found.connection.portal) == addresses


@pytest.mark.parametrize(("env", "base_url", "warning"), [(env, *row) for env, row in DOUBTFUL.items()])
def test_what_may_not_be_meant_gets_a_warning(env: str, base_url: str, warning: str) -> None:
    assert read(env, [warning]).connection.base_url == base_url


def test_a_run_has_a_link_in_a_portal_that_is_known() -> None:
    assert read("").connection.run_url("5080") == "https://us1.my.wallarm.com/testing/testruns/5080"
    assert read("api_host=https://gw").connection.run_url("5080") is None


HTTP = f"api_host: http:// would send the token unencrypted; use https://, or accept it with {USE_SSL}=false"
ELSEWHERE = "gw/x 10.0.0.1 [2001:db8::1]:80 localhost.gw mylocalhost 127.0.0.1.gw 0.0.0.0 128.0.0.1".split()
TOO_LONG = "quiet_period: must be shorter than timeout"
TIMEOUT = "timeout: must be a number of seconds, more than 0 and at most 86400, not"
NO_TOKEN = "token: is required; pass the input token, or set WALLARM_API_TOKEN or WALLARM_API_TOKEN_FILE (is"
FILE = "WALLARM_API_TOKEN= WALLARM_API_TOKEN_FILE="
# How messages begin, without the name of the variable.
PROBLEMS = {
    NO_TOKEN: ["WALLARM_API_TOKEN=", f"{FILE}empty", f"{FILE}blank"],
    "token: has white space, a control character or a non-ASCII letter": [f"{FILE}lines", f"{FILE}binary"],
    f"token: the file that WALLARM_API_TOKEN_FILE names cannot be read: {NO_FILE}": [f"{FILE}hush"],
    HTTP: [*(f"api_host=http://{host}" for host in ELSEWHERE), "api_host=http://gw use_ssl=1"],
    f"{USE_SSL}: must be true or false, not 'maybe'": ["use_ssl=maybe", "use_ssl=maybe api_host=http://gw"],
    "cloud_region: must be us or eu, not 'uk'": ["cloud_region=uk", "cloud_region=uk api_host=gw"],
    f"{TIMEOUT} '0'": ["timeout=0"],
    f"{TIMEOUT} '0.0'": ["timeout=0.0 quiet_period=1"],
    f"{TIMEOUT} '2m'": ["timeout=2m quiet_period=86400"],
    f"{TOO_LONG} (9.5 s), or no time would be left to stop": ["timeout=9.5 quiet_period=9.5"],
    f"{TOO_LONG} (120 s)": ["quiet_period=120.000001"],
    f"{TOO_LONG} (86400 s)": ["timeout=86400 quiet_period=86400"],
    "quiet_period: must be a number of seconds, 0 to 86400, not '-1'": ["timeout=0.1 quiet_period=-1"],
    "GITHUB_OUTPUT: is not set, so the outputs would be lost": ["GITHUB_ACTIONS=true"],
    "GITHUB_OUTPUT: '.' cannot be written: Is a directory": ["GITHUB_ACTIONS=true GITHUB_OUTPUT=."],
    f"output_file: '/no/x' cannot be written: {NO_FILE}": [
        "GITLAB_CI=true GITHUB_OUTPUT=. output_file=/no/x"
    ],
    "token: is in quotes, which are taken as a part of it": ["token='hush'", 'token="hush"'],
    "SSL_CERT_FILE: 'pipe' is neither a file nor a folder": ["SSL_CERT_FILE=pipe"],
    "SSL_CERT_DIR: '/dev/zero' is neither a file nor a folder": ["SSL_CERT_DIR=/dev/zero"],
    "token: is the path of a file": ["token=lines", "WALLARM_API_TOKEN=./lines"],
}
for path in ("x", "./x", "no/../x", "link"):
    message = f"output_file: '{path}' is also an output file; choose another path"
    PROBLEMS[message] = [f"GITHUB_ACTIONS=true GITHUB_OUTPUT=x output_file={path}"]
MISPLACED = (TOKEN, f"x{TOKEN}-1", f'["5080","{TOKEN}"]')
for misused in [name for name in INPUTS if name != "token"]:
    message = f'{misused}: contains the token; pass the token only in the input "token"'
    PROBLEMS[message] = [f"{misused}={text}" for text in MISPLACED]


# Neither the whole nor a part of an invalid token may be shown.
INVALID_TOKENS = ["hush\nhush", "hush hush", "hüsh-hush", "hush" * 1025]


@pytest.mark.parametrize("token", INVALID_TOKENS, ids=ascii)
@pytest.mark.parametrize("name", ["timeout", "cloud_region", "ca_cert", "output_file", "SSL_CERT_FILE"])
def test_a_token_that_is_invalid_is_not_shown_where_it_was_put_by_mistake(name: str, token: str) -> None:
    misplaced = f"INPUT_{name.upper()}" if name in INPUTS else name
    with pytest.raises(InputError) as refused:
        read({"WALLARM_API_TOKEN": token, misplaced: f"/missing/{token}"})
    assert f'{label(name)}: contains the token; pass the token only in the input "token"' in (
        refused.value.lines()
    )
    assert "sh" not in "".join(refused.value.lines()).replace("shown here", "")


@pytest.mark.parametrize("message", PROBLEMS)
def test_what_cannot_work_is_bad_input_and_no_secret_is_shown(message: str) -> None:
    files = {"empty": b"", "blank": b" \n", "lines": b"hush\nhush", "binary": b"hush\xff"}
    for file, content in files.items():
        Path(file).write_bytes(content)
    Path("link").symlink_to("x")
    Path("no").mkdir()
    os.mkfifo("pipe")
    name, _, problem = message.partition(": ")
    for env in PROBLEMS[message]:
        with pytest.raises(InputError) as refused:
            read(env)
        (shown,) = refused.value.lines()
        assert shown.startswith(f"{label(name)}: {problem}"), env
        assert not re.search(f"hush|{TOKEN}", shown)


def test_checking_an_output_file_leaves_it_as_it_was_and_it_may_be_a_device() -> None:
    Path("old").write_text("A=1\n")
    for file in ("old", "new", "/dev/null"):
        assert read(f"output_file={file}") == DEFAULTS
    assert Path("old").read_text() == "A=1\n"
    assert not Path("new").exists()


# The kind, the files, and whether to show debug messages.
PLATFORM_OF: dict[str, tuple[str, dict[str, str], bool]] = {
    "GITHUB_OUTPUT=a GITHUB_STEP_SUMMARY=b CI_DEBUG_TRACE=true": ("console", {}, True),
    "GITHUB_ACTIONS=true GITLAB_CI=true GITHUB_OUTPUT=a": ("github", {"GITHUB_OUTPUT": "a"}, False),
    "GITHUB_ACTIONS=true GITHUB_STEP_SUMMARY=b RUNNER_DEBUG=1": (
        "github",
        {"GITHUB_STEP_SUMMARY": "b"},
        True,
    ),
    "GITHUB_ACTIONS=true GITHUB_OUTPUT= GITHUB_ENV=c": ("github", {"GITHUB_ENV": "c"}, False),
    "GITLAB_CI=false GITHUB_OUTPUT=a": ("gitlab", {"output_file": "stop-recording.env"}, False),
    "GITHUB_ACTIONS=false STOP_RECORDING_OUTPUT_FILE=a RUNNER_DEBUG=0": (
        "console",
        {"output_file": "a"},
        False,
    ),
    "GITLAB_CI=true INPUT_OUTPUT-FILE=a CI_DEBUG_TRACE=false": ("gitlab", {"output_file": "a"}, False),
}


@pytest.mark.parametrize("env", PLATFORM_OF)
def test_the_platform_is_known_by_its_variables(env: str) -> None:
    kind, files, debug = PLATFORM_OF[env]
    found = platform_of(variables(env))
    assert found.kind == kind
    assert files_of(variables(env)).paths == files
    assert found.debug is debug


@pytest.mark.parametrize("token", ["hush hush", "hush\nhush", "hush\x1b[31m", "hush\x00", "hush\udcff"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_problem_is_an_error_line_of_its_own_before_any_request_without_the_token(
    platform: str, token: str, stop: InProcess, sim: Simulator
) -> None:
    variables = [*(spec.variable for spec in INPUTS.values()), USE_SSL, "HTTPS_PROXY"]
    env = dict.fromkeys(variables, "/no/x\n::error::y\x1b[31m") | {"WALLARM_API_TOKEN": token}
    ran = stop(platform, **env)
    assert ran.exit_code == 2
    assert sim.calls == []
    names = [line.partition(": ")[0] for line in ran.errors]
    assert sorted(names) == sorted(map(label, [*INPUTS, USE_SSL, "HTTPS_PROXY"]))
    shown = [line for line in ran.log.splitlines() if not line.startswith("::add-mask::")]
    assert "hush" not in "\n".join([*shown, ran.github_output, ran.summary, ran.dotenv or ""])

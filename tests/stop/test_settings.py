"""From the environment to the settings: which source wins, what is refused, and what a refusal shows."""

import re
from operator import attrgetter
from pathlib import Path

import pytest

from tests.conftest import PLATFORMS, TOKEN, InProcess, platform_of
from tests.tools.simulator import Simulator
from wallarm_fast.api.connection import Connection
from wallarm_fast.errors import InputError
from wallarm_fast.stop.settings import INPUTS, Settings, read_settings

NEEDED = {"WALLARM_API_TOKEN": TOKEN, "TEST_RUN_ID": "5080"}
US = ("https://us1.api.wallarm.com", "https://us1.my.wallarm.com")
EU = ("https://api.wallarm.com", "https://my.wallarm.com")
USE_SSL, NO_FILE = "WALLARM_API_USE_SSL", "No such file or directory"
DEFAULTS = Settings(Connection(US[0], TOKEN, None, US[1]), ("5080",), 120.0, 0.0, 0, False, ())


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def variables(text: str) -> dict[str, str]:
    """Return the variables in "a=1 B=2"; a lower-case name is that of an input, or use_ssl."""
    names = {name: f"INPUT_{name.upper()}" for name in INPUTS} | {"use_ssl": USE_SSL}
    pairs = [variable.split("=", 1) for variable in text.split()]
    return {names.get(name, name): value for name, value in pairs}


def read(env: dict[str, str] | str) -> Settings:
    """Read these variables, on top of the two that are required."""
    environ = NEEDED | (variables(env) if isinstance(env, str) else env)
    return read_settings(environ, platform_of(environ))


def refusal(env: dict[str, str] | str) -> str:
    with pytest.raises(InputError) as refused:
        read(env)
    return str(refused.value)


def names_of(name: str) -> tuple[str, str, str]:
    return f"INPUT_{name.upper()}", f"INPUT_{name.upper().replace('_', '-')}", INPUTS[name].variable


# For each input: the setting that it makes, and three valid values with what becomes of them.
VALUES: dict[str, tuple[str, dict[str, object]]] = {
    "token": ("connection.token", {"tokenA": "tokenA", "tokenB": "tokenB", "tokenC": "tokenC"}),
    "test_run_id": ("test_run_ids", {"1": ("1",), "2,3": ("2", "3"), "[4]": ("4",)}),
    "cloud_region": ("connection.base_url", {"eu": EU[0], "US": US[0], "EU": EU[0]}),
    "api_host": ("connection.base_url", {"a": "https://a", "b": "https://b", "c:1": "https://c:1"}),
    "timeout": ("timeout", {"1": 1.0, "2.5": 2.5, "3": 3.0}),
    "quiet_period": ("quiet_period", {"1": 1.0, "2.5": 2.5, "119.999999": 119.999999}),
    "min_baselines": ("min_baselines", {"1": 1, "2": 2, "3": 3}),
    "dry_run": ("dry_run", {"true": True, "no": False, "yes": True}),
}


@pytest.mark.parametrize("name", VALUES)
def test_an_input_wins_over_its_variable_unless_blank_and_is_trimmed(name: str) -> None:
    setting, values = VALUES[name]
    # A name of one word has no form with dashes.
    sources = list(zip(dict.fromkeys(names_of(name)), values, strict=False))
    env = {key: f" \t\n{text}\r\n " for key, text in sources}
    for (key, text), blank in zip(sources, ["", " \t\r\n\xa0", ""], strict=False):
        assert attrgetter(setting)(read(env)) == values[text], key
        env[key] = blank


def test_without_a_value_every_input_has_its_default(ca_pem: str) -> None:
    keys = {USE_SSL, *(key for name in INPUTS for key in names_of(name))} - set(NEEDED)
    assert read("") == read(dict.fromkeys(keys, " \n")) == DEFAULTS
    assert read({INPUTS["ca_cert"].variable: ca_pem}).connection.ca_certificates == ca_pem.strip()


def test_the_token_file_comes_last_is_read_only_when_needed_and_no_token_is_in_a_repr() -> None:
    Path("token").write_bytes(b"\r\n from-file \r\n")
    environ = {"WALLARM_API_TOKEN": " ", "WALLARM_API_TOKEN_FILE": " token "}
    assert read(environ).connection.token == "from-file"
    assert (platform_of(environ).secrets, platform_of({}).secrets) == (("from-file",), ())
    assert read(environ | {"INPUT_TOKEN": "input"}).connection.token == "input"
    assert read("WALLARM_API_TOKEN_FILE=token") == read("WALLARM_API_TOKEN_FILE=missing") == DEFAULTS
    assert TOKEN not in f"{platform_of(NEEDED)!r} {platform_of(NEEDED)} {DEFAULTS!r} {DEFAULTS}"


@pytest.mark.parametrize("content", [b"", b" \n", b"hush\nhush", b"hush\xff\x00"])
def test_a_missing_or_invalid_token_file_is_bad_input_and_not_shown(content: bytes) -> None:
    message = refusal("WALLARM_API_TOKEN= WALLARM_API_TOKEN_FILE=hush")
    assert message == f"token: the file that WALLARM_API_TOKEN_FILE names cannot be read: {NO_FILE}"
    Path("hush").write_bytes(content)
    message = refusal("WALLARM_API_TOKEN= WALLARM_API_TOKEN_FILE=hush")
    required = "is required; give the input token, or set WALLARM_API_TOKEN or WALLARM_API_TOKEN_FILE"
    assert message.startswith(f"token: {'has white space' if content.strip() else required}")
    assert "hush" not in message


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "token"])
def test_a_token_that_was_also_put_in_a_wrong_place_is_refused_and_not_shown(name: str) -> None:
    for text in (TOKEN, f"x{TOKEN}-1", f'["5080","{TOKEN}"]'):
        message = refusal({INPUTS[name].variable: text})
        assert message == f"{name}: contains the token; give the token in the input token alone"


# What makes them: API, portal, and the host that gets the token unencrypted.
CONNECTIONS = {
    "cloud_region=Us": (*US, ""),
    "cloud_region=EU use_ssl=false": (*EU, ""),
    "cloud_region=us api_host=api.wallarm.com": (*EU, ""),
    "api_host=API.Wallarm.com:443/x": ("https://API.Wallarm.com:443/x", EU[1], ""),
    "api_host=api.wallarm.com.gw": ("https://api.wallarm.com.gw", None, ""),
    "api_host=HTTP://gw:80/x use_ssl=NO": ("http://gw:80/x", None, "gw"),
    "api_host=http://[2001:db8::1] use_ssl=0": ("http://[2001:db8::1]", None, "2001:db8::1"),
    "api_host=http://localhost:1": ("http://localhost:1", None, ""),
    "api_host=http://[::1]:1/x use_ssl=false": ("http://[::1]:1/x", None, ""),
    "api_host=http://127.1.2.3 use_ssl=true": ("http://127.1.2.3", None, ""),
}


@pytest.mark.parametrize("env", CONNECTIONS)
def test_host_or_region_decide_on_api_and_portal_and_plain_http_gets_a_warning(env: str) -> None:
    found, (base_url, portal, unencrypted) = read(env), CONNECTIONS[env]
    assert (found.connection.base_url, found.connection.portal) == (base_url, portal)
    assert found.connection.run_url("5080") == (portal and f"{portal}/testing/testruns/5080")
    assert found.warnings == ((f"the token is sent unencrypted to {unencrypted}",) if unencrypted else ())


HTTP = f"api_host: http:// would send the token unencrypted; use https://, or accept it with {USE_SSL}=false"
TOO_LONG = "quiet_period: must be shorter than timeout, or no time would be left to stop"
ELSEWHERE = "gw/x 10.0.0.1 [2001:db8::1]:80 localhost.gw mylocalhost 127.0.0.1.gw 0.0.0.0 128.0.0.1".split()
PROBLEMS = {
    HTTP: [*(f"api_host=http://{host}" for host in ELSEWHERE), "api_host=http://gw use_ssl=1"],
    f"{USE_SSL}: must be true or false, not 'maybe'": ["use_ssl=maybe", "use_ssl=maybe api_host=http://gw"],
    "cloud_region: must be us or eu, not 'uk'": ["cloud_region=uk", "cloud_region=uk api_host=gw"],
    "timeout: must be more than 0": ["timeout=0", "timeout=0.0 quiet_period=1"],
    TOO_LONG: ["timeout=9.5 quiet_period=9.5", "quiet_period=120.000001", "timeout=86400 quiet_period=86400"],
    "timeout: must be a number of seconds, 0 to 86400, not '2m'": ["timeout=2m quiet_period=86400"],
    "quiet_period: must be a number of seconds, 0 to 86400, not '-1'": ["timeout=0.1 quiet_period=-1"],
    "GITHUB_OUTPUT: is not set, so the outputs would be lost": ["GITHUB_ACTIONS=true"],
    "GITHUB_OUTPUT: '.' cannot be written: Is a directory": ["GITHUB_ACTIONS=true GITHUB_OUTPUT=."],
    f"output_file: 'no/x' cannot be written: {NO_FILE}": ["GITLAB_CI=true GITHUB_OUTPUT=. output_file=no/x"],
    "output_file: embedded null byte": ["output_file=\x00"],
}


@pytest.mark.parametrize("message", PROBLEMS)
def test_what_cannot_work_is_bad_input(message: str) -> None:
    for env in PROBLEMS[message]:
        assert refusal(env) == message, env


def test_an_output_file_is_created_or_kept_and_may_be_a_device() -> None:
    Path("old").write_text("A=1\n")
    assert read("output_file=old") == read("output_file=new") == read("output_file=/dev/null") == DEFAULTS
    assert (Path("old").read_text(), Path("new").read_text()) == ("A=1\n", "")


PLATFORM_OF: dict[str, tuple[object, ...]] = {
    "GITHUB_OUTPUT=a GITHUB_STEP_SUMMARY=b CI_DEBUG_TRACE=true": ("console", None, None, None, True),
    "GITHUB_ACTIONS=true GITLAB_CI=true GITHUB_OUTPUT=a": ("github", None, "a", None, False),
    "GITHUB_ACTIONS=true GITHUB_OUTPUT= GITHUB_STEP_SUMMARY=b": ("github", None, None, "b", False),
    "GITLAB_CI=true GITHUB_OUTPUT=a": ("gitlab", "stop-recording.env", None, None, False),
    "GITHUB_ACTIONS=false GITLAB_CI= RUNNER_DEBUG=1": ("console", None, None, None, True),
    "STOP_RECORDING_OUTPUT_FILE=a RUNNER_DEBUG=0": ("console", "a", None, None, False),
    "GITLAB_CI=true INPUT_OUTPUT-FILE=a CI_DEBUG_TRACE=false": ("gitlab", "a", None, None, False),
}


@pytest.mark.parametrize("env", PLATFORM_OF)
def test_the_platform_is_known_by_its_variables(env: str) -> None:
    fields = attrgetter("kind", "output_file", "github_output", "github_step_summary", "debug")
    assert fields(platform_of(variables(env))) == PLATFORM_OF[env]


@pytest.mark.parametrize("token", ["hush hush", "hush\nhush", "hush\x1b[31m", "hush\x00", "hush\udcff"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_problems_are_one_error_line_before_any_request_without_the_token(
    platform: str, token: str, step: InProcess, sim: Simulator
) -> None:
    checked = {name: spec.variable for name, spec in INPUTS.items()} | {USE_SSL: USE_SSL}
    env = dict.fromkeys(checked.values(), "no/x\n::error::y\x1b[31m") | {"WALLARM_API_TOKEN": token}
    assert refusal(env).isprintable()
    ran = step(platform, real_time=False, **env)
    assert (ran.exit_code, sim.calls) == (2, [])
    (line,) = ran.errors
    assert sorted(re.findall(r"(?:^|; )(\w+): ", line)) == sorted(checked)
    shown = [line for line in ran.log.splitlines() if not line.startswith("::add-mask::")]
    assert "hush" not in "\n".join([*shown, ran.github_output, ran.summary, ran.dotenv or ""])

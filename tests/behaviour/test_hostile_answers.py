"""What the API sends is data: it cannot smuggle in ids, act upon a runner or terminal, or show the token."""

import json
import re
import unicodedata

import pytest

from stop_recording.errors import Refused
from stop_recording.reporting.outputs import action_outputs
from stop_recording.reporting.summary import summary
from stop_recording.result import Report, StopResult
from tests.conftest import ROOT, TOKEN, AsProcess, InProcess, Ran, assert_no_token
from tests.simulator import Simulator, faults

OWN_COMMANDS = ("::add-mask::", "::error", "::warning", "::debug", "::notice", "::group::", "::endgroup::")
PLATFORMS = ["github", "gitlab", "console"]


def assert_harmless(ran: Ran) -> None:
    """No line acts upon a runner or a terminal, but for the commands that are the step's own."""
    # What GitLab's sections are made of is the step's own.
    log = re.sub(
        r"\x1b\[0Ksection_(start|end):\d+:stop_recording(\[collapsed=true\])?[\r\n]\x1b\[0K", "", ran.log
    )
    for line in log.split("\n"):
        assert not line.lstrip().startswith("::") or line.startswith(OWN_COMMANDS)
        assert "##[" not in line
        for character in line:
            assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}, repr(line)


# Record ids

NOT_IDS = {
    "path": "../../admin",
    "absolute path": "/etc/passwd",
    "slash": "a/b",
    "encoded slash": "a%2Fb",
    "query": "1?x=y",
    "fragment": "1#x",
    "dot": "1.5",
    "space": "1 2",
    "leading space": " 1",
    "newline at the end": "9058\n",
    "output injection": "9058\nstatus=stopped\nevil=1",
    "heredoc injection": "9058\nghadelimiter\nevil<<x\n1\nx",
    "carriage return": "9058\rx",
    "NUL": "9058\0",
    "ANSI": "\x1b[31m9058",
    "set-output": "::set-output name=x::y",
    "old command": "##[error]x",
    "markdown": "[x](http://evil)",
    "html": "<script>",
    "pipe": "a|b",
    "shell": "$(reboot)",
    "quotes": "'\"`",
    "quick text for the summary": "1`\n# x",
    "129 characters": "x" * 129,
    "a MB": "x" * 1_000_000,
    "Arabic digits": "٩٠٥٨",
    "fullwidth": "９０５８",  # noqa: RUF001  # as above
    "bidi": "9058\u202e",
    "line separator": "9058\u2028x",
    "surrogate": "\ud800",
    "true": True,
    "false": False,
    "float": 9058.0,
    "1e300": 1e300,
    "list": [9058],
    "empty list": [],
    "object": {"id": 9058},
    "empty object": {},
    "negative": -1,
    "zero with a sign": "-0.0",
    "huge": 10**40,
    "1000 digits": 10**1000,
    "token": TOKEN,
    "with the token inside": f"rec_{TOKEN}_1",
}


@pytest.mark.parametrize("value", NOT_IDS.values(), ids=NOT_IDS)
@pytest.mark.parametrize("where", ["stop", "GET"])
def test_a_record_id_that_is_not_an_id_is_an_unusable_answer(
    where: str, value: object, step: InProcess, sim: Simulator
) -> None:
    """Whichever answer has it, nothing of it comes out of the step."""
    run = {"recording": False, "test_record_id": value, "state": "running"}
    if where == "GET":
        sim.faults.add(faults.answer(204, act=True), on="stop")
    sim.faults.add(faults.answer(200, {"status": 200, "body": run}), times=None)
    ran = step("github")
    assert ran.exit_code == 5
    assert ran.outputs["status"] == "refused"
    assert ran.outputs["test_record_id"] == ""
    assert ran.outputs["test_record_ids"] == "[]"
    assert set(ran.outputs) == {
        "test_record_id", "test_record_ids", "status", "test_run_state", "baseline_count", "results"
    }  # fmt: skip
    assert ran.results[0]["test_record_id"] is None
    assert len(ran.errors) == 1
    assert "test_record_id" in ran.errors[0]
    if isinstance(value, str) and value not in "0123456789":
        assert value not in ran.log.replace(f"::add-mask::{TOKEN}", "") + ran.github_output + ran.summary
    assert_harmless(ran)
    assert step.clock.slept in ([], [0])


@pytest.mark.parametrize("value", ["../../admin", "x" * 129, f"a{TOKEN}", "9058\nevil=1"])
@pytest.mark.parametrize("platform", ["gitlab", "console"])
def test_a_record_id_that_is_not_an_id_comes_into_no_dotenv_file(
    value: str, platform: str, step: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["test_record_id"] = value
    ran = step(platform)
    assert ran.exit_code == 5
    assert ran.variables["TEST_RECORD_ID"] == ""
    assert "evil" not in ran.variables
    assert value not in ran.log


@pytest.mark.parametrize("value", ["../../admin", "a/b?c"])
def test_no_request_is_made_with_a_record_id_that_is_not_an_id(
    value: str, step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.stop_call_unknown = 404
    sim.state.find("5080").overrides["test_record_id"] = value
    assert step().exit_code == 5
    assert {call.split()[1] for call in sim.calls} <= {"/v1/test_run/5080/action/stop", "/v1/test_run/5080"}


@pytest.mark.parametrize(
    "value", [0, 1, 9058, 2**31, 999_999_999_999, "9058", "rec_0001", "-", "_", "a-B_9", "x" * 128, "007"]
)
def test_a_record_id_of_the_form_of_an_id_is_handed_on_as_it_is(
    value: object, step: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["test_record_id"] = value
    ran = step("github")
    assert ran.exit_code == 0
    assert ran.outputs["test_record_id"] == str(value)


# Other fields

ODD: list[object] = [
    None,
    "",
    "a b",
    "::error::x",
    7,
    1.5,
    True,
    [],
    {},
    ["running"],
    "x" * 100,
    "\x1b[31m",
    TOKEN,
    "a\nb=c",
    "Ä",
]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_state_that_is_none_is_not_told(
    platform: str, value: object, step: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["state"] = value
    ran = step(platform)
    assert ran.exit_code == 0
    if platform == "github":
        assert ran.outputs["test_run_state"] == ""
    else:
        assert ran.variables["TEST_RUN_STATE"] == ""
    assert "state " not in ran.log.replace("state\n", "")
    assert_harmless(ran)


@pytest.mark.parametrize(
    "value", [None, "", "5", -1, 5.0, 1e300, True, False, [], {}, [5], 10**12, 10**100, TOKEN]
)
def test_a_count_that_is_none_is_not_told(value: object, step: InProcess, sim: Simulator) -> None:
    sim.state.find("5080").overrides["baseline_count"] = value
    ran = step("github")
    assert ran.exit_code == 0
    assert ran.outputs["baseline_count"] == ""
    assert ran.results[0]["baseline_count"] is None


@pytest.mark.parametrize("value", [None, "", "false", 0, 0.0, [], {}, "no"])
def test_recording_that_is_not_a_boolean_confirms_nothing(
    value: object, step: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["recording"] = value
    ran = step("github")
    assert ran.results[0]["recording"] is None
    assert "does not say whether recording is off" in ran.log


@pytest.mark.parametrize("value", [TOKEN, "x" * 100_000, ["x"] * 1000, {"a": {"b": {}}}, "::error::", None])
def test_fields_that_nobody_reads_do_no_harm(value: object, step: InProcess, sim: Simulator) -> None:
    for field in ("id", "name", "domains", "vulns", "allowed_actions", "clientid", "anything", "error"):
        sim.state.find("5080").overrides[field] = value if field != "id" else "5080"
    assert step("github").exit_code == 0


def test_the_status_of_an_envelope_may_be_of_any_type(step: InProcess, sim: Simulator) -> None:
    body = {"recording": False, "test_record_id": 9058}
    statuses: list[object] = [None, "ok", "500", [], {}, True, False, 0, -1, 200.0, 1e300, "::error::"]
    for status in statuses:
        sim.faults.add(faults.answer(200, {"status": status, "body": body}), on="stop")
        assert step().exit_code == 0


# Texts

TEXTS = {
    "command": "::set-output name=x::y",
    "command after a newline": "a\n::set-env name=x::y",
    "command after a carriage return": "a\r::warning::y",
    "command after a CRLF": "a\r\n::stop-commands::y",
    "command after a line separator": "a\u2028::error::y",
    "command after a vertical tab": "a\x0b::error::y",
    "command after a next line": "a\x85::error::y",
    "old command": "##[error]y",
    "old command in the middle": "a ##[set-env name=x]y",
    "old command, doubled": "####[[error]y",
    "old command, split by a control character": "##\x00[error]y",
    "ANSI colour": "\x1b[31mred\x1b[0m",
    "ANSI cursor": "\x1b[2J\x1b[1;1H",
    "OSC link": "\x1b]8;;http://evil\x07x\x1b]8;;\x07",
    "C1 CSI": "\x9b31mred",
    "backspaces": "good\b\b\b\bbad",
    "GitLab section": "\x1b[0Ksection_start:1:x\r\x1b[0Kevil",
    "bidi": "\u202eevil\u202c \u2066x\u2069",
    "zero width": "e\u200bv\u200di\ufeffl",
    "tags": "x\U000e0041\U000e0042",
    "NUL": "a\0b",
    "non-character": "a\uffffb",
    "percent codes": "a%0A::error::b%0D%25",
    "long": "x" * 100_000,
    "long with newlines": "::x\n" * 10_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_error_text_acts_upon_nothing(platform: str, text: str, step: InProcess, sim: Simulator) -> None:
    """As value, as key and as a bare string."""
    for body in ({"error": text}, {text: "x"}, text):
        sim.faults.clear()
        sim.faults.add(faults.envelope(400, body, http=400), times=None)
        ran = step(platform, RUNNER_DEBUG="1")
        assert ran.exit_code == 5
        assert_harmless(ran)
        assert ran.log.count("error: test run" if platform != "github" else "::error ") == 1
        assert max(map(len, ran.log.splitlines())) < 1000
        if platform == "github":
            assert set(ran.outputs) == {
                "test_record_id", "test_record_ids", "status", "test_run_state", "baseline_count", "results"
            }  # fmt: skip
            assert len(ran.results) == 1


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_retried_error_text_acts_upon_nothing(text: str, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(503, text, http=503), on="stop", times=2)
    ran = step("github")
    assert ran.exit_code == 0
    assert_harmless(ran)


def test_a_lone_surrogate_in_an_error_text_can_be_printed(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(400, b'{"status": 400, "body": "a\\ud800b"}'), times=None)
    ran = process("github")
    assert ran.exit_code == 5
    assert "a b" in ran.errors[0]
    assert "a b" in ran.results[0]["error"]


MARKDOWN = [
    "[x](javascript:alert)", "![x](http://evil/pixel)", "<img src=x onerror=y>", "</td></tr>|x|y|", "`x`",
    "# x", "a | b", "&lt;b&gt;", "**x**", "https://evil.example", "@everyone", "#1", "<!-- x -->", "~~x~~",
    "\\|",
]  # fmt: skip


@pytest.mark.parametrize("text", MARKDOWN)
def test_an_error_text_is_only_text_in_the_summary(text: str, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, text, http=400), times=None)
    ran = step("github")
    row = next(line for line in ran.summary.splitlines() if line.startswith("| 5080 |"))
    assert row.count("|") == 6
    outcome = row.split("|")[5].replace("**Request refused**", "")
    assert re.fullmatch(r"[A-Za-z0-9 ]*", re.sub(r"&#\d+;", "", outcome).replace(":", "", 1))
    assert text in re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), outcome)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 ::error::\x1b[31m\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"::error::evil\r\n\r\n",
        b"##[error]evil\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n::error::evil\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: ::error::\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: ##[error]\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff::error::\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: ::error::\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_head_of_an_answer_acts_upon_nothing(
    data: bytes, platform: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.raw(data), times=None)
    ran = step(platform, STOP_RECORDING_TIMEOUT="5", CI_DEBUG_TRACE="true", RUNNER_DEBUG="1")
    assert ran.exit_code in {5, 6, 7}
    assert_harmless(ran)


@pytest.mark.parametrize(
    "value", ["a=b; Path=/; Domain=127.0.0.1", "x" * 5000, "a=b; Max-Age=99999999999999999999", "="]
)
def test_a_cookie_does_no_harm(value: str, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(503, headers={"Set-Cookie": value}), on="stop")
    ran = step()
    assert ran.exit_code == 0
    assert "cookie" not in ran.log.lower()


def test_an_error_line_stays_short_whatever_the_server_sends(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.raw(b"x" * 60_000 + b"\r\n\r\n"), times=None)
    ran = step(STOP_RECORDING_TIMEOUT="5")
    assert ran.exit_code == 6
    assert len(ran.errors[0]) < 1000


def test_a_status_of_a_thousand_digits_does_not_fill_the_log(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(10**1000, "x"), times=None)
    ran = step(STOP_RECORDING_TIMEOUT="5")
    assert ran.exit_code in {5, 6}
    assert len(ran.errors[0]) < 1000


# The token

ODD_TOKENS = [
    TOKEN, "a%b%0Ac", 'quo"te', "back\\slash", "new\\nline", "it's", "<b>&amp;", "pi|pe", "t::o::k",
    "##[error]t", "$HOME`id`", "x" * 300, "1234567890", "[a](b)", "a,b: c".replace(" ", ""), "e=f==",
]  # fmt: skip


@pytest.mark.parametrize(
    ("token", "status"), [*((token, 403) for token in ODD_TOKENS), (TOKEN, 400), (TOKEN, 404), (TOKEN, 503)]
)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_echoed_token_is_masked(
    platform: str, status: int, token: str, step: InProcess, sim: Simulator
) -> None:
    """`step` itself fails if the token stands in any stream or file."""
    sim.token = token
    sim.faults.add(faults.echo_token(status), times=None)
    ran = step(platform, WALLARM_API_TOKEN=token, RUNNER_DEBUG="1", STOP_RECORDING_TIMEOUT="2")
    assert "***" in ran.log
    for escaped in (json.dumps(token)[1:-1], repr(token)[1:-1]):
        assert escaped not in ran.log.replace(f"::add-mask::{token}", "") + ran.summary


@pytest.mark.parametrize("padding", range(150, 202, 3))
def test_a_token_echoed_at_the_length_limit_shows_no_part_of_itself(
    padding: int, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.envelope(400, "." * padding + TOKEN + "!", http=400), times=None)
    ran = step()
    assert ran.exit_code == 5
    for length in range(4, len(TOKEN)):
        assert TOKEN[:length] not in ran.log


@pytest.mark.parametrize("token", [TOKEN, "back\\slash", "quo'te", 'quo"te'])
@pytest.mark.parametrize(
    "template",
    [
        "{}\r\n\r\n",
        "HTTP/1.1 400 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\n{}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: {}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: {}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
        "HTTP/1.1 302 Found\r\nLocation: {}://{}:{}/\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 429 Slow\r\nRetry-After: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_token_echoed_in_the_head_of_an_answer_is_masked(
    template: str, token: str, step: InProcess, sim: Simulator
) -> None:
    """Also where a library puts what it could not parse into its message, with escapes."""
    sim.token = token
    sim.faults.add(faults.raw(template.replace("{}", token).encode()), times=None)
    ran = step(WALLARM_API_TOKEN=token, STOP_RECORDING_TIMEOUT="2", CI_DEBUG_TRACE="true")
    assert ran.exit_code in {5, 6}
    for escaped in (repr(token)[1:-1], repr(token.encode())[2:-1], repr(bytearray(token.encode()))[12:-2]):
        assert escaped not in ran.log


def test_a_token_split_over_keys_and_values_is_not_put_together(step: InProcess, sim: Simulator) -> None:
    for cut in range(1, len(TOKEN)):
        sim.faults.clear()
        sim.faults.add(faults.envelope(400, {TOKEN[:cut]: TOKEN[cut:]}, http=400), times=None)
        assert step().exit_code == 5
        sim.faults.clear()
        sim.faults.add(faults.envelope(400, f"{TOKEN[:cut]}\0{TOKEN[cut:]}", http=400), times=None)
        assert step().exit_code == 5


def test_the_token_is_masked_before_anything_else_is_printed(process: AsProcess, sim: Simulator) -> None:
    ran = process("github")
    assert ran.stdout.startswith(f"::add-mask::{TOKEN}\n")
    assert ran.stderr == ""


def test_only_the_token_is_masked(process: AsProcess) -> None:
    assert process("github").stdout.count("::add-mask::") == 1


def test_the_token_is_sent_in_its_header_and_nowhere_else(process: AsProcess, sim: Simulator) -> None:
    process()
    (request,) = sim.requests
    assert [name for name, value in request.headers.items() if TOKEN in value] == ["x-wallarmapi-token"]
    assert TOKEN not in request.path
    assert request.body == b""


def test_a_run_of_the_bug_path_shows_no_token(step: InProcess, sim: Simulator) -> None:
    def broken() -> float:
        raise RuntimeError(f"no clock for {TOKEN}\n::error::x")

    step.clock.wall = broken  # type: ignore[method-assign]
    sim.faults.add(faults.answer(503, headers={"Retry-After": "soon"}), on="stop")
    ran = step("github")
    assert ran.exit_code == 1
    assert "RuntimeError: no clock for ***" in ran.stdout
    assert "unexpected RuntimeError" in ran.errors[0]
    assert_harmless(ran)


def test_outputs_and_summary_mask_what_an_error_says() -> None:
    """Whatever put the token there: the client has masked its own messages already."""
    error = Refused(f"a {TOKEN} b\n::error::x")
    report = Report([StopResult("5080", error=error)])
    outputs = action_outputs(report, [TOKEN])
    assert json.loads(outputs["results"])[0]["error"] == "a *** b ::error::x"
    for text in (*outputs.values(), summary(report, [TOKEN]), summary(Report(error=error), [TOKEN])):
        assert TOKEN not in text
        assert not re.search("^::", text, re.MULTILINE)


# The check itself


@pytest.mark.parametrize("file", ["github_output", "summary", "stdout", "stderr", "dotenv"])
def test_a_leak_anywhere_would_be_noticed(
    file: str, step: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"stdout": "", "stderr": "", file: f"a {TOKEN} b"}
    for name in ("github_output", "summary"):
        (step.directory / name).write_text(texts.get(name, ""))
    (step.directory / "file.env").write_text(texts.get("dotenv", ""))
    env = {"STOP_RECORDING_OUTPUT_FILE": "file.env"}
    with pytest.raises(AssertionError, match="the token is shown"):
        step.ran(0, texts["stdout"], texts["stderr"], env, 0.0)


def test_a_second_mask_command_would_be_noticed_as_a_leak() -> None:
    assert_no_token(f"::add-mask::{TOKEN}\n")
    with pytest.raises(AssertionError, match="the token is shown"):
        assert_no_token(f"::add-mask::{TOKEN}\n::add-mask::{TOKEN}\n")


def test_no_source_file_has_a_token_of_its_own() -> None:
    assert all(TOKEN not in file.read_text() for file in (ROOT / "stop_recording").rglob("*.py"))

"""What the API sends is data: it injects no ids, acts on no runner or terminal, and never shows the token."""

import html
import json
import logging
import re

import pytest

from tests.assertions import assert_harmless
from tests.harness import LOOK, PLATFORMS, STOP, TOKEN, InProcess, Ran, stop_result
from tests.tools.simulator import Simulator, faults
from wallarm_fast import __version__
from wallarm_fast.errors import RefusedError
from wallarm_fast.stop.report import StopReport

short = "{!a:.40}".format  # names a case


NOT_RECORD_IDS: list[object] = [
    "../../admin", "1?x=y", " 1", "9058\n", "9058\nevil=1", "9058\0", "\x1b[31m1", "::x::", "a|b", TOKEN,
    "x" * 129, "٩٠٥٨", "9058\u202e", "\ud800", True, False, 1.0, [1], {}, 10**128, 10**1000, f"_{TOKEN}",
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_RECORD_IDS, ids=short)
def test_a_record_id_of_another_form_in_the_response_to_the_stop_is_unusable(
    value: object, stop: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["test_record_id"] = value
    ran = stop("github")
    assert_unusable(ran)
    assert sim.calls == [STOP]


@pytest.mark.parametrize("value", NOT_RECORD_IDS, ids=short)
@pytest.mark.parametrize("answer", [faults.answer(204), faults.answer(404), faults.reset_after()])
def test_a_record_id_of_another_form_in_a_fetched_run_is_unusable(
    answer: faults.Fault, value: object, stop: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["test_record_id"] = value
    sim.faults.add(answer, on="stop")
    ran = stop("github")
    assert_unusable(ran)
    assert sim.calls == [STOP, LOOK]


def assert_unusable(ran: Ran) -> None:
    assert ran.exit_code == 5
    assert ran.outputs["status"] == "refused"
    assert ran.outputs["test_record_ids"] == "[]"
    assert "a test_record_id that is not an id" in ran.errors[0]
    assert_harmless(ran)


NOT_STATES: list[object] = [None, "", "a b", 7, True, ["a"], "x" * 33, "\x1b[31m", "running\n", "tok_en"]
NOT_COUNTS: list[object] = [None, "", "-5", "5.5", "5e0", -1, 5.5, True, [], 10**12, 10**1000, "tok_en"]
FIELDS: list[tuple[str, object, str]] = [
    *(("test_record_id", name, str(name)) for name in (0, 10**12, 10**127, "-", "a-B_9", "007", "x" * 128)),
    *(("state", value, "") for value in NOT_STATES), ("state", "a_b", "a_b"), ("state", "x" * 32, "x" * 32),
    *(("baseline_count", value, "") for value in NOT_COUNTS), ("baseline_count", 10**12 - 1, "9" * 12),
    ("baseline_count", 0, "0"), *(("baseline_count", value, "5") for value in ("5", "5.0", "005", 5.0)),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "output"), FIELDS, ids=short)
def test_a_value_is_returned_if_it_has_the_expected_form(
    field: str, value: object, output: str, stop: InProcess, sim: Simulator
) -> None:
    sim.tokens.append("tok_en")  # has the form of a state
    sim.state.find("5080").overrides[field] = value
    ran = stop("github", WALLARM_API_TOKEN="tok_en")
    assert ran.exit_code == 0
    assert ran.outputs[field.replace("state", "test_run_state")] == output
    assert_harmless(ran)


def answer_with_status(sim: Simulator, status: object) -> None:
    body = {"recording": False, "test_record_id": 9058}
    sim.faults.add(faults.answer(200, {"status": status, "body": body}), times=None)


@pytest.mark.parametrize("status", ["500", True, 399])
def test_a_status_of_an_envelope_below_400_or_of_another_type_is_no_error(
    status: object, stop: InProcess, sim: Simulator
) -> None:
    answer_with_status(sim, status)
    ran = stop(STOP_RECORDING_TIMEOUT="5")
    assert ran.exit_code == 0
    assert ran.errors == []


@pytest.mark.parametrize(("status", "code"), [(400, 400), (10**30, 599)])
def test_a_status_of_an_envelope_of_400_or_more_is_an_error(
    status: int, code: int, stop: InProcess, sim: Simulator
) -> None:
    answer_with_status(sim, status)
    (error,) = stop(STOP_RECORDING_TIMEOUT="5").errors
    assert f"HTTP {code}: " in error


DETAILS: list[tuple[object, str]] = [
    (None, ""), ("", ""), ("x" * 201, f": {'x' * 200}"), ([[[["a", [], {"b": 1}]]]], ": a, ..., ..."),
    ({"a": {"error": "b"}, "c": [1, None, {}]}, ": a: error: b, c: 1, null, "),
    *(("x" * length + TOKEN, f": {'x' * length}***"[:202]) for length in (188, 193, 198)),
]  # fmt: skip


@pytest.mark.parametrize(("body", "detail"), DETAILS, ids=short)
def test_an_error_body_is_shown_as_prose(body: object, detail: str, stop: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, body, http=400), on="stop")
    refusal = f"the API refused the request (HTTP 400{detail}); recording may still be on"
    assert stop().errors == [f"test run 5080: {refusal}"]


TEXTS = [
    "::set-output name=x::y", "a\n::set-env name=x::y\r::warning::y\x0b::error::y\u2028::debug::y",
    "a ##[set-env name=x]y ####[[error]y", "##\0[error]y", "\x1b[0Ksection_start:1:x\r\x1b[0Kevil",
    "\x1b[31mred \x9b31m \x1b]8;;http://evil\x07 good\b\bbad", "\u202ex\u2066\u200b\ufeff\U000e0041\ud800\0",
    "</td></tr>|x|[y](javascript:z)\n# `w` ![](http://evil)", "x" * 100_000, "::x\n" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=short)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_error_text_acts_on_nothing(platform: str, text: str, stop: InProcess, sim: Simulator) -> None:
    logging.getLogger("wallarm_fast").handlers.clear()  # pytest's, which cannot send lone surrogates to xdist
    for body in ({"error": text}, {text: "x"}, text):
        sim.faults.add(faults.envelope(503, body, http=503), on="stop", times=2)
        sim.faults.add(faults.envelope(400, body, http=400), on="stop")
        ran = stop(platform, RUNNER_DEBUG="1")
        assert ran.exit_code == 5
        assert len(ran.errors) == 1
        assert_harmless(ran)
        if platform == "github":
            assert re.search(r"^\| 5080 \|.*\*\*: ([A-Za-z0-9 ]|&#\d+;)+ \|$", ran.summary, re.MULTILINE)


QUOTED = [TOKEN, "back\\slash", "quo'te", 'quo"te', "::x::\x1b[31m##[x]", "x" * 3000]
HEADS = {  # which libraries quote in their messages
    "{}\r\n\r\n": 6,
    "HTTP/1.1 400 {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n": 5,
    "HTTP/1.1 200 OK\r\n{}\r\n\r\n": 6,
    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n": 6,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: {}\r\n\r\n": 6,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n": 6,
    "HTTP/1.1 200 OK\r\nContent-Encoding: {}\r\nConnection: close\r\n\r\nx": 5,
    "HTTP/1.1 302 Found\r\nLocation: {}://{}:{}/\r\nConnection: close\r\n\r\n": 5,
    "HTTP/1.1 503 é\r\nRetry-After: é{}\r\nDate: é\r\nContent-Type: é\r\nContent-Length: 0\r\n\r\n": 6,
    "HTTP/1.1 429 Slow\r\nRetry-After: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n": 6,
}


@pytest.mark.parametrize(("head", "exit_code"), HEADS.items(), ids=short)
@pytest.mark.parametrize("text", QUOTED, ids=short)
def test_the_head_of_a_response_acts_on_nothing_and_shows_no_token(
    text: str, head: str, exit_code: int, stop: InProcess, sim: Simulator
) -> None:
    token = text if text.isprintable() else TOKEN
    sim.faults.add(faults.raw(head.replace("{}", text).encode()), times=None)
    ran = stop("github", WALLARM_API_TOKEN=token, STOP_RECORDING_TIMEOUT="3", RUNNER_DEBUG="1")
    assert ran.exit_code == exit_code
    assert_harmless(ran)
    for escaped in (repr(token)[1:-1], repr(bytearray(token.encode()))[12:-2]):
        assert escaped not in ran.log.replace(f"::add-mask::{token}", "")


TOKENS = [  # `stop` itself fails if one is shown
    TOKEN, "a%b%0Ac", 'quo"te', "back\\slash", "new\\nline", "it's", "<b>&amp;", "pi|pe", "t::o::k", "##[x]t",
    "$HOME`id`", "x" * 300, "1234567890", "[a](b)", "e=f==",
]  # fmt: skip
ECHOES = [
    *((token, token) for token in TOKENS), ("a/b=%41+", "a%2Fb%3D%2541%2B"), ("a/b=%41+", "a/b%3d%2541+"),
    *((TOKEN, echo) for echo in ("token%5FQwe12345", "token%5fQwe12345", "%74ok%65n_Qwe1234%35")),
    *((TOKEN, "".join(f"%{ord(letter):{form}}" for letter in TOKEN)) for form in ("02x", "02X")),
    *((TOKEN, TOKEN.replace("_", echo)) for echo in ("\\_", "\\x5F", "\\u{5f}", "&#95;", "&lowbar;")),
    *((TOKEN, TOKEN.replace("_", echo)) for echo in ("%255f", "%25255F", r"\\u005f", "&amp;#95;")),
    *((TOKEN, TOKEN.replace("_", echo)) for echo in ("&#38;#x5f;", "&amp;amp;UnderBar;")),
    (TOKEN, "".join(f"&#{ord(letter)}" for letter in TOKEN)),
    ('a/b+c=&"<', r"a\/b\u002bc\u003D\u0026\"\u003c"), ('a/b+c=&"<', "a&#x2F;b&#43;c&#x3d;&amp;&quot;&lt;"),
]  # fmt: skip


@pytest.mark.parametrize(("token", "echo"), ECHOES, ids=short)
@pytest.mark.parametrize(("platform", "count"), [("github", 3), ("gitlab", 1), ("console", 1)])
def test_an_echoed_token_is_masked_even_if_it_is_url_encoded_in_part_or_whole(  # noqa: PLR0913, PLR0917 - columns
    platform: str, count: int, token: str, echo: str, stop: InProcess, sim: Simulator
) -> None:
    sim.tokens.append(token)
    for status in (503, 400):
        body = {"error": f"bad token {echo}", "value": echo}
        sim.faults.add(faults.envelope(status, body, http=status), on="stop")
    ran = stop(platform, WALLARM_API_TOKEN=token, RUNNER_DEBUG="1")
    assert ran.log.count(": error: bad token ***, value: ***") == 2
    shown = ran.log.replace(f"::add-mask::{token.replace('%', '%25')}", "") + html.unescape(ran.summary)
    shown += ran.github_output
    assert shown.count("bad token ***, value: ***)") == count
    for escaped in (echo, json.dumps(token)[1:-1], repr(token)[1:-1]):
        assert escaped not in shown


def test_a_request_has_the_token_in_its_header_and_no_cookie(stop: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(503, headers={"Set-Cookie": "a=b"}), on="stop")
    assert stop().exit_code == 0
    usual = {"accept": "application/json", "accept-encoding": "identity"}
    usual |= {"user-agent": f"wallarm-fast/{__version__}"}
    for request in sim.requests:
        assert request.headers.items() >= usual.items()
        assert [name for name, value in request.headers.items() if TOKEN in value] == ["x-wallarmapi-token"]
        assert "cookie" not in request.headers
        assert TOKEN not in request.path
        assert request.body == b""


def test_the_output_results_masks_what_an_error_says() -> None:
    """Whatever put the token there: the client has masked its own messages already."""
    report = StopReport(results=[stop_result("5080", error=RefusedError(f"a {TOKEN} b\n::error::x"))])
    (result,) = json.loads(report.make_outputs([TOKEN]).values["results"])
    assert result["error"] == "a *** b ::error::x; recording may still be on"

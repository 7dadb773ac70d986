"""Responses that no API should send, over real sockets: some hundreds, or ten thousand with `make fuzz`."""

import json
import logging
import os
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.assertions import assert_harmless
from tests.harness import LOOK, STOP, TOKEN, FakeClock, InProcess
from tests.tools.simulator import Exchange, Simulator, faults
from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.connection import Connection
from wallarm_fast.api.retry import TransientError
from wallarm_fast.clock import Deadline
from wallarm_fast.errors import StepError

ANSWERS = int(os.environ.get("FUZZ_ANSWERS", "500"))
SEED = int(os.environ.get("FUZZ_SEED", "20180711"))
ID = "[A-Za-z0-9_-]{1,128}"
CALLS = re.compile(f"{STOP}|{LOOK}|POST /v1/test_record/{ID}/action/stop")
RULES = {"TIMEOUT": "358", "QUIET_PERIOD": "002", "MIN_BASELINES": "03", "DRY_RUN": "0000000001"}
TEXTS = [
    "", "running", TOKEN, f"x{TOKEN}y", "::error::x", "##[error]x", "\x1b[31m", "a\nb", "a\r\n::debug::x",
    "\0", "\ud800", "../..", "rec_1", "x" * 129, "x" * 3000, "NaN", "true", "&<b>|`", "\u2028", "\u202e",
]  # fmt: skip
VALUES = [
    *TEXTS, None, True, False, 0, -1, 9058, 400, 10**12, 10**300, -0.0, 200.0, 1e300, [], {}, [TOKEN, [{}]],
    {TOKEN: "::x::", "error": {"a": ["\n::x::", {"##[x]": TOKEN}]}},
]  # fmt: skip
ERRORS = "301 302 304 400 401 403 404 405 408 409 418 423 425 429 500 502 503 522 599 600 999"
CODES = [*[200] * 30, 201, 204, *map(int, ERRORS.split())]
HEADERS = "Retry-After Content-Encoding Set-Cookie Connection Content-Type Date Upgrade Location".split()
HEADER_VALUES = [
    "", "0", "1", "-1", "99999999999", TOKEN, "gzip", "deflate", "br", "chunked", "identity", "close", "\xff",
    "Wed, 21 Oct 2015 07:28:00 GMT", "a=b; Path=/", "a=\xff", "mailto:x", "http://evil.example/", "::error::",
]  # fmt: skip


def answer_badly(exchange: Exchange, chance: random.Random) -> None:
    """Answer strange JSON, or damaged HTTP and then close the connection."""
    run: dict[str, object] = {"id": 5080, "recording": chance.random() < 0.3, "test_record_id": 9058}
    run |= {"state": "running", "baseline_count": 5}
    run |= {name: chance.choice(VALUES) for name in chance.choices(list(run), k=chance.choice((0, 0, 1, 2)))}
    body = run if chance.random() < 0.8 else chance.choice(VALUES)
    envelope = {"status": chance.choice((*CODES, *VALUES)), "body": body}
    text = json.dumps(chance.choice((*[envelope] * 9, body)), ensure_ascii=chance.random() < 0.5)
    content = text.encode(errors="surrogatepass")
    names = chance.choices(HEADERS, k=chance.choice((0, 0, 0, 1, 2)))
    fields = "".join(f"{name}: {chance.choice(HEADER_VALUES)}\r\n" for name in names).encode("latin-1")
    head = b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n" % (chance.choice(CODES), fields, len(content))
    if chance.random() < 0.6:
        return exchange.send(head + content)
    answer = chance.choice((*[head + content] * 9, chance.randbytes(200)))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(answer) + 1)
        piece = chance.choice((b"", b"", chance.randbytes(5), answer[:60], TOKEN.encode()))
        answer = answer[:at] + piece + answer[at + chance.choice((0, 1, 1, 9, 30)) :]
    exchange.send(answer)
    return exchange.close()


def test_hostile_responses_crash_nothing_and_leak_nothing(stop: InProcess, sim: Simulator) -> None:
    """`stop` itself fails if the token is shown."""
    print(f"FUZZ_SEED={SEED}")
    logging.getLogger("wallarm_fast").handlers.clear()  # pytest's, which cannot send lone surrogates to xdist
    random.seed(SEED)  # of the jitter
    chance = random.Random(SEED)
    sim.faults.add(lambda exchange: answer_badly(exchange, chance), times=None)
    seen = set()
    while len(sim.requests) < ANSWERS:
        stop.base |= {f"STOP_RECORDING_{name}": random.choice(values) for name, values in RULES.items()}
        ran = stop("github", RUNNER_DEBUG="1")
        status, record_id = ran.outputs["status"], ran.outputs["test_record_id"]
        seen.add(status)
        assert_harmless(ran)
        assert ran.exit_code != 1
        if ran.exit_code == 0:
            assert ran.errors == []
            assert status in {"stopped", "dry_run"}
        else:
            assert len(ran.errors) == 1
            assert status not in {"stopped", "dry_run"}
        if status == "stopped" or record_id:
            assert re.fullmatch(ID, record_id)
        # Else there may be one more fetch.
        if status == "stopped" and stop.base["STOP_RECORDING_MIN_BASELINES"] == "0":
            assert ran.results[0]["recording"] is not True
    assert all(CALLS.fullmatch(call) for call in sim.calls)
    assert seen >= {"stopped", "refused", "not_confirmed"}  # or the responses are worth little


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
FIELDS = dict.fromkeys("recording test_record_id baseline_count state".split(), JSON | st.booleans())
FIELDS["id"] = JSON | st.sampled_from((5080, "5080"))
BODIES = st.fixed_dictionaries({}, optional=FIELDS) | JSON
ENVELOPES = st.fixed_dictionaries({"status": JSON | st.integers(200, 600), "body": BODIES})
NOT_JSON = st.binary(max_size=200).map(lambda data: (b"x" + data, None))
CONTENTS = NOT_JSON | (ENVELOPES | JSON).map(lambda envelope: (json.dumps(envelope).encode(), envelope))


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[Simulator, WallarmClient]]:
    deadline = Deadline.after(1e9, FakeClock().clock)
    with Simulator() as simulator, WallarmClient(Connection(simulator.url, TOKEN), deadline) as client:
        yield simulator, client


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from((200, 200, 201, 299, 300, 303)) | st.integers(305, 599), CONTENTS)
def test_any_response_is_a_run_of_the_expected_form_or_an_error_without_the_token(
    api: tuple[Simulator, WallarmClient], code: int, content: tuple[bytes, object]
) -> None:
    simulator, client = api
    data, sent = content
    simulator.faults.add(faults.answer(code, data))
    envelope = sent if isinstance(sent, dict) else {}
    status, body = envelope.get("status"), envelope.get("body")
    said = body if isinstance(body, dict) else {}
    run_id, recording, record_id, count = map(
        said.get, ("id", "recording", "test_record_id", "baseline_count")
    )
    usable = not data.startswith(b"x") and 200 <= code < 300 and (type(status) is not int or status < 400)
    usable = usable and (run_id is None or str(run_id) == "5080")
    usable = usable and (recording is None or isinstance(recording, bool))
    run, problem = None, None
    try:
        run = client.stop_test_run("5080")
    except (StepError, TransientError) as error:
        problem = error
    assert usable == (run is not None)
    assert TOKEN not in f"{problem} {run}"
    if run:
        assert run.recording is recording
        name = str(record_id) if type(record_id) in (int, str) else ""
        is_id = re.fullmatch(ID, name) is not None and TOKEN not in name
        assert run.test_record_id == (name if is_id else None)
        assert run.unusable_record_id is (None if record_id in (None, "") else not is_id)
        assert run.baseline_count is None or run.baseline_count == float(str(count))  # not of a boolean

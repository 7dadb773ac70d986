"""The whole step: exit codes, several runs, dry runs, bugs, and the command line."""

import json
import logging
import re
import signal
from collections.abc import Callable

import pytest

from stop_recording import __version__, recording
from stop_recording.app import main
from stop_recording.clock import Clock
from stop_recording.reporting import Reporter
from stop_recording.settings import INPUTS
from tests.conftest import TOKEN, AsProcess, InProcess, Ran
from tests.simulator import Exchange, Simulator, faults

# The command line.


def test_help_lists_every_input_with_its_variable_and_default(step: InProcess, sim: Simulator) -> None:
    ran = step("console", "--help")
    assert ran.exit_code == 0
    assert ran.stderr == ""
    for name, spec in INPUTS.items():
        (line,) = re.findall(rf"(?m)^  {name} .*$", ran.stdout)
        columns = line.split(maxsplit=3)
        assert columns[:3] == [name, spec.variable, spec.default or "-"]
        assert columns[3] == spec.meaning
    assert sim.calls == []


@pytest.mark.parametrize("variable", ["WALLARM_API_TOKEN_FILE", "stop-recording.env", "130/143"])
def test_help_tells_of_the_token_file_the_dotenv_file_and_the_exit_codes(
    variable: str, step: InProcess
) -> None:
    assert variable in step("console", "--help").stdout


def test_help_fits_on_a_wide_terminal_with_its_columns_in_line(step: InProcess) -> None:
    lines = step("console", "--help").stdout.splitlines()
    head = next(line for line in lines if line.startswith("  input "))
    start = head.index("meaning")
    for name, spec in INPUTS.items():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line[start:] == spec.meaning
    assert max(map(len, lines)) <= 120


def test_version_tells_the_version(step: InProcess, sim: Simulator) -> None:
    ran = step("console", "--version")
    assert (ran.exit_code, ran.stdout) == (0, f"stop-recording {__version__}\n")
    assert sim.calls == []


@pytest.mark.parametrize(
    "arguments", [["-h"], ["--unknown"], ["5080"], ["--help", "--version"], ["--version", "x"], [""]]
)
def test_any_other_argument_is_bad_input_and_nothing_is_done(
    arguments: list[str], step: InProcess, sim: Simulator
) -> None:
    ran = step("github", *arguments)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    assert ran.stderr == "error: there are no arguments but --help and --version\n"
    assert sim.calls == []


# Every exit code, with its status.


def _nothing_wrong(sim: Simulator, step: InProcess) -> Ran:
    return step("github")


def _bad_input(sim: Simulator, step: InProcess) -> Ran:
    return step("github", STOP_RECORDING_TIMEOUT="soon")


def _token_refused_401(sim: Simulator, step: InProcess) -> Ran:
    sim.state.rules.bad_token_status = 401
    sim.token = "another"
    return step("github")


def _token_refused_403(sim: Simulator, step: InProcess) -> Ran:
    sim.token = "another"
    return step("github")


def _not_found(sim: Simulator, step: InProcess) -> Ran:
    return step("github", TEST_RUN_ID="404404")


def _refused(sim: Simulator, step: InProcess) -> Ran:
    sim.faults.add(faults.answer(400, {"status": 400, "body": "Bad request"}), on="POST", times=None)
    return step("github")


def _unusable_record_id(sim: Simulator, step: InProcess) -> Ran:
    run = sim.state.create_run("hostile", test_record_id="../etc")
    return step("github", TEST_RUN_ID=str(run.id))


def _redirected(sim: Simulator, step: InProcess) -> Ran:
    sim.faults.add(faults.answer(302, None, {"Location": f"{sim.url}/elsewhere"}), times=None)
    return step("github")


def _unreachable(sim: Simulator, step: InProcess) -> Ran:
    sim.faults.add(faults.answer(503), times=None)
    return step("github")


def _nobody_there(sim: Simulator, step: InProcess) -> Ran:
    return step("github", WALLARM_API_HOST="http://127.0.0.1:1")


def _still_recording(sim: Simulator, step: InProcess) -> Ran:
    sim.state.rules.stop_delay = 10_000
    return step("github")


def _no_record_id(sim: Simulator, step: InProcess) -> Ran:
    sim.state.rules.omit_in_stop = sim.state.rules.omit_in_get = {"test_record_id"}
    return step("github")


def _too_few(sim: Simulator, step: InProcess) -> Ran:
    return step("github", STOP_RECORDING_MIN_BASELINES="6")


def _unknown_count(sim: Simulator, step: InProcess) -> Ran:
    sim.state.rules.omit_in_stop = sim.state.rules.omit_in_get = {"baseline_count"}
    return step("github", STOP_RECORDING_MIN_BASELINES="1")


ENDS: list[tuple[Callable[[Simulator, InProcess], Ran], int, str, str]] = [
    (_nothing_wrong, 0, "stopped", "9058"),
    (_bad_input, 2, "bad_input", ""),
    (_token_refused_401, 3, "token_refused", ""),
    (_token_refused_403, 3, "token_refused", ""),
    (_not_found, 4, "not_found", ""),
    (_refused, 5, "refused", "9058"),
    (_unusable_record_id, 5, "refused", ""),
    (_redirected, 5, "refused", ""),
    (_unreachable, 6, "unreachable", ""),
    (_nobody_there, 6, "unreachable", ""),
    (_still_recording, 7, "not_confirmed", "9058"),
    (_no_record_id, 7, "not_confirmed", ""),
    (_too_few, 8, "too_few_baselines", "9058"),
    (_unknown_count, 8, "too_few_baselines", "9058"),
]


@pytest.mark.parametrize(
    ("end", "exit_code", "status", "record_id"), ENDS, ids=[end[0].__name__.strip("_") for end in ENDS]
)
def test_every_end_has_its_exit_code_status_and_what_is_known_of_the_record(  # noqa: PLR0913, PLR0917 - columns of a table
    end: Callable[[Simulator, InProcess], Ran],
    exit_code: int,
    status: str,
    record_id: str,
    sim: Simulator,
    step: InProcess,
) -> None:
    ran = end(sim, step)
    assert ran.exit_code == exit_code
    assert ran.outputs["status"] == status
    assert ran.outputs["test_record_id"] == record_id
    assert len(ran.errors) == (1 if exit_code else 0)
    assert "Traceback" not in ran.log
    for result in ran.results:
        assert (result["error"] is None) == (exit_code == 0)


def test_keeping_failing_ends_at_the_deadline_and_not_after(step: InProcess, sim: Simulator) -> None:
    started = step.clock.now
    ran = _unreachable(sim, step)
    assert ran.exit_code == 6
    assert step.clock.now - started <= 120
    assert len(sim.calls) > 5


def test_too_few_baselines_is_found_with_the_recording_stopped(step: InProcess, sim: Simulator) -> None:
    ran = _too_few(sim, step)
    assert sim.state.get("5080")["recording"] is False
    assert "5 baselines" in ran.errors[0]
    assert "(6)" in ran.errors[0]


def test_as_many_baselines_as_wanted_are_enough(step: InProcess) -> None:
    assert step(STOP_RECORDING_MIN_BASELINES="5").exit_code == 0


# Dry run.


@pytest.mark.parametrize("on", [True, False])
def test_a_dry_run_only_looks(on: bool, step: InProcess, sim: Simulator) -> None:
    if not on:
        sim.state.stop("5080")
    ran = step("github", STOP_RECORDING_DRY_RUN="true")
    assert ran.exit_code == 0
    assert sim.calls == ["GET /v1/test_run/5080"]
    assert sim.state.get("5080")["recording"] is on
    assert ran.outputs["status"] == "dry_run"
    assert ran.outputs["test_record_id"] == "9058"
    assert ran.results[0]["recording"] is on
    assert f"found, nothing changed; recording is {'on' if on else 'off'}" in ran.stdout


def test_a_dry_run_says_when_recording_is_not_told(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.omit_in_get = {"recording", "test_record_id"}
    ran = step("github", STOP_RECORDING_DRY_RUN="true")
    assert ran.exit_code == 0
    assert "recording is not told" in ran.stdout


def test_a_dry_run_waits_for_no_baselines_and_counts_none(step: InProcess, sim: Simulator) -> None:
    ran = step(
        STOP_RECORDING_DRY_RUN="yes", STOP_RECORDING_QUIET_PERIOD="10", STOP_RECORDING_MIN_BASELINES="99"
    )
    assert ran.exit_code == 0
    assert len(sim.calls) == 1
    assert step.clock.slept == []


@pytest.mark.parametrize(("run_id", "token", "exit_code"), [("1", "", 4), ("5080", "another", 3)])
def test_a_dry_run_finds_a_wrong_run_and_a_wrong_token(
    run_id: str, token: str, exit_code: int, step: InProcess, sim: Simulator
) -> None:
    sim.token = token or sim.token
    ran = step("github", TEST_RUN_ID=run_id, STOP_RECORDING_DRY_RUN="true")
    assert ran.exit_code == exit_code
    assert {call.split()[0] for call in sim.calls} == {"GET"}


# Several runs.


@pytest.fixture
def runs(sim: Simulator) -> list[str]:
    """Runs 5080 to 5084, of the records 9058 to 9062."""
    return ["5080", *(str(sim.state.create_run(f"run {n}").id) for n in range(1, 5))]


def test_records_and_results_come_in_the_order_given(
    step: InProcess, sim: Simulator, runs: list[str]
) -> None:
    wanted = [runs[3], runs[0], runs[4], runs[1], runs[2]]
    # The first given answers last.
    sim.faults.add(faults.answer(503), on="POST", times=3, run=wanted[0])
    ran = step("github", TEST_RUN_ID=",".join(wanted))
    assert ran.exit_code == 0
    records = [str(sim.state.find(run_id).test_record_id) for run_id in wanted]
    assert json.loads(ran.outputs["test_record_ids"]) == records
    assert ran.outputs["test_record_id"] == records[0]
    assert [result["test_run_id"] for result in ran.results] == wanted
    assert [result["test_record_id"] for result in ran.results] == records


def test_an_id_given_twice_is_stopped_once(step: InProcess, sim: Simulator) -> None:
    ran = step("github", TEST_RUN_ID="[5080, 5080]")
    assert len(sim.calls) == 1
    assert len(ran.results) == 1


def test_one_that_fails_keeps_no_other_from_being_stopped_and_reported(
    step: InProcess, sim: Simulator, runs: list[str]
) -> None:
    sim.faults.add(faults.answer(400, {"status": 400, "body": "no"}), on="POST", times=None, run=runs[2])
    ran = step("github", TEST_RUN_ID=" ".join(runs))
    assert ran.exit_code == 5
    for run_id in set(runs) - {runs[2]}:
        assert sim.state.get(run_id)["recording"] is False
    assert [bool(result["error"]) for result in ran.results] == [False, False, True, False, False]
    assert [result["recording"] for result in ran.results] == [False, False, True, False, False]
    (line,) = ran.errors
    assert line.startswith(f"test run {runs[2]}: ")
    assert ran.summary.count("recording stopped") == 4


@pytest.mark.parametrize(
    ("order", "exit_code", "status"),
    [
        (["refused", "missing", "fine"], 5, "refused"),
        (["missing", "refused", "fine"], 4, "not_found"),
        (["fine", "failing", "missing"], 6, "unreachable"),
        (["fine", "missing", "failing"], 4, "not_found"),
        (["fine", "fine too"], 0, "stopped"),
    ],
)
def test_of_several_failures_the_first_in_the_order_given_decides(
    order: list[str], exit_code: int, status: str, step: InProcess, sim: Simulator
) -> None:
    refused, failing, fine_too = (sim.state.create_run(name) for name in ("refused", "failing", "fine too"))
    sim.faults.add(faults.answer(400), on="POST", times=None, run=refused.id)
    sim.faults.add(faults.answer(503), times=None, run=failing.id)
    ids = {
        "fine": "5080",
        "fine too": str(fine_too.id),
        "missing": "404404",
        "refused": str(refused.id),
        "failing": str(failing.id),
    }
    ran = step("github", TEST_RUN_ID=",".join(ids[name] for name in order))
    assert ran.exit_code == exit_code
    assert ran.outputs["status"] == status
    failed = [name for name in order if name not in ("fine", "fine too")]
    assert len(ran.errors) == len(failed)
    assert [result["test_run_id"] for result in ran.results if result["error"]] == [
        ids[name] for name in failed
    ]
    assert sim.state.get("5080")["recording"] is False


def test_the_single_outputs_are_of_the_first_run_also_when_it_failed(step: InProcess) -> None:
    ran = step("github", TEST_RUN_ID="404404,5080")
    assert ran.exit_code == 4
    assert ran.outputs["test_record_id"] == ""
    assert ran.outputs["test_run_state"] == ""
    assert ran.outputs["baseline_count"] == ""
    assert json.loads(ran.outputs["test_record_ids"]) == ["9058"]


def test_more_runs_than_connections_are_all_stopped(step: InProcess, sim: Simulator) -> None:
    ids = ["5080", *(str(sim.state.create_run(f"run {n}").id) for n in range(39))]
    ran = step("github", TEST_RUN_ID=json.dumps(ids))
    assert ran.exit_code == 0
    assert len(sim.calls) == 40
    assert sim.most_connections <= 16
    assert not [run_id for run_id in ids if sim.state.get(run_id)["recording"]]


# Bugs.

SECRET_BUG = f"the clock broke at {TOKEN}"


def broken(after: int) -> Clock:
    """Return a clock that fails with the token in its message once it was read so many times."""
    reads = iter(range(1_000_000))

    def monotonic() -> float:
        if next(reads) >= after:
            raise ZeroDivisionError(SECRET_BUG)
        return 1000.0

    return Clock(monotonic=monotonic, sleep=lambda _: None)


@pytest.mark.parametrize("platform", ["github", "gitlab", "console"])
@pytest.mark.parametrize("reads", [0, 1, 2, 3, 4])
def test_a_bug_is_exit_code_1_with_a_traceback_without_the_token(
    reads: int, platform: str, step: InProcess
) -> None:
    environ = step.environ(platform, {})
    step.capsys.readouterr()
    exit_code = main(environ, (), broken(reads))
    captured = step.capsys.readouterr()
    ran = step.ran(exit_code, captured.out, captured.err, environ, 0)  # which looks for the token
    assert exit_code == 1
    assert "| Traceback (most recent call last):" in ran.log
    assert "ZeroDivisionError: the clock broke at ***" in ran.log
    assert len(re.findall("unexpected ZeroDivisionError; please report it", ran.log)) == 1
    if platform == "github":
        assert ran.outputs["status"] == "internal_error"
        assert ran.stdout.count("::group::") == ran.stdout.count("::endgroup::")
        assert re.search(r"(?m)^::error title=Bug in the stop-recording step::", ran.stdout)
    else:
        assert ran.variables["STOP_RECORDING_STATUS"] == "internal_error"
        assert ran.log.count("section_start") == ran.log.count("section_end")


def test_a_bug_in_one_of_several_runs_is_that_run_s_alone(
    step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = str(sim.state.create_run("other").id)
    stop = recording.Recording.stop

    def broken_for_one(self: recording.Recording) -> None:
        if self.test_run_id == other:
            raise KeyError(TOKEN)
        stop(self)

    monkeypatch.setattr(recording.Recording, "stop", broken_for_one)
    ran = step("github", TEST_RUN_ID=f"{other},5080")
    assert ran.exit_code == 1
    assert ran.outputs["status"] == "internal_error"
    assert [result["recording"] for result in ran.results] == [None, False]
    assert (
        f"::error title=Bug in the stop-recording step::test run {other}: unexpected KeyError" in ran.stdout
    )


def test_an_expected_failure_shows_no_traceback_even_when_debugging(step: InProcess) -> None:
    ran = step("github", TEST_RUN_ID="1", RUNNER_DEBUG="1")
    assert "Traceback" not in ran.log


# What it starts with.


def test_a_warning_of_the_settings_is_told_before_the_first_request(
    step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def note(exchange: Exchange) -> None:
        seen.append(len(sim.calls))
        exchange.answer(*exchange.act())

    sim.faults.add(note, on="POST")
    monkeypatch.setattr("stop_recording.inputs.is_loopback", lambda host: False)
    ran = step("github", WALLARM_API_USE_SSL="false")
    assert ran.exit_code == 0
    assert seen == [1]
    assert ran.stdout.splitlines()[1] == "::warning::the token is sent unencrypted to 127.0.0.1"


def test_signals_are_as_before_when_the_step_is_done(step: InProcess) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    step()
    step(TEST_RUN_ID="")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_no_log_handler_is_left_when_the_step_is_done(step: InProcess) -> None:
    step()
    handlers = logging.getLogger("stop_recording").handlers
    assert not [handler for handler in handlers if isinstance(handler, Reporter)]


@pytest.mark.parametrize("platform", ["github", "gitlab", "console"])
@pytest.mark.parametrize("token", ["hush\udcff", "hush\udcff\nhush"], ids=ascii)
def test_bytes_of_no_encoding_in_the_token_are_bad_input_of_the_process_too(
    token: str, platform: str, process: AsProcess
) -> None:
    ran = process(platform, WALLARM_API_TOKEN=token, LC_ALL="C.UTF-8", PYTHONIOENCODING="utf-8")
    assert ran.exit_code == 2

"""The outputs: the id as soon as the run is created, and everything at the end."""

import re
import sys
from collections.abc import Callable

import pytest

from tests.harness import InProcess, Ran, assert_no_token
from tests.tools.simulator import Exchange, Simulator, faults
from wallarm_fast.api.connection import CLOUDS, Cloud
from wallarm_fast.errors import AbortedError
from wallarm_fast.start.report import StartReport, StartResult

CREATE = "POST /v1/test_run"


@pytest.fixture
def at_first_poll(sim: Simulator) -> Callable[[Callable[[], str]], list[str]]:
    """Lets the node get ready late, and returns a list that gets a text at the first poll."""

    def watch(read: Callable[[], str]) -> list[str]:
        texts: list[str] = []

        def read_and_answer(exchange: Exchange) -> None:
            texts.append(read())
            exchange.answer(*exchange.act())

        sim.state.rules.ready_delay = 3
        sim.faults.add(read_and_answer, "GET")
        return texts

    return watch


Watch = Callable[[Callable[[], str]], list[str]]


def heredocs(name: str, value: str) -> re.Pattern[str]:
    """Return a pattern of an output or variable as the runner of GitHub reads it."""
    return re.compile(rf"(?m)^{name}<<(\S+)\n{value}\n\1$")


def test_github_gets_the_outputs_before_the_wait(start: InProcess, at_first_poll: Watch) -> None:
    texts = at_first_poll(start.github_output.read_text)
    assert start("github").exit_code == 0
    (early,) = texts
    assert heredocs("test_run_id", "5081").search(early)
    assert heredocs("status", "not_ready").search(early)
    assert heredocs("url", "").search(early)


def test_github_gets_the_outputs_again_at_the_end(start: InProcess, at_first_poll: Watch) -> None:
    at_first_poll(str)
    assert start("github").outputs == {"test_run_id": "5081", "status": "ready", "url": ""}


def test_later_steps_on_github_get_the_id_before_the_wait(start: InProcess, at_first_poll: Watch) -> None:
    texts = at_first_poll(start.github_env.read_text)
    assert start("github").exit_code == 0
    (early,) = texts
    assert heredocs("TEST_RUN_ID", "5081").fullmatch(early.strip())


def test_later_steps_on_github_get_the_id_once(start: InProcess, at_first_poll: Watch) -> None:
    at_first_poll(str)
    assert start("github").exit_code == 0
    assert heredocs("TEST_RUN_ID", "5081").fullmatch(start.github_env.read_text().strip())
    assert_no_token(start.github_env.read_text())


def test_gitlab_gets_the_dotenv_file_before_the_wait(start: InProcess, at_first_poll: Watch) -> None:
    texts = at_first_poll((start.directory / "start-recording.env").read_text)
    assert start("gitlab").exit_code == 0
    assert texts == ["TEST_RUN_ID=5081\nSTART_RECORDING_STATUS=not_ready\nTEST_RUN_URL=\n"]


def test_gitlab_gets_the_dotenv_file_again_at_the_end(start: InProcess, at_first_poll: Watch) -> None:
    at_first_poll(str)
    ran = start("gitlab")
    assert ran.dotenv == "TEST_RUN_ID=5081\nSTART_RECORDING_STATUS=ready\nTEST_RUN_URL=\n"
    assert [path.name for path in start.directory.iterdir()] == ["start-recording.env"]
    assert "5081" not in ran.stdout


def test_an_output_file_is_written_anywhere(start: InProcess, at_first_poll: Watch) -> None:
    texts = at_first_poll((start.directory / "x.env").read_text)
    ran = start(START_RECORDING_OUTPUT_FILE="x.env")
    assert "START_RECORDING_STATUS=not_ready\n" in texts[0]
    assert ran.variables["START_RECORDING_STATUS"] == "ready"


def test_stdout_gets_the_id_before_the_wait(start: InProcess, at_first_poll: Watch) -> None:
    texts = at_first_poll(lambda: start.capsys.readouterr().out)
    ran = start()
    assert texts == ["TEST_RUN_ID=5081\nTEST_RUN_URL=\n"]
    assert ran.stdout == "START_RECORDING_STATUS=ready\n"


def test_stdout_gets_each_name_once(start: InProcess) -> None:
    assert start().stdout == "TEST_RUN_ID=5081\nTEST_RUN_URL=\nSTART_RECORDING_STATUS=ready\n"


def test_stdout_gets_every_name_if_nothing_was_created(start: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(400), "POST")
    assert start().stdout == "TEST_RUN_ID=\nSTART_RECORDING_STATUS=refused\nTEST_RUN_URL=\n"


def test_the_address_of_the_run_is_an_output_before_and_after_the_wait(
    start: InProcess, at_first_poll: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLOUDS, "us", Cloud("127.0.0.1", "https://portal.example"))
    texts = at_first_poll(start.github_output.read_text)
    url = "https://portal.example/testing/testruns/5081"
    assert start("github").outputs == {"test_run_id": "5081", "status": "ready", "url": url}
    assert heredocs("url", url).search(texts[0])


def test_the_log_ends_with_the_address_of_the_run(start: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLOUDS, "us", Cloud("127.0.0.1", "https://portal.example"))
    last = "test run 5081: recording; https://portal.example/testing/testruns/5081"
    assert start().stderr.splitlines()[-1] == last


def test_the_summary_has_the_run_with_its_address() -> None:
    url = "https://us1.my.wallarm.com/testing/testruns/5081"
    outputs = StartReport(results=[StartResult(test_run_id="5081", url=url)]).make_outputs(())
    assert outputs.summary.startswith("### Wallarm FAST: recording\n")
    assert f"\n| [5081]({url}) | recording |\n" in outputs.summary


def test_the_summary_says_what_went_wrong() -> None:
    failed = StartResult(test_run_id="5081", error=AbortedError("it has ended"))
    summary = StartReport(results=[failed]).make_outputs(()).summary
    assert summary.startswith("### Wallarm FAST: Test run aborted\n")
    assert "\n| 5081 | **Test run aborted**: it has ended |\n" in summary


def test_the_job_gets_one_summary(start: InProcess, at_first_poll: Watch) -> None:
    at_first_poll(str)
    assert start("github").summary.count("###") == 1


def test_without_github_env_a_warning_says_that_later_steps_lack_the_id(start: InProcess) -> None:
    ran = start("github", GITHUB_ENV="")
    assert ran.exit_code == 0
    assert "::warning::GITHUB_ENV is not set, so later steps do not get TEST_RUN_ID" in ran.stdout


FULL = {
    "GITHUB_OUTPUT": ("github", "GITHUB_OUTPUT"),
    "GITHUB_ENV": ("github", "GITHUB_ENV"),
    "output_file on GitHub": ("github", "START_RECORDING_OUTPUT_FILE"),
    "output_file on GitLab": ("gitlab", "START_RECORDING_OUTPUT_FILE"),
    "output_file": ("console", "START_RECORDING_OUTPUT_FILE"),
}


def assert_not_written(ran: Ran, sim: Simulator, name: str) -> None:
    """Fail unless the step ended at once, with the id of the run in its only error."""
    assert ran.exit_code == 2
    assert sim.calls == [CREATE]
    (error,) = ran.errors
    assert error.startswith(f"test run 5081: {name} cannot be written: ")
    assert error.endswith("; the test run may be recording, so run the stop step")


@pytest.mark.parametrize(("platform", "variable"), FULL.values(), ids=FULL)
def test_a_full_disk_after_the_create_ends_the_step_at_once(
    platform: str, variable: str, start: InProcess, sim: Simulator
) -> None:
    sim.state.rules.node_active = False
    ran = start(platform, **{variable: "/dev/full"})
    assert_not_written(ran, sim, "the file '/dev/full'")


def test_a_closed_stdout_after_the_create_ends_the_step_at_once(
    start: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.state.rules.node_active = False
    monkeypatch.setattr(sys, "stdout", None)
    assert_not_written(start(), sim, "stdout")


def test_the_other_files_have_the_id_if_one_cannot_be_written(start: InProcess, sim: Simulator) -> None:
    ran = start("github", START_RECORDING_OUTPUT_FILE="/dev/full")
    assert ran.exit_code == 2
    assert ran.outputs == {"test_run_id": "5081", "status": "bad_input", "url": ""}
    assert heredocs("TEST_RUN_ID", "5081").search(start.github_env.read_text())


def test_the_token_is_in_no_output(start: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(201, {"id": start.base["WALLARM_API_TOKEN"]}), "POST")
    ran = start("github")  # looks for the token in everything
    assert ran.exit_code == 6
    assert ran.outputs["test_run_id"] == ""

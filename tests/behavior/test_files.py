"""Files for outputs: which are refused, made, written through, or full at the end."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.assertions import assert_stopped, told
from tests.harness import TOKEN, InProcess, Ran
from tests.tools.simulator import Exchange, Simulator

# Each file for outputs that a platform has, but for GitLab's, which has no other place for them.
FILES = [("github", "GITHUB_OUTPUT"), ("github", "INPUT_OUTPUT_FILE"), ("console", "INPUT_OUTPUT_FILE")]
LABELS = {
    "GITHUB_OUTPUT": "GITHUB_OUTPUT",
    "INPUT_OUTPUT_FILE": "output_file (STOP_RECORDING_OUTPUT_FILE)",
}
TOO_LONG = "x" * 300
CANNOT_BE_OPENED = {"pipe": "it is a pipe", "/missing/x": "No such file", "file/x": "Not a directory"}
CANNOT_BE_OPENED |= {TOO_LONG: "File name too long"}
short = "{:.20}".format  # names a case
FULL = "No space left on device"


def assert_bad_file(stop: InProcess, platform: str, variable: str, file: str) -> Ran:
    """Run the step with a file that cannot be opened; fail unless its error says so."""
    (stop.directory / "file").touch()
    os.mkfifo(stop.directory / "pipe")
    # With a reader, so that a step that opened the pipe would not hang.
    reader = os.open(stop.directory / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    stop.base["STOP_RECORDING_OUTPUT_FILE"] = "x.env"
    ran = stop(platform, **{variable: file})
    os.close(reader)
    assert ran.exit_code == 2
    (error,) = ran.errors
    assert error.startswith(f"{LABELS[variable]}: '{file[:40]}")
    assert f" cannot be written: {CANNOT_BE_OPENED[file]}" in error
    return ran


@pytest.mark.parametrize("file", CANNOT_BE_OPENED, ids=short)
@pytest.mark.parametrize(("platform", "variable"), FILES)
def test_an_output_file_that_cannot_be_opened_is_bad_input_before_any_request(
    platform: str, variable: str, file: str, stop: InProcess, sim: Simulator
) -> None:
    ran = assert_bad_file(stop, platform, variable, file)
    assert sim.calls == []
    assert told(ran) == {("bad_input", "")}


@pytest.mark.parametrize("file", CANNOT_BE_OPENED, ids=short)
def test_a_dotenv_report_that_cannot_be_opened_is_bad_input_before_any_request(
    file: str, stop: InProcess, sim: Simulator
) -> None:
    ran = assert_bad_file(stop, "gitlab", "INPUT_OUTPUT_FILE", file)
    assert sim.calls == []
    assert told(ran) == set()


SETTINGS = [  # a variable, the exit code, the status and the record of the outputs, the number of errors
    ("TEST_RUN_ID=5080", 2, ("bad_input", "9058"), 1),
    ("INPUT_MIN_BASELINES=9", 2, ("bad_input", "9058"), 2),
    ("TEST_RUN_ID=1", 4, ("not_found", ""), 2),
]


def fill_disk(stop: InProcess, platform: str, variable: str, setting: str) -> Ran:
    """Run the step with a file that cannot be written at the end; fail unless its last error says so."""
    stop.base |= {"STOP_RECORDING_OUTPUT_FILE": "x.env", **dict([setting.split("=")])}
    ran = stop(platform, **{variable: "/dev/full"})
    assert ran.errors[-1] == f"the file '/dev/full' cannot be written: {FULL}"
    return ran


@pytest.mark.parametrize(("setting", "exit_code", "outputs", "errors"), SETTINGS)
@pytest.mark.parametrize(("platform", "variable"), FILES)
def test_a_disk_that_is_full_at_the_end_fails_the_step_and_whatever_can_be_written_says_so(  # noqa: PLR0913, PLR0917 - columns
    platform: str, variable: str, setting: str, exit_code: int, outputs: tuple[str, str], errors: int,
    stop: InProcess,
) -> None:  # fmt: skip
    ran = fill_disk(stop, platform, variable, setting)
    assert ran.exit_code == exit_code
    assert len(ran.errors) == errors
    assert told(ran) == {outputs}


@pytest.mark.parametrize(("setting", "exit_code", "errors"), [(row[0], row[1], row[3]) for row in SETTINGS])
def test_a_disk_that_is_full_at_the_end_fails_the_step_on_gitlab(
    setting: str, exit_code: int, errors: int, stop: InProcess
) -> None:
    ran = fill_disk(stop, "gitlab", "INPUT_OUTPUT_FILE", setting)
    assert ran.exit_code == exit_code
    assert len(ran.errors) == errors
    assert told(ran) == set()


@pytest.mark.parametrize("setting", ["TEST_RUN_ID=5080", "INPUT_MIN_BASELINES=9"])
@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "INPUT_OUTPUT_FILE"])
def test_the_summary_says_that_the_disk_was_full_and_names_the_record(
    variable: str, setting: str, stop: InProcess
) -> None:
    ran = fill_disk(stop, "github", variable, setting)
    assert ran.summary.startswith("### Wallarm FAST: Output not written")
    assert ran.summary.count("###") == 1
    assert "| 9058 |" in ran.summary


@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "INPUT_OUTPUT_FILE"])
def test_the_summary_says_why_the_stop_failed_even_if_the_disk_was_full(
    variable: str, stop: InProcess
) -> None:
    ran = fill_disk(stop, "github", variable, "TEST_RUN_ID=1")
    assert ran.summary.startswith("### Wallarm FAST: Test run not found")
    assert ran.summary.count("###") == 1
    assert "| 9058 |" not in ran.summary


@pytest.mark.parametrize("file", ["pipe", TOO_LONG, "/dev/full"], ids=short)
def test_a_summary_that_cannot_be_written_is_a_warning(file: str, stop: InProcess, sim: Simulator) -> None:
    os.mkfifo(stop.directory / "pipe")
    ran = stop("github", GITHUB_STEP_SUMMARY=file)
    assert_stopped(ran, sim)
    assert f"\n::warning::no job summary: the file '{file}' cannot be written: " in ran.stdout


def name_again(way: str, file: Path) -> str:
    """Return another path of a file in the parent of the working directory."""
    match way:
        case "link":
            Path("link").symlink_to(file)
        case "hard link":
            Path("link").hardlink_to(file)
    return {"same": str(file), "relative": f"../{file.name}", "dots": f"./.././{file.name}"}.get(way, "link")


@pytest.mark.parametrize("way", ["same", "relative", "dots", "link", "hard link"])
def test_an_output_file_that_is_github_output_is_refused_and_not_touched(
    way: str, stop: InProcess, sim: Simulator
) -> None:
    stop.github_output.touch()
    path = name_again(way, stop.github_output)
    ran = stop("github", STOP_RECORDING_OUTPUT_FILE=path)
    assert ran.exit_code == 2
    (error,) = ran.errors
    assert error.startswith(f"{LABELS['INPUT_OUTPUT_FILE']}: '{path[:40]}")
    assert error.endswith("' is also an output file; choose another path")
    assert "TEST_RECORD_ID=" not in ran.github_output
    assert told(ran) == {("bad_input", "")}
    assert sim.calls == []


@pytest.mark.parametrize("way", ["same", "relative", "dots", "link", "hard link"])
def test_a_junit_file_that_is_github_output_is_refused_and_not_touched(
    way: str, verdict: InProcess, sim: Simulator
) -> None:
    verdict.github_output.touch()
    ran = verdict("github", FAST_VERDICT_JUNIT_FILE=name_again(way, verdict.github_output))
    assert ran.exit_code == 2
    assert ran.status == "bad_input"
    assert "<testsuite" not in ran.github_output
    assert sim.calls == []


@pytest.mark.parametrize("way", ["same", "relative", "dots", "link"])
def test_two_outputs_in_one_file_that_does_not_exist_are_refused(way: str, verdict: InProcess) -> None:
    file = verdict.directory.parent / "new"
    env = {"FAST_VERDICT_JUNIT_FILE": str(file), "FAST_VERDICT_OUTPUT_FILE": name_again(way, file)}
    ran = verdict("github", **env)
    assert ran.exit_code == 2
    assert file.read_text().startswith("<?xml")


def test_a_summary_that_is_github_output_is_refused(stop: InProcess, sim: Simulator) -> None:
    ran = stop("github", GITHUB_STEP_SUMMARY=str(stop.github_output))
    assert ran.exit_code == 2
    assert ran.outputs["status"] == "bad_input"
    assert "###" not in ran.github_output
    assert sim.calls == []


def test_a_file_whose_path_has_the_token_is_refused_and_does_not_appear(stop: InProcess) -> None:
    ran = stop(STOP_RECORDING_OUTPUT_FILE=f"{TOKEN}/x.env")
    assert ran.exit_code == 2
    assert list(stop.directory.iterdir()) == []


def test_a_link_whose_target_does_not_exist_is_written_through(stop: InProcess) -> None:
    Path("link.env").symlink_to("target.env")
    assert stop(STOP_RECORDING_OUTPUT_FILE="link.env").exit_code == 0
    assert Path("link.env").is_symlink()
    assert Path("target.env").read_text().startswith("TEST_RECORD_ID=9058\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away, as in the image")
def test_a_missing_folder_of_a_relative_path_is_made_with_the_owner_of_its_parent(stop: InProcess) -> None:
    os.chown(".", 1234, 5678)
    ran = stop(STOP_RECORDING_OUTPUT_FILE="a/b/x.env")
    assert told(ran) == {("stopped", "9058")}
    for folder in ("a", "a/b"):
        assert (Path(folder).stat().st_uid, Path(folder).stat().st_gid) == (1234, 5678)


@pytest.mark.parametrize("path", ["a/" * 1500 + "x.env", "a/../b/x.env"], ids=short)
def test_missing_folders_of_a_relative_path_are_made_however_deep_it_is(path: str, stop: InProcess) -> None:
    try:
        assert told(stop(STOP_RECORDING_OUTPUT_FILE=path)) == {("stopped", "9058")}
    finally:
        for folder in stop.directory.iterdir():
            subprocess.run(["rm", "-r", folder], check=True)  # pytest cannot remove what is that deep


def test_a_missing_folder_of_the_platform_is_not_made(stop: InProcess) -> None:
    assert stop("github", GITHUB_OUTPUT="missing/output").exit_code == 2
    assert list(stop.directory.iterdir()) == []


def test_no_file_appears_before_the_end(stop: InProcess, sim: Simulator) -> None:
    """An empty file would be taken for a report, if the step is killed."""
    seen = list[Path]()

    def answer(exchange: Exchange) -> None:
        seen.extend(stop.directory.iterdir())
        exchange.answer(*exchange.act())

    sim.faults.add(answer)
    assert stop(STOP_RECORDING_OUTPUT_FILE="x.env").exit_code == 0
    assert seen == []

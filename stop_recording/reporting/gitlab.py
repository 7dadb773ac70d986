"""GitLab CI: the log as on any console; results go to the dotenv file, for `artifacts:reports:dotenv`."""

from stop_recording.reporting.console import ConsoleReporter
from stop_recording.result import Report


class GitLabReporter(ConsoleReporter):
    """Hands nothing on but the output file, which every reporter writes."""

    def hand_on(self, outputs: dict[str, str], dotenv_text: str, report: Report) -> None:
        """Do nothing more."""

"""What all reporters do alike."""

import logging
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from stop_recording.reporting.outputs import action_outputs, write_dotenv
from stop_recording.reporting.text import one_line
from stop_recording.result import Report
from stop_recording.settings import Platform

_package_log = logging.getLogger("stop_recording")


class Reporter(logging.Handler):
    """Shows the package's log lines and writes the outputs; a context manager, which starts and ends that.

    Every line passes through `emit`, so that none can show a secret or act upon the terminal or runner.
    """

    def __init__(self, platform: Platform) -> None:
        super().__init__(logging.DEBUG if platform.debug else logging.INFO)
        self.platform = platform

    def __enter__(self) -> Self:
        for secret in self.platform.secrets:
            self.mask(secret)
        _package_log.addHandler(self)
        _package_log.setLevel(self.level)
        _package_log.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        _package_log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Show a log record as one safe line; `extra={"title": ...}` gives an error its title."""
        line = one_line(record.getMessage(), self.platform.secrets)
        with suppress(OSError):  # nobody to read it is no reason not to stop the recording
            self.show(record.levelno, line, getattr(record, "title", ""))

    def write(self, report: Report) -> None:
        """Write all outputs to where the platform takes them; BadInput, naming the file, if that fails."""
        outputs = action_outputs(report, self.platform.secrets)
        try:
            if self.platform.output_file:
                write_dotenv(self.platform.output_file, outputs)
        finally:
            self.hand_on(outputs, report)

    def mask(self, secret: str) -> None:
        """Ask the platform to hide the secret, where it can."""

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Keep together the lines that are logged inside, folded away where that is possible."""
        _package_log.info("%s", title)
        yield

    @abstractmethod
    def show(self, level: int, line: str, title: str) -> None:
        """Print a safe line of this level (of `logging`)."""

    @abstractmethod
    def hand_on(self, outputs: dict[str, str], report: Report) -> None:
        """Give outputs to the platform, besides the output file."""

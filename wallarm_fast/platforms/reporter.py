"""What all reporters have in common."""

import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Self, TextIO

from wallarm_fast.clock import Deadline
from wallarm_fast.errors import OutputError
from wallarm_fast.outputs.table import StepOutputs
from wallarm_fast.parallel import start_thread
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.platforms.files import write_dotenv, write_file
from wallarm_fast.text import sanitize_line

# A reader that takes no lines for this long, in seconds, is not waited for.
STALLED_AFTER = 0.6
_LINES_AT_ONCE = 20
_package_log = logging.getLogger("wallarm_fast")


class Reporter(logging.Handler, ABC):
    """Prints the log of the package and writes outputs. A context manager: it logs until its end.

    Every line passes through `emit`, which makes it safe to print. `paths` are the files that may be written,
    by the variables and the inputs that name them.
    """

    def __init__(self, platform: Platform, paths: Mapping[str, str]) -> None:
        super().__init__(logging.DEBUG if platform.debug else logging.INFO)
        self.platform = platform
        self.paths = paths
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._printed = threading.Event()
        self._in_background = False

    def __enter__(self) -> Self:
        self._in_background = start_thread(self._print_lines)
        for secret in self.platform.secrets:
            self.mask(secret)
        _package_log.addHandler(self)
        _package_log.setLevel(self.level)
        _package_log.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        _package_log.removeHandler(self)
        self._lines.put(None)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a log record as one safe line; `extra={"title": ...}` gives an error its title."""
        line = sanitize_line(record.getMessage(), self.platform.secrets)
        self.print_line(self.format_line(record.levelno, line, getattr(record, "title", None)))

    def print_line(self, line: str) -> None:
        """Print in the background: a log that nobody reads must not keep the recording on."""
        if self._in_background:
            self._lines.put(line)
        else:
            self._print([line])

    def drain(self, until: Deadline) -> None:
        """After the end of the log, wait for its reader while that takes lines, at most until the deadline.

        The deadline is on the clock of the machine, since the reader is.
        """
        left = self._lines.qsize()
        while self._in_background and not self._printed.wait(min(STALLED_AFTER, until.remaining())):
            if left == self._lines.qsize() or not until.remaining():
                return
            left = self._lines.qsize()

    def _print_lines(self) -> None:
        lines: list[str | None] = [""]
        while lines[-1] is not None:
            lines = [self._lines.get()]
            with suppress(queue.Empty):
                while len(lines) < _LINES_AT_ONCE:
                    lines.append(self._lines.get_nowait())
            self._print(lines)
        self._printed.set()

    def _print(self, lines: Sequence[str | None]) -> None:
        # The stream is None if it was closed from the start, and its reader may be gone.
        if stream := self.stream():
            with suppress(OSError, ValueError):
                stream.write("".join(f"{line}\n" for line in lines if line is not None))
                stream.flush()

    def write_outputs(self, outputs: StepOutputs) -> None:
        """Write the files; raises OutputError if one cannot be written, after writing the others."""
        files = {self.paths[name]: text for name, text in outputs.files.items() if name in self.paths}
        writes = [partial(write_file, path, text) for path, text in files.items()]
        if "output_file" in self.paths:
            writes.append(partial(write_dotenv, self.paths["output_file"], outputs.variables))
        problems = []
        for write in (*writes, partial(self.publish, outputs)):
            try:
                write()
            except OutputError as error:
                problems.append(str(error))
        if problems:
            raise OutputError("; ".join(problems))

    def print_outputs(self, outputs: StepOutputs) -> None:
        """Print those outputs that are not printed yet, on a platform that has no files for them.

        Raises OutputError if that fails.
        """

    def write_summary(self, outputs: StepOutputs) -> None:
        """Show the summary on a platform that can do that."""

    def mask(self, secret: str) -> None:
        """Ask the platform to hide the secret, if it can."""

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Group the lines that are logged inside; they are folded where the platform can do that."""
        _package_log.info("%s", title)
        yield

    @abstractmethod
    def stream(self) -> TextIO | None:
        """Return the stream for the log."""

    @abstractmethod
    def format_line(self, level: int, line: str, title: str | None) -> str:
        """Return a safe line as the platform shows a line of this level (of `logging`)."""

    @abstractmethod
    def publish(self, outputs: StepOutputs) -> None:
        """Write the files of the platform, apart from the output file; raises OutputError."""

"""What all reporters have in common."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from wallarm_fast.platforms.detection import Platform
from wallarm_fast.platforms.files import write_dotenv
from wallarm_fast.text import sanitize_line

_package_log = logging.getLogger("wallarm_fast")


@dataclass(frozen=True)
class Publication:
    """What a step hands to the platform.

    `outputs` are the outputs of a GitHub action, `variables` the same for a dotenv file, `summary` is
    Markdown, and `links` are addresses by their labels.
    """

    outputs: Mapping[str, str]
    variables: Mapping[str, str]
    summary: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


class Reporter(logging.Handler, ABC):
    """Prints the log of the package and writes outputs. A context manager: it logs until its end.

    Every line passes through `emit`, which makes it safe to print.
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
        """Print a log record as one safe line; `extra={"title": ...}` gives an error its title."""
        line = sanitize_line(record.getMessage(), self.platform.secrets)
        with suppress(OSError):  # a log that nobody reads is no reason to leave the recording on
            self.print_line(record.levelno, line, getattr(record, "title", ""))

    def write_outputs(self, publication: Publication) -> None:
        """Write all outputs; raises OutputError if one cannot be written, after writing the others."""
        try:
            if self.platform.output_file:
                write_dotenv(self.platform.output_file, publication.variables)
        finally:
            self.publish(publication)

    def mask(self, secret: str) -> None:
        """Ask the platform to hide the secret, if it can."""

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Group the lines that are logged inside; they are folded where the platform can do that."""
        _package_log.info("%s", title)
        yield

    @abstractmethod
    def print_line(self, level: int, line: str, title: str) -> None:
        """Print a safe line of this level (of `logging`)."""

    @abstractmethod
    def publish(self, publication: Publication) -> None:
        """Hand the outputs to the platform, apart from the output file."""

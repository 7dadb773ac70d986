"""Stop recording the baseline requests of a Wallarm FAST test run."""

__version__ = "1.0.0"

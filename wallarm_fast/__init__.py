"""Steps of a CI/CD pipeline that work with the test runs of Wallarm FAST."""

__version__ = "1.0.0"

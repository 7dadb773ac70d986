"""The stop step: stops recording the baseline requests of test runs and passes on their test records."""

"""The stop step: stops recording the baseline requests of test runs and hands on their test records."""

"""The start step: creates a test run and waits until its FAST node records."""

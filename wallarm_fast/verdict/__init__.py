"""The verdict step: waits for the security tests of test runs, which it may copy first."""

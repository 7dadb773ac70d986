"""The test-run API of Wallarm FAST. Knows HTTP, but no CI and no step."""

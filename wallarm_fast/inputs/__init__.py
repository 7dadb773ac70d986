"""The inputs of the steps: where each value comes from, and what is valid."""

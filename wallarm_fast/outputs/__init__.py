"""The outputs of the steps: their table, the report that they are made of, the summary. Knows no step."""

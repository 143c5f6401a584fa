"""The operator's answers: their rules, their file, and what overrides it."""

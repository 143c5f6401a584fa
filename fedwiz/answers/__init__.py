"""What the operator answers: its rules, its file, and what overrides it."""

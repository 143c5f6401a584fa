"""A run on disk: its journal, and what can be derived from it."""

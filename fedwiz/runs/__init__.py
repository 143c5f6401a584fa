"""A run on disk: its journal, and what is read back from it."""

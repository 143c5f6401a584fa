"""The full-screen wizard: Textual screens on top of the engine."""

"""The wizard: Textual screens over the engine."""

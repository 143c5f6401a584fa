"""The wizard without a face: what screens and numbered prompts share."""

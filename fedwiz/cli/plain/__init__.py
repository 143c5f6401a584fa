"""The wizard as numbered prompts."""

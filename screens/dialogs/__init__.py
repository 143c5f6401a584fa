"""Dialogs shown on top of a page."""

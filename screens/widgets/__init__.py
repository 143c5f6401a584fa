"""Widgets, and the texts and tables that they show."""

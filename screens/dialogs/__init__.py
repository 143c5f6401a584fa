"""Questions above a page."""

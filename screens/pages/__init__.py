"""The wizard's pages, in the order of flow.py."""

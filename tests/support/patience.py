"""How long a test waits for what must come."""

GIVE_UP = 300.0
"""Seconds until a test takes it that something hangs.

Nothing healthy takes so long, on one core beside any load, so it decides nothing else: a test that
wants a limit of the product's to run out sets that one, and one about speed counts (`cost.py`).
"""

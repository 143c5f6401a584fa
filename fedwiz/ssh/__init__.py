"""Connections to hosts over SSH, as the operator's own `ssh` makes them."""

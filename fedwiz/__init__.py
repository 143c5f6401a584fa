"""A guided, provable installer of a flannel overlay network on Fedora hosts."""

__version__ = "0.2.0"

"""Visual joint optimization: one network, several visual tasks, one command."""

__version__ = "0.1.0"

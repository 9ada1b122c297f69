"""Fast compaction of endpoint process events."""

__version__ = "0.1.0"

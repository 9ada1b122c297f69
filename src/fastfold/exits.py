"""Exit codes of the command line: a script can tell what happened without reading text."""

from __future__ import annotations

import enum

__all__ = ["Exit", "exit_table"]


class Exit(enum.IntEnum):
    """How a command ended."""

    OK = 0
    REJECTED = 1
    USAGE = 2
    SETUP = 3
    REDIS = 4
    SQS = 5
    NOT_FOUND = 6
    CORRUPT = 7
    FAILED = 8
    UNEXPECTED = 9
    INTERRUPTED = 130


_MEANINGS = {
    Exit.OK: "all done",
    Exit.REJECTED: "some file was rejected; all others were folded",
    Exit.USAGE: "wrong use of the command line",
    Exit.SETUP: "a setting, schema, fold definition or rule is wrong, or an extra is not installed",
    Exit.REDIS: "Redis cannot be reached",
    Exit.SQS: "SQS or S3 cannot be reached",
    Exit.NOT_FOUND: "nothing was found: no such host, process, key, object or message",
    Exit.CORRUPT: "a value in Redis is not one of ours, damaged, or of a version or dictionary not known here",
    Exit.FAILED: "not all was done: a child process died or was too slow, or a message could not be moved",
    Exit.UNEXPECTED: "a backtest did not find what was expected",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
}


def exit_table() -> str:
    """The codes and their meanings, one a line, as the help shows them."""
    return "\n".join(f"{code.value:>3}  {_MEANINGS[code]}" for code in Exit)

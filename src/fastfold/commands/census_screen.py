"""The census for a person: tables on standard output."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import BinaryIO

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fastfold.census.taking import Report
from fastfold.census.totals import Estimate, spread
from fastfold.printing import Printer
from fastfold.text import escape

__all__ = ["print_report", "size"]

_UNITS = ("kB", "MB", "GB", "TB")
_NAME_CHARACTERS = 60
_GROUPS = 12
"""Rows of a table by group; of more, the rest is told in one row."""


def size(count: float) -> str:
    """Bytes for a person.

    Examples
    --------
    >>> size(999), size(1536), size(5e9)
    ('999 B', '1.5 kB', '5.0 GB')
    """
    if count < 1000:
        return f"{count:.0f} B"
    power = min(int(math.log10(count) / 3), len(_UNITS))
    return f"{count / 1000**power:,.1f} {_UNITS[power - 1]}"


def print_report(report: Report, output: BinaryIO, *, as_json: bool) -> None:
    """Print a report as tables, or as one JSON object.

    Parameters
    ----------
    report : Report
    output : BinaryIO
    as_json : bool
    """
    printer = Printer(output, as_json)
    if as_json:
        printer.json(report.to_dict())
    else:
        printer.render(Group(*_sections(report)))


def _sections(report: Report) -> list[RenderableType]:
    census = report.census
    total = census.estimate("all", "")
    how = f"every key was looked at: {census.looked_at:,}"
    if not report.exact:
        how = f"estimated from {census.looked_at:,} keys of {report.keys:,}; ± is the margin of 95 %"
    sections: list[RenderableType] = [Text(how)]
    line = f"{_count(total)} keys, {_bytes(total)} by MEMORY USAGE"
    if report.used_bytes is not None:
        rest = report.used_bytes - total.bytes
        line += f"; used_memory {size(report.used_bytes)}, the rest ({size(max(rest, 0))}) is tables, buffers, server"
    sections.append(Text(line))
    sizes = spread(census.state_sizes)
    if sizes is not None:
        sections.append(
            Text(
                f"a state: mean {sizes.mean:,.0f} B, median {sizes.median:,}, 90 % under {sizes.p90:,},"
                f" 99 % under {sizes.p99:,}, largest {sizes.largest:,}"
            )
        )
    whole = total.bytes
    kinds: list[tuple[str, Callable[[Hashable], str], str]] = [
        ("kind", str, "kind"),
        ("tenant", lambda name: escape(str(name), _NAME_CHARACTERS) or "(none)", "tenant"),
        ("age", str, "last written"),
        ("version", str, "format version"),
        ("dictionary", lambda name: "0 (none)" if name == 0 else str(name), "dictionary"),
    ]
    for dimension, shown, title in kinds:
        rows = census.groups(dimension)
        if rows:
            sections += [_group_table(title, [(shown(name), found) for name, found in rows], whole, _GROUPS)]
    hosts = census.hosts()
    if hosts:
        named = [(escape(name, _NAME_CHARACTERS), found) for name, found in hosts]
        title = f"host (the top {min(report.top, len(hosts))} of {len(hosts):,} met)"
        sections += [_group_table(title, named[: report.top], whole, report.top)]
    if census.largest():
        sections += [_process_table(report)]
    if report.reducers:
        sections += [*_reducer_tables(report)]
    return sections


def _count(found: Estimate) -> str:
    margin = f" ± {_margin(found.keys_margin, '{:,.0f}'.format)}" if found.keys_margin else ""
    return f"{found.keys:,.0f}{margin}"


def _bytes(found: Estimate) -> str:
    margin = f" ± {_margin(found.bytes_margin, size)}" if found.bytes_margin else ""
    return f"{size(found.bytes)}{margin}"


def _margin(margin: float, form: Callable[[float], str]) -> str:
    return form(margin) if math.isfinite(margin) else "?"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=True, overflow="ellipsis", justify="right" if number else "left")
    return table


def _group_table(title: str, rows: Sequence[tuple[str, Estimate]], whole: float, most: int) -> Table:
    table = _table(title, "keys", "bytes", "share", "bytes/key")
    for name, found in rows[:most]:
        per_key = f"{found.bytes / found.keys:,.0f}" if found.keys else ""
        share = f"{found.bytes / whole:.1%}" if whole else ""
        table.add_row(Text(name), _count(found), _bytes(found), share, per_key)
    rest = [found for _, found in rows[most:]]
    if rest:
        left = sum(found.bytes for found in rest)
        keys = sum(found.keys for found in rest)
        table.add_row(f"{len(rest):,} more", f"{keys:,.0f}", size(left), f"{left / whole:.1%}", f"{left / keys:,.0f}")
    return table


def _process_table(report: Report) -> Table:
    largest = report.census.largest()
    of = "" if report.exact else " of those looked at"
    table = _table(f"process (the {len(largest)} largest{of})", "host", "bytes")
    for seen in largest:
        host = "/".join(filter(None, (seen.tenant, seen.host)))
        names = [Text(escape(name, _NAME_CHARACTERS)) for name in (seen.process, host)]
        table.add_row(*names, f"{seen.memory_bytes:,}")
    return table


def _reducer_tables(report: Report) -> list[RenderableType]:
    count = report.reducer_states
    costs = sorted(report.reducers, key=lambda cost: -cost.bytes_per_state)
    table = _table(f"reducer (on {count:,} states)", "in states", "saved without it, B/state", "in all", "of values")
    states = report.census.estimate("kind", "state").keys
    for cost in costs:
        margin = "" if report.exact and count == report.census.state_sizes.total() else f" ± {cost.margin:,.1f}"
        saved = f"{cost.bytes_per_state:,.1f}{margin}"
        in_all = size(max(cost.bytes_per_state, 0) * states)
        table.add_row(Text(escape(cost.name)), f"{cost.states / count:.1%}", saved, in_all, f"{cost.share:.1%}")
    sets = [cost for cost in costs if cost.limit]
    if not sets:
        return [table]
    limits = _table("set", "limit", "members", "overflowed", *("saved at 1/2, B/state", "at 1/4", "at 1/8"))
    for cost in sets:
        saved_at = [f"{limit}: {saved:,.1f}" for limit, saved in cost.at_limit.items()]
        full = f"{cost.full / count:.2%}"
        limits.add_row(Text(escape(cost.name)), f"{cost.limit:,}", f"{cost.members:,.1f}", full, *saved_at)
    return [table, limits]

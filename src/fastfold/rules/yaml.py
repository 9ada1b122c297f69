"""YAML documents as values that remember their lines.

Only what a rule needs of YAML: mappings with texts as keys, lists, and scalars.  Two equal keys of one mapping are an
error, not the last one's; what aliases stand for is counted each time, so that a few lines cannot become a thousand
million values.

PyYAML comes with the extra ``rules``: this module is imported only where rules are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from fastfold.errors import RuleError

__all__ = ["FILE_BYTES", "Node", "documents"]

FILE_BYTES = 8 << 20
"""Largest rule file, bytes."""

_NODES = 1_000_000
"""Most values in a file, each one that an alias stands for counted."""

_DEPTH = 64

# libyaml's where PyYAML was built with it: ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """One value, and the line it stands in: that of its key in a mapping.

    Attributes
    ----------
    line : int
        From 1.
    value : object
        A `list` of nodes, a `dict` of nodes by text, or a scalar: what YAML makes of it.
    text : str
        A scalar as it is written, without its quotes; ``443``, ``0x1F`` and ``1.0`` stay so.
    """

    line: int
    value: object
    text: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it is a scalar, and not null: a text, as it is written."""
        return not isinstance(self.value, (list, dict)) and self.value is not None

    def plain(self) -> Any:
        """The value without lines."""
        if isinstance(self.value, dict):
            return {key: part.plain() for key, part in self.value.items()}
        if isinstance(self.value, list):
            return [part.plain() for part in self.value]
        return self.value


def documents(file: str, data: bytes) -> Iterator[Node]:
    """The documents of a file, in order; empty ones are left out.

    Parameters
    ----------
    file : str
        Name for errors.
    data : bytes

    Raises
    ------
    RuleError
        Too large, not UTF-8, not YAML, or more than the language of rules has.
    """
    if len(data) > FILE_BYTES:
        raise RuleError(file, f"larger than {FILE_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RuleError(file, "not UTF-8", data.count(b"\n", 0, error.start) + 1) from None
    loader = None
    try:
        loader = _LOADER(text)
        yield from _Reader(file, loader).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise RuleError(file, f"not YAML: {reason}", mark.line + 1 if mark is not None else None) from None
    except yaml.YAMLError as error:
        # A character that YAML does not allow; there is no mark, and the text has several lines.
        raise RuleError(file, f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise RuleError(file, f"nested deeper than {_DEPTH}") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Reader:
    def __init__(self, file: str, loader: Any) -> None:
        self.file = file
        self.loader = loader
        self.left = _NODES

    def documents(self) -> Iterator[Node]:
        while self.loader.check_node():
            root = self.loader.get_node()
            node = self.node(root, root.start_mark.line + 1, 0)
            if node.value is not None:
                yield node

    def node(self, given: yaml.Node, line: int, depth: int) -> Node:
        self.left -= 1
        if self.left < 0:
            raise RuleError(self.file, f"more than {_NODES:,} values; each use of an alias counts", line)
        if depth > _DEPTH:
            raise RuleError(self.file, f"nested deeper than {_DEPTH}", line)
        if isinstance(given, yaml.MappingNode):
            return Node(line, self.mapping(given, depth))
        if isinstance(given, yaml.SequenceNode):
            self.tagged(given, "seq", line)
            return Node(line, [self.node(part, part.start_mark.line + 1, depth + 1) for part in given.value])
        try:
            return Node(line, self.loader.construct_object(given), given.value)
        except ValueError as error:
            raise RuleError(self.file, f"{given.value!r} is not what it looks like: {error}", line) from None

    def mapping(self, given: yaml.MappingNode, depth: int) -> dict[str, Node]:
        self.tagged(given, "map", given.start_mark.line + 1)
        found: dict[str, Node] = {}
        for key, value in given.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise RuleError(self.file, "a key that is no text", line)
            name = key.value
            if name in found:
                raise RuleError(self.file, f"the key {name!r} stands twice, first in line {found[name].line}", line)
            found[name] = self.node(value, line, depth + 1)
        return found

    def tagged(self, given: yaml.Node, kind: str, line: int) -> None:
        if given.tag != f"tag:yaml.org,2002:{kind}":
            raise RuleError(self.file, f"the tag {given.tag} is not of rules", line)

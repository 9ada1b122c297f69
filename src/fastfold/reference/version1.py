"""The definition of right: states to and from version 1 of the payload."""

from __future__ import annotations

from fastfold.reference.bytes import Reader, Writer, varint
from fastfold.schema import Reducer
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import KINDS, OPS

__all__ = ["Reader1", "Writer1"]


class Writer1(Writer):
    """Writes one state."""

    def write(self) -> bytes:
        """The payload."""
        out = b""
        for text in (self.state.tenant, self.state.host, self.state.process):
            out += varint(len(text.encode())) + text.encode()
        out += self.base()
        for reducer, value in self.values:
            out += varint(reducer.tag << 3 | OPS.index(reducer.op)) + self._body(reducer, value)
        return out

    def _body(self, reducer: Reducer, value: Value) -> bytes:
        def text(member: Text) -> bytes:
            data = member.text.encode()
            return varint(len(data) << 1 | member.cut) + data

        if isinstance(value, dict):
            counts = sorted((KINDS.index(kind), count) for kind, count in value.items())
            return varint(len(counts)) + b"".join(bytes([kind]) + varint(count) for kind, count in counts)
        if isinstance(value, TextSet):
            out = varint(len(value.members) << 1 | value.more)
            before = self.base_ns
            for member in value.members:
                out += self.since(member.time_ns, before) + text(member)
                before = member.time_ns
            return out
        if isinstance(value, Text):
            return self.since(value.time_ns, self.base_ns) + text(value)
        if reducer.op == "sum":
            return varint(value)
        if reducer.column == "time":
            return b"\0" + self.since(value, self.base_ns)
        return b"\1" + varint(value)


class Reader1(Reader):
    """Reads one payload."""

    def read(self) -> State:
        """The state."""
        tenant, host, process = (self.text(self.take(self.varint())) for _ in range(3))
        self.base()
        values: dict[str, Value] = {}
        while self.at < len(self.payload):
            reducer = self.reducer(self.varint())
            if reducer.name in values:
                raise self.fault(f"reducer {reducer.tag} stands twice")
            values[reducer.name] = self.checked(reducer, self._value(reducer))
        return self.state((tenant, host, process), values)

    def _value(self, reducer: Reducer) -> Value:
        if reducer.op == "count":
            return {self.kind(self.byte()): self.varint() for _ in range(self.varint())}
        if reducer.op == "set":
            head = self.varint()
            members: list[Text] = []
            before = self.base_ns
            for _ in range(head >> 1):
                members.append(self._member(before))
                before = members[-1].time_ns
            return TextSet(bool(head & 1), tuple(members))
        if reducer.op in ("first", "last"):
            return self._member(self.base_ns)
        if reducer.op == "sum":
            return self.varint()
        self.mark(reducer)
        return self.time(self.base_ns) if reducer.column == "time" else self.varint()

    def _member(self, from_ns: int) -> Text:
        time_ns = self.time(from_ns)
        head = self.varint()
        return Text(time_ns, self.text(self.take(head >> 1)), bool(head & 1))

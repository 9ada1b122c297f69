"""The definition of right: version 2 of a payload."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastfold.reference.bytes import NS, Reader, Writer, unzigzag, varint, zigzag
from fastfold.schema import FoldDefinition, Reducer
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import KINDS, OPS

__all__ = [
    "GUID",
    "MARK_2",
    "PLAIN",
    "Head",
    "Reader2",
    "Writer2",
    "form_of",
    "guid_of",
    "guid_text",
    "ipv4_of",
    "ipv4_text",
    "is_guid",
    "keeps_text",
    "value_of",
]

MARK_2 = b"\x80\x00"
"""What version 2 begins with: a zero, written longer than any varint of version 1 is."""

PLAIN, GUID, _IPV4 = range(3)
_GUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_NUMBER = r"(0|[1-9]\d{0,4})"
_IPV4_TEXT = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}\.{_NUMBER}:{_NUMBER}", re.ASCII)


def is_guid(text: str) -> bool:
    """Whether a text is a GUID in lower case."""
    return _GUID_TEXT.fullmatch(text) is not None


def form_of(texts: Sequence[Text]) -> int:
    """The form that all these texts have."""
    if all(is_guid(member.text) for member in texts):
        return GUID
    return _IPV4 if all(ipv4_of(member.text) is not None for member in texts) else PLAIN


def guid_of(text: str) -> tuple[bytes, int, bytes, bytes]:
    """Host, seconds, counter and session of a GUID."""
    data = bytes.fromhex(text.replace("-", ""))
    return data[:4], int.from_bytes(data[6:8] + data[4:6], "big"), data[8:10], data[10:]


def guid_text(host: bytes, seconds: int, counter: bytes, session: bytes) -> str:
    """The GUID of its parts."""
    time = seconds.to_bytes(4, "big")
    text = (host + time[2:] + time[:2] + counter + session).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def ipv4_of(text: str) -> bytes | None:
    """Address and port, when the text is an IPv4 endpoint in its only form."""
    match = _IPV4_TEXT.fullmatch(text)
    if match is None:
        return None
    *address, port = (int(number) for number in match.groups())
    return bytes(address) + port.to_bytes(2, "big") if max(address) <= 255 and port <= 65535 else None


def ipv4_text(data: bytes) -> str:
    """The endpoint of address and port."""
    return ".".join(map(str, data[:4])) + f":{int.from_bytes(data[4:], 'big')}"


class Writer2(Writer):
    """Writes one state."""

    def __init__(self, state: State, definition: FoldDefinition) -> None:
        super().__init__(state, definition)
        # What GUIDs are written beside.
        self.guid_host, self.guid_session, self.seconds = bytes(4), bytes(6), self.base_ns // NS

    def write(self) -> bytes:
        """The payload."""
        out = MARK_2 + self.base() + self._identity()
        parts = [self.parts(reducer, value) for reducer, value in self.values]
        heads, texts, numbers, times = (b"".join(part[place] for part in parts) for place in range(4))
        ids = b"".join(self._ids(value) for _, value in self.values)
        return out + heads + b"\0" + texts + numbers + times + ids

    def _identity(self) -> bytes:
        process = self.state.process
        if is_guid(process):
            self.guid_host, seconds, counter, self.guid_session = guid_of(process)
            step = varint(zigzag(seconds - self.seconds))
            self.seconds = seconds
            out = b"\1" + self.guid_host + step + counter + self.guid_session
        else:
            out = b"\0" + process.encode() + b"\0"
        return out + self.state.tenant.encode() + b"\0" + self.state.host.encode() + b"\0"

    def parts(self, reducer: Reducer, value: Value) -> tuple[bytes, bytes, bytes, bytes]:
        """Head, texts, numbers and times of a reducer."""
        head = varint(reducer.tag << 3 | OPS.index(reducer.op))
        if isinstance(value, dict):
            counts = sorted((KINDS.index(kind), count) for kind, count in value.items())
            kinds = sum(1 << kind for kind, _ in counts)
            return head + varint(kinds), b"", b"".join(varint(count) for _, count in counts), b""
        if isinstance(value, TextSet):
            return self._set_parts(head, value)
        if isinstance(value, Text):
            form = form_of([value])
            text = value.text.encode() + b"\0" if form == PLAIN else b""
            return head + bytes([form << 1 | value.cut]), text, b"", self.since(value.time_ns, self.base_ns)
        if reducer.op == "sum":
            return head, b"", varint(value), b""
        if reducer.column == "time":
            return head + b"\0", b"", b"", self.since(value, self.base_ns)
        return head + b"\1", b"", varint(value), b""

    def _set_parts(self, head: bytes, value: TextSet) -> tuple[bytes, bytes, bytes, bytes]:
        form = form_of(value.members)
        cuts = sum(member.cut << place for place, member in enumerate(value.members))
        head += varint(len(value.members) << 4 | (cuts > 0) << 3 | form << 1 | value.more)
        if cuts:
            head += cuts.to_bytes((len(value.members) + 7) // 8, "little")
        texts = times = b""
        before_ns, before = self.base_ns, b""
        for place, member in enumerate(value.members):
            times += self.since(member.time_ns, before_ns)
            before_ns = member.time_ns
            if form == PLAIN:
                data = member.text.encode()
                same = next((i for i, (a, b) in enumerate(zip(before, data, strict=False)) if a != b), None)
                same = min(len(before), len(data)) if same is None else same
                texts += (varint(same) if place else b"") + data[same:] + b"\0"
                before = data
        return head, texts, b"", times

    def _ids(self, value: Value) -> bytes:
        members = value.members if isinstance(value, TextSet) else (value,) if isinstance(value, Text) else ()
        form = form_of(members) if members else PLAIN
        if form == PLAIN:
            return b""
        return b"".join(self._guid(one.text) if form == GUID else ipv4_of(one.text) or b"" for one in members)

    def _guid(self, text: str) -> bytes:
        host, seconds, counter, session = guid_of(text)
        step = zigzag(seconds - self.seconds)
        self.seconds = seconds
        others = (host != self.guid_host) | (session != self.guid_session) << 1
        out = varint(step << 2 | others)
        return out + (host if others & 1 else b"") + counter + (session if others & 2 else b"")


class Reader2(Reader):
    """Reads one payload."""

    def __init__(self, payload: bytes, definition: FoldDefinition) -> None:
        super().__init__(payload, definition)
        self.guid_host, self.guid_session, self.seconds = bytes(4), bytes(6), 0

    def read(self) -> State:
        """The state."""
        self.take(len(MARK_2))
        self.base()
        process = self._process()
        tenant, host = (self.text(self.ended()) for _ in range(2))
        heads = self._heads()
        texts = {one.tag: self._texts(one, head) for one, head in heads if _is_plain(one, head)}
        numbers = {one.tag: self._numbers(one, head) for one, head in heads}
        times = {one.tag: self._times(one, head) for one, head in heads}
        texts.update({one.tag: self._ids(head) for one, head in heads if keeps_text(one) and not _is_plain(one, head)})
        if self.at != len(self.payload):
            raise self.fault("bytes after the end")
        values: dict[str, Value] = {}
        for one, head in heads:
            value = value_of(one, head, texts.get(one.tag, []), numbers[one.tag], times[one.tag])
            values[one.name] = self.checked(one, value)
        return self.state((tenant, host, process), values)

    def _process(self) -> str:
        form = self.byte()
        self.seconds = self.base_ns // NS
        if form == 0:
            return self.text(self.ended())
        if form != 1:
            raise self.fault("unknown form of a text")
        self.guid_host = self.take(4)
        self._step(self.varint())
        counter = self.take(2)
        self.guid_session = self.take(6)
        return guid_text(self.guid_host, self.seconds, counter, self.guid_session)

    def _step(self, step: int) -> None:
        self.seconds += unzigzag(step)
        if not 0 <= self.seconds < 1 << 32:
            raise self.fault("an id out of range")

    def _heads(self) -> list[tuple[Reducer, Head]]:
        heads: list[tuple[Reducer, Head]] = []
        while header := self.varint():
            reducer = self.reducer(header)
            if any(one.tag == reducer.tag for one, _ in heads):
                raise self.fault(f"reducer {reducer.tag} stands twice")
            heads.append((reducer, self._head(reducer)))
        return heads

    def _head(self, reducer: Reducer) -> Head:
        if reducer.op == "count":
            kinds = self.varint()
            numbers = [number for number in range(64) if kinds >> number & 1]
            return Head(kinds=tuple(self.kind(number) for number in numbers))
        if reducer.op in ("first", "last"):
            mark = self.byte()
            return Head(form=self._form(mark >> 1), cuts=(bool(mark & 1),))
        if reducer.op == "set":
            head = self.varint()
            count = head >> 4
            if count > reducer.limit:
                raise self.fault("a set that is over its limit")
            bits = int.from_bytes(self.take((count + 7) // 8), "little") if head >> 3 & 1 else 0
            cuts = tuple(bool(bits >> place & 1) for place in range(count))
            return Head(form=self._form(head >> 1 & 3), cuts=cuts, more=bool(head & 1))
        if reducer.op != "sum":
            self.mark(reducer)
        return Head()

    def _form(self, form: int) -> int:
        if form not in (PLAIN, GUID, _IPV4):
            raise self.fault("unknown form of a text")
        return form

    def _texts(self, reducer: Reducer, head: Head) -> list[str]:
        texts: list[bytes] = []
        for place in range(len(head.cuts)):
            same = self.varint() if place else 0
            if place and same > len(texts[-1]):
                raise self.fault("more shared bytes than there are")
            texts.append((texts[-1][:same] if place else b"") + self.ended())
        return [self.text(text) for text in texts]

    def _numbers(self, reducer: Reducer, head: Head) -> list[int]:
        if reducer.op == "count":
            return [self.varint() for _ in head.kinds]
        is_number = reducer.op == "sum" or (reducer.op in ("min", "max") and reducer.column != "time")
        return [self.varint()] if is_number else []

    def _times(self, reducer: Reducer, head: Head) -> list[int]:
        if reducer.op in ("min", "max") and reducer.column == "time":
            return [self.time(self.base_ns)]
        times: list[int] = []
        for _ in head.cuts:
            times.append(self.time(times[-1] if times else self.base_ns))
        return times

    def _ids(self, head: Head) -> list[str]:
        return [self._guid() if head.form == GUID else self._ipv4() for _ in head.cuts]

    def _guid(self) -> str:
        head = self.varint()
        self._step(head >> 2)
        host = self.take(4) if head & 1 else self.guid_host
        counter = self.take(2)
        return guid_text(host, self.seconds, counter, self.take(6) if head & 2 else self.guid_session)

    def _ipv4(self) -> str:
        return ipv4_text(self.take(6))


class Head:
    """What the head of a payload says of one reducer; one entry of `cuts` a text."""

    def __init__(
        self, kinds: tuple[str, ...] = (), form: int = PLAIN, cuts: tuple[bool, ...] = (), more: bool = False
    ) -> None:
        self.kinds = kinds
        self.form = form
        self.cuts = cuts
        self.more = more


def keeps_text(reducer: Reducer) -> bool:
    """Whether what a reducer keeps is texts."""
    return reducer.op in ("first", "last", "set")


def _is_plain(reducer: Reducer, head: Head) -> bool:
    return keeps_text(reducer) and head.form == PLAIN


def value_of(reducer: Reducer, head: Head, texts: list[str], numbers: list[int], times: list[int]) -> Value:
    """The value of a reducer, of what stood in the parts of a payload."""
    if reducer.op == "count":
        return dict(zip(head.kinds, numbers, strict=True))
    if keeps_text(reducer):
        members = tuple(Text(*one) for one in zip(times, texts, head.cuts, strict=True))
        return TextSet(head.more, members) if reducer.op == "set" else members[0]
    return (numbers or times)[0]

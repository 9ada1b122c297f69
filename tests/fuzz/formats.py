"""The schemas that are fuzzed: every format of the package, and two that use what those do not, together."""

from __future__ import annotations

from fastfold.schema import list_schemas, load_schema
from fastfold.schema_types import Condition, EventMapping, Schema, Source, TimeSource
from property.strategies import OWN

__all__ = ["SCHEMAS"]

# Every form of every part of the language, on few and short keys, so that they get in each other's way.
_WIDE = Schema(
    name="wide",
    version=1,
    description="",
    roots=("", "data", "text"),
    tenant=("org",),
    host=("host", "data.host"),
    discriminator=("type",),
    times=(
        TimeSource(("a",), "audit"),
        TimeSource(("f", "list[-1].f"), "epoch_s_or_filetime"),
        TimeSource(("t",), "iso"),
    ),
    require=(
        Condition(("mode",), "has", ("drop", "DROP"), True, "dropped"),
        Condition(("list[-1].name",), "starts", ("zz",), True, "name"),
    ),
    id_form="guid",
    unknown_ids=("0", "-"),
    events=(
        EventMapping(
            ("*x", "a*"),
            "file_write",
            Source(("pid",), "id", parts=("list[-1].n", "host", "n")),
            (Condition(("mode",), "ends", ("k", "| b"), True),),
            {
                "file": Source(("list[-1].name", "name"), absent=("-", "0")),
                "command_line": Source(("args",), "words", absent=("a b", "-")),
                "parent": Source((), "id", parts=("ppid", "n")),
            },
        ),
        EventMapping(
            ("ax", "b", "1"),
            "registry_set",
            Source(("pid", "ppid"), "id"),
            (Condition(("mode",), "has", ("a", "b")),),
            {
                "registry": Source(("key", "text.name"), "registry", tail=("name", "list[-1].name")),
                "remote": Source(("ip",), "endpoint", tail=("port", "n"), absent=("0.0.0.0",)),
                "detail": Source(("list[-1].deep.deeper[-1].n", "n")),
            },
        ),
        EventMapping(("*",), "other", Source(("ppid",), "id", parts=("n",)), (), {"image": Source(("args", "name"))}),
    ),
    embedded=("text",),
)

SCHEMAS = {**{name: load_schema(name) for name in list_schemas()}, "own": OWN, "wide": _WIDE}

"""JSON texts that must be accepted or refused, by the sections of RFC 8259.

A text is one value on one line.  `DIFFERENCES` are those where Python's `json` says otherwise, each
with the reason; everything else is as Python has it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ACCEPTED", "ACCEPTED_FILES", "DIFFERENCES", "REFUSED", "REFUSED_FILES", "Difference"]

HEX = b"0123456789abcdefABCDEF"
ESCAPES = rb'"\/bfnrtu'
LITERALS = [b"true", b"false", b"null"]
SOUND = rb'{"a":[1,-2.5e+3,"x\u00e9\n",true,false,null,{}],"b":{"c":[]}}'


def _wrong_letters(literal: bytes) -> list[bytes]:
    """A literal cut short, grown, in capitals, or with one letter changed."""
    cut = [literal[:size] for size in range(1, len(literal))]
    changed = [literal[:at] + b"_" + literal[at + 1 :] for at in range(len(literal))]
    return [*cut, *changed, literal + b"x", literal + literal, literal.upper(), literal.capitalize()]


def _nested(depth: int) -> list[bytes]:
    arrays = b"[" * depth + b"]" * depth
    objects = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
    mixed = b'[{"a":' * (depth // 2) + b"1" + b"}]" * (depth // 2)
    return [arrays, objects, mixed]


# --- 2: grammar, white space ---------------------------------------------------------------------

SPACED = [
    b" 1",
    b"1 ",
    b"\t1\t",
    b"\r1\r",
    b" \t\r[ \t\r1 \t\r, \t\r2 \t\r] \t\r",
    b'{ "a" : 1 , "b" : 2 }',
    b'{\t"a"\r:\t1\r}',
    b" " * 200 + b"1" + b" " * 200,
    b"[" + b" " * 63 + b"1" + b" " * 64 + b"]",
]
NO_SPACE = [space + b"1" for space in (b"\x0b", b"\x0c", b"\x00", b"\x1f", b"\x7f", b"\xa0", b"\x85")] + [
    character.encode() + b"1" for character in ("\u00a0", "\u2028", "\u3000", "\u200b", "\u0085")
]
NOT_ONE_VALUE = [
    b"1 2",
    b"1,2",
    b"1,",
    b",1",
    b",",
    b":",
    b"1:",
    b"[][]",
    b"[]{}",
    b"{}[]",
    b'""""',
    b'"a" "b"',
    b'"a"1',
    b'1"a"',
    b"true false",
    b"truefalse",
    b"null[]",
    b"[1]]",
    b"{}}",
    b"[1]x",
    b"1;",
    b"#1",
    b"//1",
    b"1//x",
    b"/**/1",
    b"1/**/",
    b"<a>",
    b"a",
    b"undefined",
    b"None",
    b"'a'",
    b"`a`",
    b"(1)",
    b"=1",
    b"@",
    b"\\",
    b"\\u0031",
]

# --- 3: values -----------------------------------------------------------------------------------

WRONG_LITERALS = [text for literal in LITERALS for text in _wrong_letters(literal)]
# Every byte on its own: only digits are values.
BARE_BYTES = [bytes([byte]) for byte in range(256) if bytes([byte]) not in b" \t\r\n"]

# --- 4: objects ----------------------------------------------------------------------------------

OBJECTS = [
    b"{}",
    b"{ }",
    b'{"":0}',
    b'{"a":1}',
    b'{"a":1,"b":2}',
    b'{"a":1,"a":2}',
    b'{"a":{"a":{"a":{}}}}',
    b'{"a":[],"b":{}}',
    rb'{"\u0061":1,"\"":2,"\\":3}',
    '{"é€😀":1}'.encode(),
    rb'{"\ud800":1}',
    rb'{"\u0000":1}',
    b'{"' + b"k" * 300 + b'":1}',
    b'{"a.b":1,"a":{"b":2}}',
]
NO_OBJECTS = [
    b"{",
    b"}",
    b"{,}",
    b"{:}",
    b"{1}",
    b"{1:2}",
    b"{a:1}",
    b"{'a':1}",
    b"{null:1}",
    b"{[]:1}",
    b'{"a"}',
    b'{"a":}',
    b'{"a",1}',
    b'{"a":1,}',
    b'{,"a":1}',
    b'{"a":1,,"b":2}',
    b'{"a":1 "b":2}',
    b'{"a":1;"b":2}',
    b'{"a"::1}',
    b'{"a":1:2}',
    b'{"a" "b"}',
    b'{"a"=1}',
    b'{"a":1',
    b'{"a":',
    b'{"a"',
    b'{"a',
    b'{"',
    b'{"a":1]',
    b'{"a":1,"b"}',
    b'{"a":1,"b":}',
    b'{"a":1,2}',
    b'{"a":{"b":1}',
    b'{"a":1}}',
    b'{"\t":1}',
    rb'{"\x":1}',
    b'{"a":b}',
]

# --- 5: arrays -----------------------------------------------------------------------------------

ARRAYS = [
    b"[]",
    b"[ ]",
    b"[1]",
    b"[1,2,3]",
    b"[[]]",
    b"[[],[]]",
    b"[{}]",
    b"[[[1],2],3]",
    b'["a","b"]',
    b"[null,true,false,0]",
    b"[" + b"1," * 500 + b"1]",
]
NO_ARRAYS = [
    b"[",
    b"]",
    b"[,]",
    b"[1,]",
    b"[,1]",
    b"[1,,2]",
    b"[1 2]",
    b"[1;2]",
    b"[1:2]",
    b'["a":1]',
    b'["a" "b"]',
    b"[1",
    b"[1,",
    b"[[1]",
    b"[1}",
    b"[}",
    b"[1]]",
    b"[[]",
    b"[{]}",
    b"[...]",
    b"[a]",
    b"[-]",
    b"[tru]",
    b"[truefalse]",
    b"[nul l]",
]

# --- 6: numbers ----------------------------------------------------------------------------------

_WHOLE = [b"0", b"7", b"10", b"1234567890"]
_PARTS = [b"", b".0", b".5", b".000123"]
_EXPONENTS = [b"", b"e0", b"E1", b"e+5", b"E-05", b"e00"]
NUMBERS = [sign + w + p + e for sign in (b"", b"-") for w in _WHOLE for p in _PARTS for e in _EXPONENTS] + [
    b"9007199254740993",
    b"18446744073709551616",
    b"123456789" * 20,
    b"0." + b"0" * 300 + b"1",
    b"1e400",
    b"-1e-400",
]
NO_NUMBERS = [
    b"00",
    b"01",
    b"-01",
    b"-00",
    b"007",
    b"+1",
    b"-",
    b"--1",
    b"-+1",
    b"- 1",
    b"1-",
    b"1+1",
    b"1.",
    b"-1.",
    b".1",
    b"-.1",
    b"1.e1",
    b"1..2",
    b"1.2.3",
    b"1e",
    b"1E",
    b"1e+",
    b"1e-",
    b"1e1e1",
    b"1e1.5",
    b"1e 1",
    b"e1",
    b"0x1",
    b"0b1",
    b"0o1",
    b"1f",
    b"1L",
    b"1_000",
    b"1,000",
    b"1'000",
    b"1a",
    b"0a",
    b"1.5a",
    b"-a",
    b"-true",
    b"-inf",
    b"inf",
    b"nan",
    b"1e\xc2\xb2",
    "\u0661".encode(),
    "\uff11".encode(),
    "1\u0661".encode(),
    "\u22121".encode(),
]

# --- 7: strings ----------------------------------------------------------------------------------

STRINGS = [
    b'""',
    b'"a"',
    b'" "',
    b'"\x7f"',
    b'"/"',
    b'"\'"',
    b'"{}[],:"',
    b'"//"',
    *[b'"\\' + bytes([letter]) + b'"' for letter in ESCAPES if letter != ord("u")],
    *[b'"\\u000' + bytes([digit]) + b'"' for digit in HEX],
    *[b'"\\u' + bytes([digit]) + b'0e9"' for digit in HEX],
    rb'"\uABCD\uabcd\uAbCd"',
    rb'"\ud83d\ude00"',
    rb'"\uD83D\uDE00"',
    rb'"\ud800"',
    rb'"\udfff"',
    rb'"\ud800\ud800"',
    rb'"\ude00\ud83d"',
    rb'"\ud83dx\ude00"',
    rb'"\ud83d\\ude00"',
    rb'"\\u12"',
    rb'"\\"',
    rb'"\\\\"',
    rb'"\""',
    rb'"\\\""',
    rb'"a\"b\"c"',
    b'"' + rb"\\" * 100 + b'"',
    b'"' + rb"\"" * 100 + b'"',
    *[f'"{c}"'.encode() for c in "é€😀\u0080\u07ff\u0800\uffff\U00010000\U0010ffff\ufeff\u2028\ufffd"],
    *[b'"' + b"x" * size + b'"' for size in (61, 62, 63, 64, 65, 1000)],
    *[b'"' + b"x" * size + rb"\n" + b'"' for size in (60, 61, 62, 63, 64)],
]
NO_STRINGS = [
    b'"',
    b'"a',
    b'a"',
    b'"""',
    b'"\\',
    b'"\\"',
    b'"\\\\\\"',
    b'"a""',
    *[b'"' + bytes([control]) + b'"' for control in range(0x20) if control != 0x0A],
    *[b'"\\' + bytes([byte]) + b'"' for byte in range(0x21, 0x7F) if byte not in ESCAPES],
    b'"\\ "',
    b'"\\\x00"',
    b'"\\\t"',
    '"\\é"'.encode(),
    b'"\\\xff"',
    rb'"\u"',
    rb'"\u1"',
    rb'"\u12"',
    rb'"\u123"',
    rb'"\u 123"',
    rb'"\u+123"',
    rb'"\u0x1"',
    rb'"\u{1}"',
    rb'"\U0001"',
    rb'"\x41"',
    *[b'"\\u123' + bytes([byte]) + b'"' for byte in b"gG/:@`"],
    rb'"\ud83d\u"',
    rb'"\ud83d\uzzzz"',
    '"\\u\uff11\uff11\uff11\uff11"'.encode(),
]

# --- 8: character encoding -----------------------------------------------------------------------

OTHER_ENCODINGS = [
    "[1]".encode("utf-16-le"),
    "[1]".encode("utf-16-be"),
    "[1]".encode("utf-32-le"),
    b"\xff\xfe" + "1".encode("utf-16-le"),
    b"\xfe\xff" + "1".encode("utf-16-be"),
]
INVALID_UTF8 = [
    b"\xff",
    b"\x80",
    b"\xbf",
    b"\xc2",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80\x80",
    b"\xc3\x28",
    b"\xe2\x28\xa1",
]

ACCEPTED: list[bytes] = [
    *SPACED,
    *LITERALS,
    *[text for text in BARE_BYTES if text.isdigit()],
    *OBJECTS,
    *ARRAYS,
    *NUMBERS,
    *STRINGS,
    # Where they stand in the tests is up to three deep.
    *_nested(60),
    SOUND,
]
REFUSED: list[bytes] = [
    *NO_SPACE,
    *NOT_ONE_VALUE,
    *WRONG_LITERALS,
    *[text for text in BARE_BYTES if not text.isdigit()],
    *NO_OBJECTS,
    *NO_ARRAYS,
    *NO_NUMBERS,
    *NO_STRINGS,
    *OTHER_ENCODINGS,
    *[b'{"' + bad + b'":1}' for bad in INVALID_UTF8],
    *[b"[" + bad + b"]" for bad in INVALID_UTF8],
    *[SOUND[:size] for size in range(1, len(SOUND))],
    *[SOUND[size:] for size in range(1, len(SOUND)) if SOUND[size:] not in (b"", b"}")],
    *[SOUND[:at] + SOUND[at + 1 :] for at, byte in enumerate(SOUND) if byte in b'{}[]":'],
]


class Difference(NamedTuple):
    """A text on which Python's `json` and we differ."""

    text: bytes
    we_accept: bool
    reason: str


DIFFERENCES: list[Difference] = [
    *[
        Difference(form % name, False, "Python reads names that are no JSON")
        for form in (b"%s", b"[%s]", b'{"a":%s}', b" %s ")
        for name in (b"NaN", b"Infinity", b"-Infinity")
    ],
    *[Difference(text, False, "nesting is limited") for text in _nested(66)],
    *[Difference(b'"' + bad + b'"', True, "invalid bytes in a value are odd text") for bad in INVALID_UTF8],
    *[Difference(b'["a' + bad + b'b"]', True, "invalid bytes in a value are odd text") for bad in INVALID_UTF8],
    Difference(b"9" * 5000, True, "numbers are text to us, of any length"),
    Difference(b"-" + b"1" * 4301, True, "numbers are text to us, of any length"),
    Difference(b"[1,\n2]", False, "a record is one line"),
    Difference(b'{"a":\n1}', False, "a record is one line"),
]

# Whole files, where records and lines are more than one value.
ACCEPTED_FILES: list[tuple[bytes, int]] = [
    (b"", 0),
    (b"\n", 0),
    (b"\n\n \t\r\n", 0),
    (b"1\n2\n", 2),
    (b"1\n2", 2),
    (b"1\r\n2\r\n", 2),
    (b"\xef\xbb\xbf", 0),
    (b"\xef\xbb\xbf\n", 0),
    (b"\xef\xbb\xbf1", 1),
    (b"\xef\xbb\xbf{}\n{}\n", 2),
    (b"1", 1),
    (b"1\n", 1),
    (b"\n1", 1),
    (b"[]\n" * 1000, 1000),
]
REFUSED_FILES: list[tuple[bytes, int]] = [
    (b"\xef\xbb\xbf\xef\xbb\xbf1\n", 1),
    (b"1\n\xef\xbb\xbf1\n", 2),
    (b"\xef\xbb1\n", 1),
    (b"\xef\xbb", 1),
    (b"\xef", 1),
    (b"1\n\n\n[", 4),
    (b'1\n"a\nb"\n', 2),
    (b'"\\\n"', 1),
    (b"1\n\x00\n", 2),
    (b"1\n2\n3 4", 3),
    (b"{}\n" * 999 + b"{", 1000),
]

"""The matcher finds for whole batches what the reference finds for one event and one condition."""

from __future__ import annotations

import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastfold.detection.matching import Matcher
from fastfold.reference.matching import reference_holds, reference_marks
from fastfold.rules.comparisons import caseless
from fastfold.rules.required_text import required_text
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule, Step
from fastfold.rules.types import Test as Comparison
from matching import Event, batch_of, rule_of

# Characters whose case is folded to another length, to two others, to nothing simple; those of UTF-8 whose bytes
# begin alike; and ends of lines and texts.
LETTERS = "aAbBkK\u212asS\u017fßẞİiIıéÉ\u023a\u2c65ǅǆΣσς日\U00010400\U00010428\0\n\r\\.*$ 1"
TEXTS = st.text(LETTERS, max_size=6)
WORDS = st.text(LETTERS, max_size=3)
KIND = st.sampled_from(("process_start", "file_write", "other"))
COLUMN = st.sampled_from(("image", "command_line", "remote", "process", "host"))
REGEXES = st.sampled_from((
    "a", "^a", "a$", "(?s)a.b", "a.b", r"\bk\b", "ab|ba", "[^a]k", r"\x41", "(?i)s", "abk+", "aab*k", "aab{2}",
    r"\Aaab\z", "(?:aab)?k", r"\Qaab\E", "", "ß", r"\pL{4}", "aab[]k]b", r"aab\.k", "(aab|bba)kks", r"1\d",
))  # fmt: skip
ENDPOINTS = ("10.0.0.1", "10.0.0.1:80", "::ffff:10.0.0.1", "[fe80::1]:443", "fe80::1%eth0", "11.0.0.0:1", "[10.0.0.1]")
PLAIN = ("equals", "contains", "startswith", "endswith")
NUMBERS = ("1", "-1", "1.0", "1e1", "01", "1e999", "9007199254740993", "0x10", " 1", "1_0", "")
FIELDS = {
    "image": TEXTS,
    "command_line": st.one_of(TEXTS, st.text("abkK.1", max_size=12), st.sampled_from(NUMBERS)),
    "remote": st.one_of(st.sampled_from(ENDPOINTS), TEXTS),
}

tests = st.one_of(
    st.builds(
        Comparison,
        COLUMN,
        st.sampled_from(("equals", "contains", "startswith", "endswith")),
        WORDS,
        cased=st.booleans(),
    ),
    st.builds(Comparison, COLUMN, st.just("re"), REGEXES, cased=st.booleans()),
    st.builds(Comparison, COLUMN, st.just("cidr"), st.sampled_from(("10.0.0.0/8", "fe80::/10", "10.0.0.1/32", "::/0"))),
    st.builds(
        Comparison, COLUMN, st.sampled_from(("gt", "gte", "lt", "lte")), st.sampled_from(("1", "0", "1e1", "-.5"))
    ),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(tests, st.builds(Exists, COLUMN), st.builds(KindIn, st.frozensets(KIND))),
    lambda below: st.one_of(
        st.builds(AllOf, st.lists(below, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(below, max_size=3).map(tuple)),
        st.builds(Not, below),
    ),
    max_leaves=6,
)
events = st.fixed_dictionaries(
    {"time_ns": st.integers(-3, 3), "kind": KIND, "host": st.sampled_from("hH"), "process": st.sampled_from("aAk")},
    optional={"tenant": st.sampled_from(("", "t"))} | FIELDS,
)


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    made = []
    for number in range(draw(st.integers(0, 6))):
        steps = tuple(Step(str(step), draw(conditions)) for step in range(draw(st.integers(1, 2))))
        kind = draw(st.sampled_from(("sequence", "count", "distinct")))
        more = {
            "type": kind,
            "steps": steps,
            "scope": draw(st.sampled_from(("process", "host"))),
            "group": tuple(draw(st.lists(COLUMN, max_size=2, unique=True))),
            "column": draw(COLUMN) if kind == "distinct" else "",
            "unless": draw(st.none() | st.builds(Step, st.just("unless"), conditions)),
        }
        made.append(rule_of(steps[0].condition, number, **more))
    return made


@settings(max_examples=400, deadline=None)
@given(rules(), st.lists(events, max_size=8))
def test_a_batch_has_the_marks_of_the_reference(given_rules: list[Rule], given_events: list[Event]) -> None:
    batch = batch_of(given_events)
    assert Matcher(given_rules).match(batch) == reference_marks(given_rules, batch)


@settings(max_examples=100, deadline=None)
@given(rules(), st.lists(st.lists(events, max_size=5), min_size=2, max_size=4))
def test_what_a_matcher_keeps_from_batches_before_changes_nothing(
    given_rules: list[Rule], batches: list[list[Event]]
) -> None:
    matcher = Matcher(given_rules)
    for found in map(batch_of, batches):
        assert matcher.match(found) == reference_marks(given_rules, found)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(WORDS, st.booleans()), min_size=1, max_size=12), st.text(LETTERS, max_size=20))
@example([("K", False), ("kk", False), ("\u212a", True)], "k\u212aK")
@example([("a", True), ("A", True), ("a", False)], "xA")
@example([("ẞ", False), ("ss", False)], "Straße SS")
def test_every_plain_comparison_holds_where_the_reference_says(words: list[tuple[str, bool]], text: str) -> None:
    found = [Comparison("image", operator, word, cased) for word, cased in words for operator in PLAIN]
    rules = [rule_of(test, number) for number, test in enumerate(found)]
    (host,) = Matcher(rules).match(batch_of([{"image": text, "host": "h", "process": "1"}]))
    expected = sum(reference_holds(test, {"image": text}) for test in found)
    assert len(host.marks) == expected


regexes = st.recursive(
    st.one_of(
        st.text("abkKsSIi", min_size=1, max_size=4),
        st.sampled_from((r"\.", r"\\", ".", "[ab]", "[]a]", "[^]k]", r"[\]a]", "[[:alpha:]]", r"\w", r"\b", "^", "$")),
    ),
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3).map("".join),
        st.tuples(below, st.sampled_from(("", "?", "*", "+", "{0}", "{0,2}", "{2}", "*?", "+?"))).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
        st.tuples(st.text("abk", min_size=1, max_size=4), st.sampled_from(("?", "*", "+", "{0,1}", "{2}", "{"))).map(
            "".join
        ),
        st.tuples(below, below).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(below, below).map("|".join),
        below.map(lambda part: f"(?i){part}"),
    ),
    max_leaves=5,
)


@settings(max_examples=1000, deadline=None)
@given(regexes, st.lists(st.text("abkK\u212asS\u017fIi.\\{ ", max_size=14), min_size=1, max_size=8))
@example("abk{", ["abk{"])
@example("abkk?", ["abk"])
@example("abc{2}", ["abcc"])
def test_what_meets_an_expression_has_its_required_text(regex: str, texts: list[str]) -> None:
    required = required_text(regex)
    for text in texts:
        if re2.search(regex, text) or re2.search(f"(?i){regex}", text):
            assert required.lower() in caseless(text)

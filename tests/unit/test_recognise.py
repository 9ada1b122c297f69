"""A file's format is told from its first records, and nothing is guessed."""

from __future__ import annotations

import gzip
import json

import pytest
import zstandard

from fastfold.errors import Reject
from fastfold.recognise import HEAD_BYTES, HEAD_RECORDS, looks_like, recognise
from fastfold.schema import list_schemas, load_schema
from otrf import real_files

# A record of each format, as bare as one can be told from.
RECORDS: dict[str, list[dict[str, object]]] = {
    "sysmon": [
        {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": "h"},
        {"EventID": 4624, "Channel": "Security", "Hostname": "h"},
        {"event_id": 1, "log_name": "Security", "computer_name": "h", "event_data": {}},
        {"EventID": 1, "Channel": "x", "Computer": "h", "TimeGenerated": "t", "EventData": "{}"},
        {"EventID": 1, "EventLog": "x", "Computer": "h", "TimeGenerated": "t", "EventData": "{}"},
    ],
    "carbonblack": [
        {"type": "endpoint.event.procend", "org_key": "ABCD1234", "device_id": "1"},
        {"type": "endpoint.event.procend", "org_key": "ABCD1234", "device_id": 1},
    ],
    "carbonblack_edr": [{"type": "ingress.event.procend", "cb_server": "cb"}],
    "crowdstrike": [
        {"event_simpleName": "SensorHeartbeat", "aid": "a", "cid": "c"},
        {"ExternalApiType": "Event_DetectionSummaryEvent", "cid": "c"},
    ],
    "ecs": [
        {"event": {"category": ["process"], "action": "start"}, "process": {"entity_id": "x"}},
        {"event.category": ["process"], "event.action": "start", "process.entity_id": "x"},
    ],
    "ocsf": [{"class_uid": 1007, "activity_id": 1, "metadata": {"version": "1.1.0"}}],
    "osquery": [{"name": "pack_x", "unixTime": 1, "hostIdentifier": "h", "columns": {}}],
    "laurel": [{"ID": "1.1:1", "SYSCALL": {"pid": 1}}],
}


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def of(data: bytes) -> str:
    return recognise(data, whole=True)


def test_there_is_a_record_of_every_format() -> None:
    assert set(RECORDS) == set(list_schemas())


@pytest.mark.parametrize("name", RECORDS)
def test_every_format_is_recognised_and_taken_for_no_other(name: str) -> None:
    for record in RECORDS[name]:
        assert of(lines(record)) == name
        assert [other for other in list_schemas() if looks_like(record, load_schema(other))] == [name]


def test_records_of_no_format_do_not_count() -> None:
    noise = [{}, {"type": 5}, [], 7, None, "text", {"EventID": {"a": 1}, "Channel": [], "Hostname": ""}]
    assert of(lines(*noise, RECORDS["ocsf"][0], *noise)) == "ocsf"


def test_lines_that_are_no_json_do_not_count() -> None:
    """The fold refuses them, with their place."""
    bad = b"{\n" + b'{"a":\xff}\n' + b"[" * 100_000 + b"\n" + b'{"a":' + b"9" * 100_000 + b"}\n" + b"{}{}\n"
    assert of(bad + lines(RECORDS["ecs"][0])) == "ecs"


def test_marks_blank_lines_and_line_ends_are_as_in_the_fold() -> None:
    assert of(b"\xef\xbb\xbf\r\n \t\r\n" + lines(RECORDS["laurel"][0]).replace(b"\n", b"\r\n")) == "laurel"
    assert of(lines(RECORDS["laurel"][0]).rstrip()) == "laurel"


def test_only_so_many_records_are_looked_at() -> None:
    late = lines(*[{}] * (HEAD_RECORDS - 1), RECORDS["ecs"][0], RECORDS["ocsf"][0])
    assert of(late) == "ecs"
    with pytest.raises(Reject, match=f"none of the first {HEAD_RECORDS} records"):
        of(lines(*[{}] * HEAD_RECORDS, RECORDS["ecs"][0]))


def test_a_line_that_is_cut_is_left_out() -> None:
    data = lines({}) + lines(RECORDS["ecs"][0]).rstrip()
    assert recognise(data, whole=True) == "ecs"
    with pytest.raises(Reject, match="none of the first 1 records"):
        recognise(data, whole=False)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"[\n", b"\xef\xbb\xbf"])
def test_no_record_is_no_format(data: bytes) -> None:
    with pytest.raises(Reject, match="there is no record that could be of a known format; known are carbonblack, "):
        of(data)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(Reject) as caught:
        of(lines({"a": 1}, {"b": 2}))
    assert str(caught.value) == (
        f"none of the first 2 records is of a known format; known are {', '.join(list_schemas())}"
    )


def test_records_of_two_formats_are_refused_with_the_first_line_of_each() -> None:
    with pytest.raises(Reject) as caught:
        of(lines({}, RECORDS["sysmon"][0], RECORDS["sysmon"][1], RECORDS["carbonblack"][0]))
    assert str(caught.value) == "records of two formats: sysmon first at line 2, carbonblack first at line 4"


def test_records_that_could_be_of_two_formats_are_told_apart_by_others() -> None:
    both = {**RECORDS["sysmon"][0], **RECORDS["carbonblack"][0]}
    with pytest.raises(Reject, match="records that could be of carbonblack or sysmon: name one"):
        of(lines(both, both))
    assert of(lines(both, RECORDS["sysmon"][0])) == "sysmon"
    assert of(lines(RECORDS["carbonblack"][0], both)) == "carbonblack"
    with pytest.raises(Reject, match="carbonblack first at line 1, ecs first at line 2"):
        of(lines(both, RECORDS["ecs"][0]))


# --- as stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_stored_file_is_recognised(squeeze: object) -> None:
    detect = pytest.importorskip("fastfold.api", reason="the core is not built").detect_schema
    assert callable(squeeze)
    assert detect(squeeze(lines(*RECORDS["ocsf"] * 3))) == "ocsf"
    # What is not looked at may be anything, also damaged.
    long = lines(RECORDS["ecs"][0]) + b" " * HEAD_BYTES + lines(RECORDS["ocsf"][0])
    assert detect(squeeze(long)) == "ecs"
    assert detect(memoryview(squeeze(lines(RECORDS["ecs"][0])))) == "ecs"


def test_a_damaged_file_is_rejected() -> None:
    detect = pytest.importorskip("fastfold.api", reason="the core is not built").detect_schema
    data = gzip.compress(lines(*RECORDS["ocsf"] * 3))
    with pytest.raises(Reject, match="compressed offset"):
        detect(data[:-12])


def test_real_files_are_sysmon_or_nothing_we_know() -> None:
    """Also those that begin with records of other channels; two are of Azure's Syslog and VMConnection tables."""
    detect = pytest.importorskip("fastfold.api", reason="the core is not built").detect_schema
    unknown = {"syslog", "vminsights"}
    for path in real_files():
        if path.name.partition("_")[0] in unknown:
            with pytest.raises(Reject, match="of a known format"):
                detect(path.read_bytes())
        else:
            assert detect(path.read_bytes()) == "sysmon"

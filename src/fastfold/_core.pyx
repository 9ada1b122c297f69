# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: nonecheck=False, always_allow_keywords=True, embedsignature=False, binding=True, freethreading_compatible=True
"""The core of fastfold: bytes of batch files to folded deltas, and states to and from their bytes.

Read it in the order of its units; each uses only those above it::

    status    how a leaf ends, and the exception that becomes
    layout    numbers and dtypes shared with Python
    arena     growable memory, hashing
    number    bare JSON values            time    text to nanoseconds       text   strings to UTF-8
    inflate   gzip through ISA-L
    table     numbered texts and pairs
    plan      a schema and a fold definition, compiled
    walk      tokens to wanted values     shape   the same for records laid out like one before
    value     wanted values to codes      judge   records to event rows     parse   whole lines
    codec     states to and from their payload: forms, codec1, codec2, decode2,
              bits, codec3, decode3
    merge     two states to one
    fold      event rows to states
    sets      numbered sets of numbers    automaton   patterns in texts      conditions   which steps are met

The units up to here are leaves: no Python objects, no GIL (but for `plan`, which is compiled once).  The last
are the doors: they take arguments, release the GIL for one call, and turn its status into a result or an
exception::

    reader    what they share   folder    Folder, Deltas             arrow     columns for other libraries
    batch     Parser, Batch     payload   decode, encode, merge      columns   states as columns
    zstd      Dictionary        frame, pieces, pack   Packer: payloads to and from values
    matching  Conditions, Matching
    probe     what tests ask of tables
    ledger    host records      resp      commands as packets
"""

import ctypes
import gzip
import importlib.util
import os

import numpy

from isal import isal_zlib

from fastfold.bounds import MEMBER_COST, READ_BYTES, pool_bytes
from fastfold.errors import ConfigError, CorruptValue, IdentityClash, ParkError, Reject, UnknownForm
from fastfold.schema_types import (
    CONDITION_OPS,
    EVENTS_PER_RECORD,
    LAST,
    OUTCOMES,
    SOURCE_FORMS,
    TIME_FORMS,
    FoldDefinition,
)
from fastfold.states import State, Text, TextSet
from fastfold.types import COLUMNS, KINDS, OPS, FoldCounts, HostDeltas, Limits

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MAX, INT64_MIN, UINT64_MAX
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

__all__ = (
    "EVENT_DTYPE",
    "EVENT_FIELDS",
    "KEY_PLACES",
    "ArrowTable",
    "Batch",
    "Conditions",
    "Deltas",
    "Dictionary",
    "EventFolder",
    "EventPlan",
    "EventReader",
    "Folder",
    "Inflater",
    "Matching",
    "Packer",
    "ParsePlan",
    "Parser",
    "Plan",
    "Reader",
    "Texts",
    "decode",
    "encode",
    "identity",
    "merge",
    "merge_group",
    "name_host",
    "pack_commands",
    "simd",
    "state_keys",
    "states_table",
    "step_ledger",
    "use_simd",
)

include "core/status.pxi"
include "core/layout.pxi"
include "core/arena.pxi"
include "core/number.pxi"
include "core/time.pxi"
include "core/text.pxi"
include "core/inflate.pxi"
include "core/table.pxi"
include "core/plan.pxi"
include "core/walk.pxi"
include "core/shape.pxi"
include "core/value.pxi"
include "core/judge.pxi"
include "core/parse.pxi"
include "core/forms.pxi"
include "core/codec.pxi"
include "core/codec1.pxi"
include "core/codec2.pxi"
include "core/decode2.pxi"
include "core/bits.pxi"
include "core/codec3.pxi"
include "core/decode3.pxi"
include "core/bound.pxi"
include "core/merge.pxi"
include "core/fold.pxi"
include "core/sets.pxi"
include "core/automaton.pxi"
include "core/conditions.pxi"
include "core/reader.pxi"
include "core/folder.pxi"
include "core/arrow.pxi"
include "core/batch.pxi"
include "core/matching.pxi"
include "core/payload.pxi"
include "core/columns.pxi"
include "core/zstd.pxi"
include "core/frame.pxi"
include "core/pieces.pxi"
include "core/pack.pxi"
include "core/probe.pxi"
include "core/keys.pxi"
include "core/ledger.pxi"
include "core/resp.pxi"

_bind_isal()
_check_isal()
use_simd(os.environ.get("FASTFOLD_SIMD"))

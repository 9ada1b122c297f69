"""States as a Parquet file, for the libraries that read those; needs pyarrow (the extra ``parquet``)."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow
from pyarrow import parquet

from fastfold.api import States

__all__ = ["write"]


def write(states: States, output: BinaryIO) -> None:
    """Write the table of `States.to_arrow`, a row group after the other: many states need no more memory than some.

    Parameters
    ----------
    states : States
    output : file
        Opened for writing bytes; need not be able to seek.
    """
    with (
        pyarrow.RecordBatchReader.from_stream(states) as batches,
        parquet.ParquetWriter(output, batches.schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)

"""Parquet files as rows, and traces as a Parquet file. Only this module and `archives` import pyarrow."""

import math
from collections.abc import Iterable, Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from tunix_rt import values
from tunix_rt.formats.core import BadFile, BadRow
from tunix_rt.traces import Trace

_BATCH = 1_000
_STEP = pyarrow.struct(
    [("i", pyarrow.int64()), ("type", pyarrow.string()), ("content", pyarrow.string()), ("claims", pyarrow.string())]
)
SCHEMA = pyarrow.schema(
    [
        ("trace_version", pyarrow.string()),
        ("prompt", pyarrow.string()),
        ("steps", pyarrow.list_(_STEP)),
        ("final_answer", pyarrow.string()),
        ("meta", pyarrow.string()),
    ]
)


def rows(path: Path) -> Iterator[dict[str, Any] | BadRow]:
    """Each record with JSON values only; BadFile when the file is not whole."""
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in batch.to_pylist():
                    yield _plain_row(record)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise BadFile("bad_parquet", f"{path} is not a whole Parquet file ({error}).", str(path)) from error


def write(traces: Iterable[Trace], path: Path) -> None:
    """One row a trace; claims and meta are JSON text, so that the columns have one type in every dataset."""
    with values.atomic_writer(path) as file, parquet.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for trace in traces:
            batch.append(_record(trace))
            if len(batch) == _BATCH:
                writer.write_table(pyarrow.Table.from_pylist(batch, SCHEMA))
                batch = []
        writer.write_table(pyarrow.Table.from_pylist(batch, SCHEMA))


def _record(trace: Trace) -> dict[str, Any]:
    line = trace.line()
    steps = [{**step, "claims": _json(step.get("claims", []))} for step in line["steps"]]
    return {**line, "steps": steps, "meta": _json(trace.meta)}


def _json(value: Any) -> str:
    return values.canonical(value).decode()


def _plain_row(record: dict[str, Any]) -> dict[str, Any] | BadRow:
    try:
        return {key: _plain(value, key) for key, value in record.items() if value is not None}
    except BadRow as error:
        return error


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, f"{where}.{at}") for at, inner in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRow("not_finite", f"{where!r} is {value}, which JSON cannot hold.", where)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise BadRow("wrong_type", f"{where!r} is {type(value).__name__}, which JSON cannot hold.", where)

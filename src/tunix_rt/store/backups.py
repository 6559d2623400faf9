"""The whole database as one zip of JSON lines, and back: into the same kind of database or the other one.

All tables are read in one consistent view, so a backup may be taken while others write. What a database can make again (the
index of words) is not kept. `manifest.json` is written last; restoring checks every file against it before a row is written.
"""

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from sqlalchemy import Connection, LargeBinary, Table, func, insert, select

from tunix_rt import errors, values
from tunix_rt.store import migrating
from tunix_rt.store.engines import Store
from tunix_rt.store.schema import metadata
from tunix_rt.values import Value

MANIFEST = "manifest.json"
_BATCH = 1_000


class Backup(Value):
    """What a backup holds: `tables` counts rows, `files` is the sha256 of each table's lines."""

    backup_version: Literal["1.0"] = "1.0"
    schema_revision: str
    tables: dict[str, int]
    files: dict[str, str]


def backup(opened: Store, out: Path) -> Backup:
    """Write every table into the zip `out`, which must not exist; it appears whole or not at all."""
    if out.exists():
        raise errors.Conflict(f"{str(out)!r} exists; name a new file.", path=str(out))
    with (
        opened.reading() as connection,
        values.atomic_writer(out) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        counts, files = {}, {}
        for table in metadata.sorted_tables:
            counts[table.name], files[_name(table)] = _dump(connection, table, archive)
        made = Backup(schema_revision=migrating.current(connection) or "", tables=counts, files=files)
        archive.writestr(MANIFEST, values.pretty(made.model_dump(mode="json")))
    return made


def restore(opened: Store, path: Path, finish: Callable[[Connection], None]) -> Backup:
    """Fill an empty database from a backup, in one transaction; `finish` then makes again what a backup leaves out.

    Raises Tampered for a file that is not what the manifest says, Conflict for another schema or a database with rows in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            made = Backup.parse(json.loads(archive.read(MANIFEST)), source=f"{path}, {MANIFEST}")
            _whole(archive, made, path)
            with opened.unit_of_work() as connection:
                _empty(connection, made)
                for table in metadata.sorted_tables:
                    _load(connection, table, archive, made)
                finish(connection)
    except FileNotFoundError as error:
        raise errors.NotFound(f"no file {str(path)!r}.", path=str(path)) from error
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, OSError) as error:
        raise errors.Tampered(f"{path} is not a whole backup ({error}).", path=str(path)) from error
    return made


def _name(table: Table) -> str:
    return f"{table.name}.jsonl"


def _dump(connection: Connection, table: Table, archive: zipfile.ZipFile) -> tuple[int, str]:
    hashed, count = hashlib.sha256(), 0
    query = select(table).order_by(*table.primary_key.columns)
    with archive.open(_name(table), "w", force_zip64=True) as file:
        for row in connection.execution_options(yield_per=_BATCH).execute(query).mappings():
            plain = {column.name: _plain(row[column.name]) for column in table.columns}
            line = values.jsonl_line(plain)
            hashed.update(line)
            file.write(line)
            count += 1
    return count, hashed.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return value.timestamp() if hasattr(value, "timestamp") else value


def _whole(archive: zipfile.ZipFile, made: Backup, path: Path) -> None:
    for name, expected in made.files.items():
        with archive.open(name) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:  # type: ignore[arg-type]  # a ZipExtFile reads as one
                raise errors.Tampered(f"{path}: {name} is not what {MANIFEST} says.", path=str(path), file=name)


def _empty(connection: Connection, made: Backup) -> None:
    here = migrating.current(connection)
    if made.schema_revision != here:
        text = (
            f"the backup has schema {made.schema_revision!r}, this version {here!r}; restore it with the version that made it."
        )
        raise errors.Conflict(text, have=here, want=made.schema_revision)
    for table in metadata.sorted_tables:
        if connection.scalar(select(func.count()).select_from(table)):
            raise errors.Conflict(
                f"the database is not empty ({table.name} has rows); restore into a new workspace.", table=table.name
            )


def _load(connection: Connection, table: Table, archive: zipfile.ZipFile, made: Backup) -> None:
    with archive.open(_name(table)) as file:
        rows = _rows(table, file)
        while batch := list(islice(rows, _BATCH)):
            connection.execute(insert(table), batch)
    if connection.scalar(select(func.count()).select_from(table)) != made.tables[table.name]:
        raise errors.Failed(
            f"{table.name} has not the {made.tables[table.name]} rows that the backup counts.", table=table.name
        )
    _continue_numbers(connection, table)


def _rows(table: Table, file: IO[bytes]) -> Iterator[dict[str, Any]]:
    binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
    for line in file:
        row = json.loads(line)
        yield {key: base64.b64decode(value) if key in binary and value is not None else value for key, value in row.items()}


def _continue_numbers(connection: Connection, table: Table) -> None:
    """PostgreSQL counts on from where the backup ended; SQLite does by itself."""
    column = table.autoincrement_column
    if connection.dialect.name == "postgresql" and column is not None:
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        last = connection.scalar(select(func.max(column)))
        connection.execute(select(func.setval(sequence, last or 1, last is not None)))

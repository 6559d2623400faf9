"""1a Who may do what: the owner's token in the workspace, and named tokens with a role and an end.

A token is shown once, when it is made; the database keeps its sha256, which is enough since a token is 32 random bytes. The
owner's token lies in a file that only the owner can read, and is the one the command line uses.
"""

import hmac
import os
import re
import secrets
import stat
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from sqlalchemy import Column, Connection, String, Table, insert, select, update

from tunix_rt import errors, values
from tunix_rt.settings import Settings
from tunix_rt.store import Instant, clock, metadata

Role = Literal["viewer", "editor", "runner", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do all that those before it may
OWNER = "owner"
PREFIX = "trt_"
LONGEST_DAYS = 366
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

TABLE = Table(
    "tokens",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("created", Instant, nullable=False),
    Column("expires", Instant, nullable=False),
    Column("revoked", Instant),
)


class Principal(NamedTuple):
    """Who asks: `key` is the hash of the token that says so, `by_cookie` whether a browser sent it unasked."""

    name: str
    role: Role
    key: str
    by_cookie: bool = False

    def may(self, needed: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(needed)


class Token(NamedTuple):
    """A named token as it may be shown."""

    name: str
    role: Role
    created: datetime
    expires: datetime
    revoked: datetime | None

    def document(self) -> dict[str, str | None]:
        return {
            "name": self.name,
            "role": self.role,
            "created": self.created.isoformat(),
            "expires": self.expires.isoformat(),
            "revoked": self.revoked.isoformat() if self.revoked else None,
        }


def hashed(token: str) -> str:
    return values.sha256(token.encode())


def same(one: str, other: str) -> bool:
    """Compared in a time that says nothing of where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def owner_file(settings: Settings) -> Path:
    return settings.home / "token"


def owner_token(settings: Settings) -> str:
    """The owner's token, made on first use; a file that others can read is refused, because somebody may have."""
    path = owner_file(settings)
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_owner_token(settings)
    except OSError as error:
        raise errors.Failed(f"cannot write {str(path)!r}: {error.strerror}.", path=str(path)) from error
    with os.fdopen(descriptor, "w") as file:
        file.write(_new() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return read_owner_token(settings)


def read_owner_token(settings: Settings) -> str:
    path = owner_file(settings)
    if not path.is_file():
        raise errors.NotFound("this workspace has no token yet; `tunix-rt serve` makes one.", path=str(path))
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        text = (
            f"{path} can be read by others (mode {mode:o}), so they may know it; remove it, and `tunix-rt serve` makes another."
        )
        raise errors.Unsafe(text, path=str(path), mode=f"{mode:o}")
    token = values.read_text(path).strip()
    if not token.startswith(PREFIX) or len(token) < 40:
        raise errors.Tampered(f"{path} holds no token; remove it, and `tunix-rt serve` makes a new one.", path=str(path))
    return token


def _new() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def add(connection: Connection, name: str, role: Role, days: float) -> str:
    """Make a named token that ends after so many days, and return it: the only time it can be seen."""
    if name == OWNER or not _NAME.fullmatch(name):
        text = f"{name!r} cannot name a token: use up to 32 of a-z, 0-9 and '-', the first no '-', and not {OWNER!r}."
        raise errors.Invalid(text, field="name")
    if not 0 < days <= LONGEST_DAYS:
        raise errors.Invalid(f"a token lasts up to {LONGEST_DAYS} days, not {days!r}.", field="days")
    if connection.execute(select(TABLE.c.name).where(TABLE.c.name == name)).first():
        raise errors.Conflict(f"there is a token {name!r} already, or was; give the new one another name.", name=name)
    token = _new()
    now = connection.scalar(select(clock())) or 0.0
    row = {"name": name, "hash": hashed(token), "role": role, "created": now, "expires": now + days * 86_400}
    connection.execute(insert(TABLE).values(row))
    return token


def listed(connection: Connection) -> list[Token]:
    """Every named token by name, those that have ended too."""
    columns = [TABLE.c[field] for field in Token._fields]
    return [Token(*row) for row in connection.execute(select(*columns).order_by(TABLE.c.name))]


def revoke(connection: Connection, name: str) -> None:
    """End a token now. Revoking it twice changes nothing; `errors.NotFound` for a name that never was."""
    known = list(connection.scalars(select(TABLE.c.name)))
    if name not in known:
        raise errors.NotFound(f"no token {name!r}.{errors.nearest(name, known)}", name=name)
    connection.execute(update(TABLE).where(TABLE.c.name == name, TABLE.c.revoked.is_(None)).values(revoked=clock()))


def find(connection: Connection, key: str) -> Principal | None:
    """Whom the token with that hash speaks for; None when it never was, has ended or was revoked."""
    query = select(TABLE.c.name, TABLE.c.role).where(TABLE.c.hash == key, TABLE.c.revoked.is_(None), TABLE.c.expires > clock())
    row = connection.execute(query).first()
    return Principal(row.name, row.role, key) if row else None

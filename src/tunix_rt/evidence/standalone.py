"""Check an evidence bundle with nothing but the Python standard library (3.10 or newer).

    python3 -I verify.py BUNDLE.zip [--json]     check a bundle as one file
    python3 -I verify.py [FOLDER] [--json]       check an unpacked one (default: the folder this script lies in)

It checks every byte against the manifest, counts the stored scores again and computes every rate, interval, p-value and
verdict anew with its own arithmetic. It does not score the answers again: `tunix-rt evidence verify --depth 1` does.

A bundle has one exact form: members stored uncompressed, named in a fixed order, with fixed times and modes, `manifest.json`,
a signature if there is one, and `BUNDLE` last. `BUNDLE` holds the sha256 of the manifest and of the signature, the manifest
that of every other file, so no byte can change unnoticed; and because the file must equal what `serialise` writes, nothing
can hide in the zip container either.
"""

import hashlib
import json
import math
import os
import re
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

SCHEMA_VERSION: Final = "1.0"
KIND: Final = "tunix-rt evidence"
MANIFEST, SIGNATURE, SEAL = "manifest.json", "signature.dsse.json", "BUNDLE"
LARGEST = 512 * 1024 * 1024  # bytes of a whole bundle; it is read into memory and never unpacked
MOST_FILES = 1000
NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,4}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
OUTCOMES = ("correct", "wrong", "unparseable", "truncated")
SIDES = ("base", "tuned")
REQUIRED = frozenset(
    ["README.md", "model_card.md", "verify.py", "run.json", "config.json", "metrics.jsonl", "environment.json"]
    + ["comparison.json", "dataset/manifest.json", "dataset/dataset.jsonl"]
    + ["evalset/manifest.json", "evalset/dataset.jsonl"]
    + [f"{side}/{name}" for side in SIDES for name in ("config.json", "predictions.jsonl", "scores.jsonl", "summary.json")]
)
OPTIONAL = frozenset(
    [f"adapter/{name}" for name in ("adapter.safetensors", "adapter_config.json")]
    + [f"{folder}/rejects.jsonl" for folder in ("dataset", "evalset")]
    + ["sbom.json", "looks.json"]
)
STAGE = re.compile(
    r"stages/(?:[2-9]|[1-9][0-9])/(?:dataset\.jsonl|manifest\.json|rejects\.jsonl)"
)  # of a curriculum, after the first
TOLERANCE = 1e-9
UNCHECKED = (
    "the answers were not scored again from the stored outputs",
    "the dataset was not built again from its recipe, nor compared with the evaluation set",
    "the base model's weights are not in the bundle and were not hashed",
    "training was not repeated, and no answer was generated again",
    "losses, times, memory and throughput stand as the run recorded them",
)

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_VERSION, _FIRST_OF_1980, _UNIX, _PLAIN_FILE = 20, 33, 3 << 8, 0o100644 << 16

Members = dict[str, bytes]


class Refused(Exception):
    """The bytes are not a bundle in its one exact form."""


# The container


def order(names: Iterable[str]) -> list[str]:
    """Alphabetical, then the manifest, the signature and the seal."""
    last = (MANIFEST, SIGNATURE, SEAL)
    return sorted(set(names) - set(last)) + [name for name in last if name in names]


def serialise(members: Mapping[str, bytes]) -> Iterator[bytes]:
    """The bytes of the only zip file with these members, in pieces (PKWARE APPNOTE 6.3, method 0, no zip64)."""
    central, at = [], 0
    for name in order(members):
        data, encoded = members[name], name.encode("ascii")
        crc, size = zlib.crc32(data), len(data)
        yield _LOCAL.pack(_LOCAL_SIGNATURE, _VERSION, 0, 0, 0, _FIRST_OF_1980, crc, size, size, len(encoded), 0)
        yield encoded
        yield data
        sizes = (crc, size, size, len(encoded), 0, 0, 0, 0, _PLAIN_FILE, at)
        central.append(_CENTRAL.pack(b"PK\x01\x02", _UNIX | _VERSION, _VERSION, 0, 0, 0, _FIRST_OF_1980, *sizes) + encoded)
        at += _LOCAL.size + len(encoded) + size
    yield from central
    yield _END.pack(b"PK\x05\x06", 0, 0, len(central), len(central), sum(map(len, central)), at, 0)


def parse(data: bytes) -> Members:
    """The members of a bundle. Anything but the exact bytes `serialise` writes for them is Refused."""
    if len(data) > LARGEST:
        raise Refused(f"the file has {len(data)} bytes; a bundle has at most {LARGEST}.")
    members: Members = {}
    at = 0
    while data[at : at + 4] == _LOCAL_SIGNATURE:
        name, start, end = _entry(data, at)
        if name in members:
            raise Refused(f"the name {name!r} occurs twice.")
        if len(members) == MOST_FILES:
            raise Refused(f"more than {MOST_FILES} files.")
        members[name] = data[start:end]
        at = end
    at = 0
    for piece in serialise(members):
        if data[at : at + len(piece)] != piece:
            raise Refused(f"the zip container is not in its one exact form (from byte {at} on).")
        at += len(piece)
    if at != len(data):
        raise Refused(f"{len(data) - at} bytes follow the end of the zip container.")
    return members


def _entry(data: bytes, at: int) -> tuple[str, int, int]:
    header = data[at : at + _LOCAL.size]
    if len(header) < _LOCAL.size:
        raise Refused("the file ends inside a header.")
    *_, size, length, _ = _LOCAL.unpack(header)
    start = at + _LOCAL.size + length
    name = data[at + _LOCAL.size : start].decode("ascii", "replace")
    if not NAME.fullmatch(name):
        raise Refused(f"the name {name!r} is not allowed in a bundle.")
    if start + size > len(data):
        raise Refused(f"the file ends inside {name!r}.")
    return name, start, start + size


def read_folder(folder: Path) -> Members:
    """The files of an unpacked bundle. A link, an odd name or too much of anything is Refused."""
    members: Members = {}
    total = 0
    for root, folders, files in os.walk(folder):
        for entry in sorted(folders + files):
            path = Path(root) / entry
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not NAME.fullmatch(name) or not (path.is_file() or path.is_dir()):
                raise Refused(f"{name!r} is not a plain file with an allowed name.")
            if path.is_dir():
                continue
            total += path.stat().st_size
            if total > LARGEST or len(members) == MOST_FILES:
                raise Refused(f"more than {MOST_FILES} files or {LARGEST} bytes.")
            members[name] = path.read_bytes()
    return {name: members[name] for name in order(members)}


# Integrity


def leaf(entry: Mapping[str, Any]) -> bytes:
    """What the Merkle tree hashes of a file: its name, size and sha256, so that none can be swapped."""
    return f"{entry['name']}\n{entry['bytes']}\n{entry['sha256']}\n".encode()


def merkle_root(leaves: Sequence[bytes]) -> str:
    """RFC 6962 section 2.1 in hex, an odd node rising unchanged."""
    row = [hashlib.sha256(b"\x00" + part).digest() for part in leaves]
    while len(row) > 1:
        pairs = [hashlib.sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
        row = pairs + row[len(pairs) * 2 :]
    return row[0].hex() if row else hashlib.sha256(b"").hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def loads(data: bytes) -> Any:
    """JSON that every reader reads alike: a key given twice, NaN and infinities are ValueErrors."""
    return json.loads(data, object_pairs_hook=_distinct, parse_constant=_no_constant)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is given twice")
    return made


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def pretty(data: Any) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def seal(members: Mapping[str, bytes]) -> bytes:
    """What `BUNDLE` holds."""
    lines = [f"sha256:{sha256(members[MANIFEST])}"]
    lines += [f"signature:{sha256(members[SIGNATURE])}"] if SIGNATURE in members else []
    return "".join(f"{line}\n" for line in lines).encode()


def integrity(members: Mapping[str, bytes]) -> list[str]:
    """What is wrong with the files, the manifest and the seal; an empty list when every byte is accounted for."""
    if MANIFEST not in members or SEAL not in members:
        return [f"{MANIFEST} or {SEAL} is missing"]
    if members[SEAL] != seal(members):
        return [f"{SEAL} does not hold the sha256 of {MANIFEST} and of the signature"]
    try:
        manifest = loads(members[MANIFEST])
        files = _listed(manifest)
        root, exact = manifest["merkle_root"], pretty(manifest) == members[MANIFEST]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return [f"{MANIFEST} does not fit its schema ({type(error).__name__}: {error})"]
    failures = [] if exact else [f"{MANIFEST} is not written in its one exact form"]
    if order(files) != list(files):
        failures.append(f"{MANIFEST} does not list its files in order")
    failures += [f"{name} is not listed in {MANIFEST}" for name in members if name not in {*files, MANIFEST, SIGNATURE, SEAL}]
    odd = [name for name in files if name not in REQUIRED | OPTIONAL and not STAGE.fullmatch(name)]
    failures += [f"{name} does not belong into a bundle" for name in odd]
    failures += [f"{name} is missing" for name in sorted(REQUIRED - set(files))]
    for name, entry in files.items():
        if name not in members:
            failures.append(f"{name} is missing")
        elif len(members[name]) != entry["bytes"] or sha256(members[name]) != entry["sha256"]:
            failures.append(f"{name} is not the file the manifest names: its size or sha256 differs")
    if merkle_root([leaf(entry) for entry in files.values()]) != root:
        failures.append(f"the Merkle root in {MANIFEST} is not that of its files")
    return failures


def _listed(manifest: Any) -> dict[str, dict[str, Any]]:
    if (manifest["kind"], manifest["schema_version"]) != (KIND, SCHEMA_VERSION):
        raise ValueError(f"this script reads {KIND} {SCHEMA_VERSION}")
    files = {str(entry["name"]): entry for entry in manifest["files"]}
    if len(files) != len(manifest["files"]) or not {MANIFEST, SIGNATURE, SEAL}.isdisjoint(files):
        raise ValueError("a file is listed twice, or the manifest lists itself")
    for name, entry in files.items():
        if entry.keys() != {"name", "sha256", "bytes"} or not NAME.fullmatch(name) or type(entry["bytes"]) is not int:
            raise ValueError(f"the entry of {name!r}")
    return files


# Statistics: each of these is derived from its definition, independently of what the package uses


def wilson(successes: float, n: float, z: float = NormalDist().inv_cdf(0.975)) -> list[float]:
    centre, spread = successes + z * z / 2, z * math.sqrt(successes * (n - successes) / n + z * z / 4)
    return [max(0.0, (centre - spread) / (n + z * z)), min(1.0, (centre + spread) / (n + z * z))]


def mid_p(fixed: int, broken: int) -> float:
    n, k = fixed + broken, min(fixed, broken)
    return (2 * sum(math.comb(n, i) for i in range(k)) + math.comb(n, k)) / (1 << n)


def t_cdf(t: float, df: float) -> float:
    """Student's t through the incomplete beta function's continued fraction (Abramowitz & Stegun 26.5.8, 26.7.1)."""
    tail = 0.5 * _beta(df / (df + t * t), df / 2, 0.5)
    return 1 - tail if t > 0 else tail


@lru_cache
def t_quantile(p: float, df: float) -> float:
    if p < 0.5:
        return -t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return (low + high) / 2


def _beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function; the fraction converges fast on the side it is taken."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    value = 0.0
    for m in range(300, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        value = even / (1 + odd / (1 + value))
    first = -(a + b) * x / (a + 1)
    return front / a / (1 + first / (1 + value))


def estimate(values: Sequence[float], groups: Sequence[str], pseudo: Sequence[float], low: float) -> dict[str, float]:
    """Mean, CR1 standard error by group (never below that with the pseudo-observations) and its t interval in [low, 1]."""
    n, centre = len(values), math.fsum(values) / len(values)
    sums: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        sums.setdefault(group, []).append(value - centre)
    count = len(sums)
    if count < 2:
        return {"value": centre, "error": math.inf, "least": math.inf, "df": 0, "low": low, "high": 1.0}
    clustered = math.sqrt(count / (count - 1) * math.fsum(math.fsum(part) ** 2 for part in sums.values())) / n
    more, total, squares = pseudo
    shifted = (math.fsum(values) + total) / (n + more)
    least = math.sqrt(((math.fsum(v * v for v in values) + squares) / (n + more) - shifted**2) / (n + more))
    ordinary = math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (n * (n - 1)))
    error = max(clustered, least)
    half = t_quantile(0.975, count - 1) * error
    ends = {"low": max(low, centre - half), "high": min(1.0, centre + half)}
    return {"value": centre, "error": error, "least": max(least, ordinary), "df": count - 1, **ends}


def rate(right: Sequence[int], groups: Sequence[str]) -> list[float]:
    """Wilson's interval for as many independent items as these are worth, with t for z."""
    n, value, found = len(right), sum(right) / len(right), estimate(right, groups, (0, 0, 0), 0.0)
    if not found["df"]:
        return [0.0, 1.0]
    independent = value * (1 - value) / n
    worth = n * independent / found["error"] ** 2 if independent else n
    return wilson(value * worth, worth, t_quantile(0.975, found["df"]))


def compare(before: Sequence[int], after: Sequence[int], groups: Sequence[str], margin: float) -> dict[str, Any]:
    """The numbers of `comparison.json` for one reading of the answers."""
    changes = [b - a for a, b in zip(before, after, strict=True)]
    found = estimate(changes, groups, (2, 0, 1), -1.0)
    fixed, broken, n = changes.count(1), changes.count(-1), len(changes)
    alike = t_cdf((abs(found["value"]) - margin) / found["error"], found["df"]) if found["df"] else 1.0
    verdict = "equivalent" if alike < 0.05 else "cannot tell"
    verdict = "better" if found["low"] > 0 else "worse" if found["high"] < 0 else verdict
    return {
        "n": n,
        "groups": len(set(groups)),
        "difference": found["value"],
        "ci95": [found["low"], found["high"]],
        "p_value": mid_p(fixed, broken),
        "fixed": fixed,
        "broken": broken,
        "minimum_detectable_effect": _detectable(n, (fixed + broken + 1) / (n + 2), found),
        "equivalence_p_value": alike,
        "verdict": verdict,
    }


def _detectable(n: int, discordance: float, found: Mapping[str, float]) -> float:
    if not found["df"]:
        return 1.0
    pairs = n / max(1.0, (found["error"] / found["least"]) ** 2)
    a, b = t_quantile(0.975, found["df"]), t_quantile(0.8, found["df"])
    room = b * b * (pairs + b * b - a * a)
    if room < 0:
        return 1.0
    effect = math.sqrt(discordance) * (a * math.sqrt(pairs) + math.sqrt(room)) / (pairs + b * b)
    if effect <= discordance:
        return effect
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.sqrt(pairs * middle) < a + b * math.sqrt(1 - middle) else (low, middle)
    return high


# Counting the stored scores again


def tally(outcomes: Sequence[str]) -> dict[str, Any]:
    counts = {outcome: outcomes.count(outcome) for outcome in OUTCOMES}
    n = sum(counts.values())
    if n != len(outcomes):
        raise ValueError(f"an outcome is none of {', '.join(OUTCOMES)}")
    return {"n": n, **counts, "accuracy": counts["correct"] / n, "ci95": wilson(counts["correct"], n)}


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    right = [int(row["strict"] == "correct") for row in rows]
    return {
        **tally([row["strict"] for row in rows]),
        "groups": len({row["group"] for row in rows}),
        "ci95_clustered": rate(right, [row["group"] for row in rows]),
        "lenient": tally([row["lenient"] for row in rows]),
    }


def compared(base: Sequence[Mapping[str, Any]], tuned: Sequence[Mapping[str, Any]], margin: float) -> dict[str, Any]:
    after = {row["item"]: row for row in tuned}
    if len(after) != len(tuned) or after.keys() != {row["item"] for row in base} or len(base) != len(tuned):
        raise ValueError("base and tuned are not scored on the same items")
    groups = [row["group"] for row in base]
    strict, lenient = (
        compare(
            [int(row[reading] == "correct") for row in base],
            [int(after[row["item"]][reading] == "correct") for row in base],
            groups,
            margin,
        )
        for reading in ("strict", "lenient")
    )
    gain = strict["difference"] - lenient["difference"]
    share = min(1.0, max(0.0, gain / strict["difference"])) if strict["difference"] > 0 else None
    return {**strict, "lenient": lenient, "format_gain": gain, "format_share": share}


def differences(stored: Any, made: Any, where: str, tolerance: float = TOLERANCE) -> list[str]:
    """Where `stored` does not hold what `made` does; keys that only `stored` has are left alone."""
    if isinstance(made, dict):
        held = stored if isinstance(stored, dict) else {}
        parts = [(held.get(key), value, f"{where}: {key}") for key, value in made.items()]
        return [text for part in parts for text in differences(*part, tolerance)]
    if isinstance(made, list) and isinstance(stored, list) and len(stored) == len(made):
        return [text for pair in zip(stored, made, strict=True) for text in differences(*pair, where, tolerance)]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (stored, made))
    same = math.isclose(stored, made, rel_tol=tolerance, abs_tol=tolerance) if numbers else stored == made
    return [] if same else [f"{where} is {repr(stored)[:80]}, but what it follows from gives {made!r}"]


def recount(members: Mapping[str, bytes]) -> list[str]:
    """What `summary.json` and `comparison.json` say that the stored scores do not."""
    try:
        rows = {side: [loads(line) for line in members[f"{side}/scores.jsonl"].splitlines()] for side in SIDES}
        failures = []
        for side in SIDES:
            stored = loads(members[f"{side}/summary.json"])
            failures += differences(stored, summarise(rows[side]), f"{side}/summary.json")
        comparison = loads(members["comparison.json"])
        made = compared(rows["base"], rows["tuned"], float(comparison["margin"]))
        return failures + differences(comparison, made, "comparison.json")
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        return [f"scores, summaries and comparison cannot be read ({type(error).__name__}: {error})"]


# The report


def verify(path: Path) -> dict[str, Any]:
    """The report on a bundle file or on the folder of an unpacked one."""
    try:
        members = read_folder(path) if path.is_dir() else parse(_read(path))
    except Refused as error:
        return _report(None, [], [str(error)])
    bundle = sha256(members.get(MANIFEST, b""))
    failures = integrity(members)
    if failures:
        return _report(bundle, [], failures)
    signed = SIGNATURE in members
    checked = [f"{len(members)} files: names, sizes, sha256, Merkle root, manifest and seal"]
    checked += [] if path.is_dir() else ["the zip container: every byte"]
    failures = recount(members)
    checked += [] if failures else ["every count, rate, interval, difference, p-value and verdict, from the stored scores"]
    return _report(bundle, checked, failures, [f"{SIGNATURE} was not verified: that needs tunix-rt"] if signed else [])


def _read(path: Path) -> bytes:
    if path.stat().st_size > LARGEST:
        raise Refused(f"the file has more than {LARGEST} bytes.")
    return path.read_bytes()


def _report(bundle: str | None, checked: list[str], failures: list[str], left: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "ok": not failures,
        "depth_reached": 0,
        "bundle_id": bundle,
        "checked": checked,
        "unchecked": [*UNCHECKED, *left],
        "failures": failures,
    }


def main(arguments: Sequence[str]) -> int:
    paths = [Path(argument) for argument in arguments if argument != "--json"]
    path = paths[0] if paths else Path(__file__).resolve().parent
    if len(paths) > 1 or not path.exists():
        sys.stderr.write(f"usage: verify.py [BUNDLE.zip | FOLDER] [--json] (no {str(path)!r} here)\n")
        return 2
    report = verify(path)
    if "--json" in arguments:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return 0 if report["ok"] else 1
    lines = [f"{mark} {text}" for mark in ("checked", "failures", "unchecked") for text in report[mark]]
    sys.stdout.write("\n".join([*lines, "OK" if report["ok"] else "NOT OK"]) + "\n")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

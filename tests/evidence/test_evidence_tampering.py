import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunix_rt import errors, evidence
from tunix_rt.evidence import standalone

light = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _flip(data: bytes, at: int, by: int = 1) -> bytes:
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


def _both_refuse(data: bytes, path: Path) -> bool:
    path.write_bytes(data)
    return not evidence.verify(path, 0).ok and not standalone.verify(path)["ok"]


def _unaccounted(data: bytes) -> bool:
    """Whether depth 0 would let these bytes pass."""
    try:
        return not standalone.integrity(standalone.parse(data))
    except standalone.Refused:
        return False


def resealed(members: dict[str, bytes]) -> bytes:
    """The bundle an attacker makes who recomputes every hash after changing a file."""
    manifest = json.loads(members["manifest.json"])
    inner = standalone.order(set(members) - {"manifest.json", "BUNDLE"})
    manifest["files"] = [
        {"name": name, "bytes": len(members[name]), "sha256": standalone.sha256(members[name])} for name in inner
    ]
    manifest["merkle_root"] = standalone.merkle_root([standalone.leaf(entry) for entry in manifest["files"]])
    sealed = {**members, "manifest.json": standalone.pretty(manifest)}
    sealed["BUNDLE"] = f"sha256:{standalone.sha256(sealed['manifest.json'])}\n".encode()
    return b"".join(standalone.serialise(sealed))


def edited(members: dict[str, bytes], name: str, **changes: object) -> dict[str, bytes]:
    return {**members, name: standalone.pretty({**json.loads(members[name]), **changes})}


def test_the_untouched_bundle_passes_all(bundle, members):
    assert evidence.verify(bundle, 0).ok
    assert evidence.verify(bundle, 1).ok
    assert standalone.verify(bundle)["ok"]
    assert resealed(members) == bundle.read_bytes()


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_changed_byte_in_any_file_is_refused(bundle, members, tmp_path, place):
    data, start = bundle.read_bytes(), 0
    for name in members:
        start += 30 + len(name)
        size = len(members[name])
        at = start + {"first": 0, "middle": size // 2, "last": size - 1}[place]
        assert data[start : start + size] == members[name]
        assert _both_refuse(_flip(data, at), tmp_path / "changed.zip"), name
        start += size


def test_every_changed_byte_of_the_container_is_refused(bundle, members):
    data, start, container = bundle.read_bytes(), 0, []
    for name in members:
        container += range(start, start + 30 + len(name))
        start += 30 + len(name) + len(members[name])
    container += range(start, len(data))
    assert [at for at in container if _unaccounted(_flip(data, at))] == []


@light
@given(place=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused(bundle, tmp_path, place, by):
    data = bundle.read_bytes()
    assert _both_refuse(_flip(data, int(place * len(data)), by), tmp_path / "changed.zip")


def test_a_changed_byte_in_a_file_is_refused_even_with_a_right_container(members):
    for name, content in members.items():
        changed = {**members, name: _flip(content, len(content) // 2)}
        assert standalone.integrity(changed), name
        assert standalone.integrity({key: value for key, value in members.items() if key != name}), name
    assert standalone.integrity({**members, "more.txt": b""}) == ["more.txt is not listed in manifest.json"]


def test_a_listed_file_that_does_not_belong_is_refused(members, tmp_path):
    (tmp_path / "more.zip").write_bytes(resealed({**members, "run.sh": b"echo"}))
    assert evidence.verify(tmp_path / "more.zip", 0).failures == ("run.sh does not belong into a bundle",)


def _rows(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.splitlines()]


def _lines(rows: list[dict]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _with_row(members: dict[str, bytes], name: str, index: int, **changes: object) -> dict[str, bytes]:
    rows = _rows(members[name])
    rows[index] = {**rows[index], **changes}
    return {**members, name: _lines(rows)}


def _without(members: dict[str, bytes], prefix: str) -> dict[str, bytes]:
    return {name: data for name, data in members.items() if not name.startswith(prefix)}


def _half(members: dict[str, bytes]) -> dict[str, bytes]:
    """Both systems on their first 12 items only, with every number made to fit."""
    changed = dict(members)
    for side in ("base", "tuned"):
        for name in (f"{side}/scores.jsonl", f"{side}/predictions.jsonl"):
            changed[name] = _lines(_rows(members[name])[:12])
        numbers = standalone.summarise(_rows(changed[f"{side}/scores.jsonl"]))
        tokens = sum(row["tokens"] for row in _rows(changed[f"{side}/predictions.jsonl"]))
        changed = edited(changed, f"{side}/summary.json", **numbers, tokens=tokens)
    rows = [_rows(changed[f"{side}/scores.jsonl"]) for side in ("base", "tuned")]
    return edited(changed, "comparison.json", **standalone.compared(*rows, 0.05))


def _lenient(members: dict[str, bytes]) -> dict[str, bytes]:
    counts = json.loads(members["base/summary.json"])["lenient"]
    return edited(members, "base/summary.json", lenient={**counts, "correct": 0, "wrong": 5})


FORGERIES = {
    "a better output": (
        lambda m: _with_row(m, "tuned/predictions.jsonl", 0, output="1. x\nAnswer: 3"),
        "tuned/scores.jsonl, line 1: scoring the stored output again",
    ),
    "an outcome": (
        lambda m: _with_row(m, "tuned/scores.jsonl", 0, strict="correct", lenient="correct"),
        "tuned/scores.jsonl, line 1: scoring the stored output again",
    ),
    "an expected answer": (lambda m: _with_row(m, "base/scores.jsonl", 0, expected="0"), "base/scores.jsonl, line 1"),
    "a template group": (lambda m: _with_row(m, "base/scores.jsonl", 0, group="other"), "base/scores.jsonl, line 1"),
    "an extracted answer": (
        lambda m: _with_row(m, "tuned/predictions.jsonl", 1, answer="7"),
        "line 2: its output has another answer",
    ),
    "a prompt": (lambda m: _with_row(m, "base/predictions.jsonl", 2, prompt="1 + 1?"), "line 3: its prompt, finish or"),
    "a finish": (lambda m: _with_row(m, "base/predictions.jsonl", 0, finish="length"), "line 1: its prompt, finish or"),
    "an accuracy": (lambda m: edited(m, "tuned/summary.json", accuracy=0.99), "tuned/summary.json: accuracy is 0.99"),
    "an interval": (
        lambda m: edited(m, "tuned/summary.json", ci95_clustered=[0.9, 0.95]),
        "tuned/summary.json: ci95_clustered is 0.9",
    ),
    "a lenient count": (_lenient, "base/summary.json: lenient: correct is 0"),
    "a token count": (lambda m: edited(m, "base/summary.json", tokens=1), "base/summary.json: tokens is 1"),
    "a verdict": (lambda m: edited(m, "comparison.json", verdict="worse"), "comparison.json: verdict is 'worse'"),
    "a p-value": (lambda m: edited(m, "comparison.json", p_value=1e-9), "comparison.json: p_value is 1e-09"),
    "a margin": (lambda m: edited(m, "comparison.json", margin=0.5), "comparison.json: equivalence_p_value"),
    "a loss": (lambda m: edited(m, "run.json", loss=0.0001), "run.json: loss is 0.0001"),
    "a step count": (lambda m: edited(m, "run.json", steps=500), "run.json: steps is 500"),
    "a model": (lambda m: edited(m, "run.json", model_digest="0" * 64), "run.json: model_digest"),
    "a training job": (lambda m: edited(m, "config.json", run_id="other"), "run.json: run_id"),
    "a generation limit": (lambda m: edited(m, "tuned/config.json", max_new_tokens=4000), "summary.json: evaluation_id"),
    "a base that was asked otherwise": (
        lambda m: edited(m, "base/config.json", max_new_tokens=1, temperature=2.0),
        "base and tuned were not asked alike: temperature is 2.0 for base and 0.0 for tuned",
    ),
    "a metric": (lambda m: _with_row(m, "metrics.jsonl", 4, loss=0.1), "run.json: loss is 0.6"),
    "a missing step": (
        lambda m: {**m, "metrics.jsonl": _lines(_rows(m["metrics.jsonl"])[1:])},
        "one line for every step from 1",
    ),
    "the adapter": (lambda m: {**m, "adapter/adapter.safetensors": b"others"}, "adapter.safetensors: sha256"),
    "the adapter's base": (
        lambda m: edited(m, "adapter/adapter_config.json", base_model_digest="0"),
        "adapter_config.json: base_model_digest",
    ),
    "a dropped adapter": (lambda m: _without(m, "adapter/"), "neither here nor named as left out"),
    "half an adapter": (
        lambda m: edited(
            _without(m, "adapter/adapter_config"),
            "manifest.json",
            left_out=[
                {
                    "name": "adapter/adapter_config.json",
                    "bytes": len(m["adapter/adapter_config.json"]),
                    "sha256": standalone.sha256(m["adapter/adapter_config.json"]),
                }
            ],
        ),
        "one is here and one is not",
    ),
    "the training data": (lambda m: _with_row(m, "dataset/dataset.jsonl", 0, prompt="1 + 1?"), "manifest.json: merkle_root"),
    "a dataset's count": (lambda m: edited(m, "evalset/manifest.json", count=1000), "evalset/manifest.json: count"),
    "a leaked prompt": (
        lambda m: {**m, "dataset/dataset.jsonl": m["dataset/dataset.jsonl"] + m["evalset/dataset.jsonl"]},
        "the prompt is also in the training set",
    ),
    "half the items": (_half, "every item its config.json asks for exactly once"),
    "rows given twice": (lambda m: {**m, "base/scores.jsonl": m["base/scores.jsonl"] * 2}, "not of the same items"),
    "a key given twice": (
        lambda m: {**m, "run.json": m["run.json"].replace(b"{", b'{"loss": 0.1,', 1)},
        "run.json: not JSON (a key is given twice)",
    ),
    "the readme": (lambda m: {**m, "README.md": m["README.md"].replace(b"+75", b"+95")}, "README.md is not what"),
    "the model card": (lambda m: {**m, "model_card.md": b"It is never wrong.\n"}, "model_card.md is not what"),
    "the script": (lambda m: {**m, "verify.py": b"print('OK')\n"}, "verify.py is not what"),
    "the manifest's run": (lambda m: edited(m, "manifest.json", run_id="other"), "manifest.json: run_id is 'other'"),
    "the manifest's code": (lambda m: edited(m, "manifest.json", tunix_rt="9"), "manifest.json: tunix_rt is '9'"),
}


@pytest.mark.parametrize(("forge", "found"), FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_with_right_hashes_passes_depth_0_and_fails_depth_1(members, tmp_path, forge, found):
    path = tmp_path / "forged.zip"
    path.write_bytes(resealed(forge(members)))
    assert evidence.verify(path, 0).ok
    report = evidence.verify(path, 1)
    assert (report.ok, report.depth_reached) == (False, 1)
    assert any(found in failure for failure in report.failures), report.failures


@pytest.mark.parametrize("name", ["an outcome", "an accuracy", "an interval", "a lenient count", "a verdict", "a p-value"])
def test_the_script_alone_finds_numbers_that_do_not_follow_from_the_scores(members, tmp_path, name):
    path = tmp_path / "forged.zip"
    path.write_bytes(resealed(FORGERIES[name][0](members)))
    assert not standalone.verify(path)["ok"]


def test_words_of_another_version_are_not_compared_but_said_to_be(members, tmp_path):
    path = tmp_path / "other.zip"
    path.write_bytes(resealed(edited({**members, "README.md": b"other words\n"}, "manifest.json", packed_by="0.0.9")))
    report = evidence.verify(path, 1)
    assert report.ok
    assert any("0.0.9" in text for text in report.unchecked)


@pytest.mark.parametrize(
    ("name", "key"),
    [("run.json", "steps"), ("run.json", "tokens"), ("tuned/summary.json", "correct"), ("comparison.json", "fixed")],
)
def test_a_number_beyond_all_floats_is_a_failure_and_no_crash(members, tmp_path, name, key):
    path = tmp_path / "huge.zip"
    path.write_bytes(resealed(edited(members, name, **{key: 10**400})))
    report = evidence.verify(path, 1)
    assert (report.ok, report.depth_reached) == (False, 1)
    assert any("OverflowError" in failure for failure in report.failures)
    assert standalone.verify(path)["ok"] == (name == "run.json")


CURIOUS = [b"", b"[]", b"null", b"{}", b'{"a":' * 5000, b'{"a": ' + b"9" * 5000 + b"}", b'{"n": NaN}', b"\xff", b'"\\ud800"']


@pytest.mark.parametrize("content", CURIOUS, ids=range(len(CURIOUS)))
def test_no_content_makes_verification_crash(members, tmp_path, content):
    path = tmp_path / "curious.zip"
    for name in members:
        if name not in ("manifest.json", "BUNDLE"):
            path.write_bytes(resealed({**members, name: content}))
            assert not evidence.verify(path, 1).ok, name
            assert standalone.verify(path)["checked"], name


def test_text_that_cannot_be_written_is_a_failure_and_no_crash(members, tmp_path):
    rows = _rows(members["evalset/dataset.jsonl"])
    path = tmp_path / "curious.zip"
    for meta in ({"group": "\ud800"}, {"a": json.loads("[" * 900 + "]" * 900)}):
        rows[3]["meta"] = meta
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        path.write_bytes(resealed({**members, "evalset/dataset.jsonl": lines}))
        assert not evidence.verify(path, 1).ok


@pytest.mark.parametrize("content", [*CURIOUS, b'{"kind": "tunix-rt evidence", "schema_version": "1.0", "files": 3}'])
def test_no_manifest_makes_verification_crash(members, tmp_path, content):
    path = tmp_path / "curious.zip"
    seal = f"sha256:{standalone.sha256(content)}\n".encode()
    path.write_bytes(b"".join(standalone.serialise({**members, "manifest.json": content, "BUNDLE": seal})))
    assert not evidence.verify(path, 1).ok
    assert not standalone.verify(path)["ok"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@light
@given(data=st.data(), value=JSON)
def test_no_changed_field_makes_verification_crash(members, tmp_path, data, value):
    name = data.draw(st.sampled_from(sorted(name for name in members if name.endswith((".json", ".jsonl")))))
    if name == "manifest.json":
        return
    lines = members[name].splitlines() if name.endswith("l") else [members[name]]
    at = data.draw(st.integers(0, len(lines) - 1))
    row = json.loads(lines[at])
    row[data.draw(st.sampled_from(sorted(row)))] = value
    lines[at] = json.dumps(row).encode()
    path = tmp_path / "changed.zip"
    path.write_bytes(resealed({**members, name: b"\n".join(lines)}))
    assert evidence.verify(path, 1).depth_reached == 1
    assert isinstance(standalone.verify(path)["ok"], bool)


@pytest.mark.parametrize("depth", [4, -1])
def test_a_depth_not_built_is_refused(bundle, depth):
    with pytest.raises(errors.Invalid, match="verifies to depth 3"):
        evidence.verify(bundle, depth)


def test_a_bundle_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(errors.NotFound, match=r"none\.zip"):
        evidence.verify(tmp_path / "none.zip")
    with pytest.raises(errors.Invalid, match="not a file"):
        evidence.verify(tmp_path)


def test_depth_0_says_that_nothing_was_computed_again(bundle):
    report = evidence.verify(bundle, 0)
    assert report.depth_reached == 0
    assert "no answer was scored again" in report.unchecked[0]


def _script(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", script, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def unpacked(bundle, tmp_path) -> Path:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_the_bundles_own_script_checks_the_bundle_and_the_folder(bundle, unpacked):
    asked = _script(unpacked / "verify.py", str(bundle), "--json")
    assert (asked.returncode, asked.stderr) == (0, "")
    report = json.loads(asked.stdout)
    assert report["ok"]
    assert report["bundle_id"] == evidence.verify(bundle).bundle_id
    assert any("not scored again" in text for text in report["unchecked"])
    here = _script(unpacked / "verify.py")
    assert (here.returncode, here.stdout.splitlines()[-1]) == (0, "OK")


@pytest.mark.parametrize("change", ["edit", "add", "remove", "link"])
def test_the_script_refuses_a_changed_folder(unpacked, change):
    target = unpacked / "tuned" / "scores.jsonl"
    if change == "edit":
        target.write_bytes(_flip(target.read_bytes(), 100))
    elif change == "add":
        (unpacked / "extra.txt").write_text("more")
    else:
        target.unlink()
    if change == "link":
        target.symlink_to("/etc/hostname")
    asked = _script(unpacked / "verify.py", str(unpacked))
    assert (asked.returncode, asked.stdout.splitlines()[-1]) == (1, "NOT OK")


def test_the_script_refuses_a_changed_bundle_and_a_missing_one(bundle, tmp_path):
    (tmp_path / "changed.zip").write_bytes(_flip(bundle.read_bytes(), 5000))
    script = Path(standalone.__file__)
    assert _script(script, str(tmp_path / "changed.zip")).returncode == 1
    assert _script(script, str(tmp_path / "none.zip")).returncode == 2


def test_the_script_needs_only_the_standard_library(members):
    modules = {
        line.split()[1].partition(".")[0]
        for line in members["verify.py"].decode().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert modules <= sys.stdlib_module_names

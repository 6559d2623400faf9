"""Signatures, secrets, single bytes, and what depth 2 finds that no hash can."""

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from test_evidence_tampering import resealed

import made_up
from made_up import Folders
from tunix_rt import errors, evidence, settings, values
from tunix_rt.datasets import Dataset, Parent, Selection
from tunix_rt.evals.looks import Look
from tunix_rt.evidence import contents, rederive, reinfer, secrets, signing, standalone
from tunix_rt.evidence.contents import Manifest
from tunix_rt.evidence.recompute import Bundle
from tunix_rt.settings import Settings

Members = dict[str, bytes]


def _flipped(data: bytes, seed: int) -> bytes:
    draw = random.Random(seed)
    at, by = draw.randrange(len(data)), draw.randrange(1, 256)
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


def _survivors(data: bytes, seeds: range) -> list[int]:
    """The changes that depth 0 would let pass."""
    found = []
    for seed in seeds:
        try:
            if not standalone.integrity(standalone.parse(_flipped(data, seed))):
                found.append(seed)
        except standalone.Refused:
            continue
    return found


def test_500_changes_of_a_single_byte_are_refused(bundle: Path, signed: Path) -> None:
    for path in (bundle, signed):
        assert standalone.integrity(standalone.parse(path.read_bytes())) == []
        assert _survivors(path.read_bytes(), range(500)) == []


def _read_by_ordinary_tools(data: bytes) -> dict[str, bytes] | None:
    """The members, when `zipfile` finds nothing wrong with them."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError):
        return None


def test_a_verifier_that_trusts_ordinary_zip_tools_is_caught(bundle: Path) -> None:
    """Negative control for the test above: every member is right, and the file is another all the same."""
    data, found = bundle.read_bytes(), 0
    for seed in range(500):
        members = _read_by_ordinary_tools(_flipped(data, seed))
        found += members is not None and not standalone.integrity(members)
    assert found > 0


# ── signatures ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("own", "other"):
        evidence.new_key(folder / name)
    return folder / "own", folder / "other"


@pytest.fixture(scope="session")
def signed(folders: Folders, keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("signed") / "bundle.zip"
    folders.pack(out, key=keys[0])
    return out


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def test_a_signature_says_whose_key_it_was(signed: Path, bundle: Path, keys: tuple[Path, Path], folders: Folders) -> None:
    own, other = keys
    report = evidence.verify(signed, 1, key=_public(own))
    assert (report.ok, report.trusted, report.signed_by) == (True, True, signing.trusted(_public(own)))
    unknown = evidence.verify(signed, 1)
    assert (unknown.ok, unknown.trusted) == (True, False)
    assert any("no key you trust" in text for text in unknown.unchecked)
    assert not evidence.verify(signed, 0, key=_public(other)).ok
    assert "not signed" in evidence.verify(bundle, 0, key=_public(own)).failures[0]
    assert standalone.verify(signed)["ok"]
    assert evidence.verify(signed).bundle_id == evidence.verify(bundle).bundle_id
    folders.pack(signed.with_name("again.zip"), key=own)
    assert signed.with_name("again.zip").read_bytes() == signed.read_bytes()


def test_keys_are_for_their_owner_and_are_not_written_over(keys: tuple[Path, Path], bundle: Path) -> None:
    assert keys[0].stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.Conflict, match="not written over"):
        evidence.new_key(keys[0])
    with pytest.raises(errors.Invalid, match="no key that can be read"):
        evidence.verify(bundle, key=keys[0])


def _envelope(members: Members, **changes: Any) -> bytes:
    return standalone.pretty({**json.loads(members[standalone.SIGNATURE]), **changes})


def _with(members: Members, **changes: Any) -> bytes:
    (one,) = json.loads(members[standalone.SIGNATURE])["signatures"]
    return _envelope(members, signatures=[{**one, **changes}])


def _forgeries(members: Members, other: bytes) -> list[bytes]:
    """Forty envelopes that are not the right one: each field changed, bits flipped, other keys, other forms."""
    good = json.loads(members[standalone.SIGNATURE])
    (one,) = good["signatures"]
    alien = json.loads(other)["signatures"][0]
    zeros = {key: signing._base64(bytes(size)) for key, size in (("sig", 64), ("public_key", 32))}
    made = [
        _with(members, sig=alien["sig"]),
        _with(members, public_key=alien["public_key"]),
        _with(members, keyid=alien["keyid"]),
        _with(members, keyid="", sig=""),
        _with(members, **zeros),
        _with(members, sig=zeros["sig"]),
        _with(members, public_key=zeros["public_key"], keyid=values.sha256(bytes(32))),
        _with(members, sig=one["sig"].rstrip("=")),
        _with(members, sig=one["sig"] + "\n"),
        _with(members, sig=signing._base64(signing._bytes(one["sig"]) + b"\x00")),
        _with(members, sig=None),
        _with(members, more=1),
        _envelope(members, signatures=[]),
        _envelope(members, signatures=[one, one]),
        _envelope(members, signatures={}),
        _envelope(members, payload=signing._base64(b"{}")),
        _envelope(members, payloadType="application/json"),
        _envelope(members, extra=True),
        json.dumps(good).encode(),
        members[standalone.SIGNATURE] + b" ",
        b"",
        b"null",
        b"[" * 20_000,
        b"\xff\xfe",
    ]
    return made + [_with(members, sig=signing._base64(_flipped(signing._bytes(one["sig"]), seed))) for seed in range(16)]


def test_forty_forged_signatures_are_refused(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    members = standalone.parse(signed.read_bytes())
    other = signing.sign(members[standalone.MANIFEST], keys[1])
    forged = _forgeries(members, other)
    assert len(forged) == 40
    for number, envelope in enumerate(forged):
        changed = {**members, standalone.SIGNATURE: envelope}
        changed[standalone.SEAL] = standalone.seal(changed)
        path = tmp_path / "forged.zip"
        path.write_bytes(b"".join(standalone.serialise(changed)))
        assert not evidence.verify(path, 0).ok, number
        assert not evidence.verify(path, 0, key=_public(keys[0])).ok, number
    resigned = {**members, standalone.SIGNATURE: other}
    resigned[standalone.SEAL] = standalone.seal(resigned)
    (tmp_path / "resigned.zip").write_bytes(b"".join(standalone.serialise(resigned)))
    assert evidence.verify(tmp_path / "resigned.zip", 0).ok  # the control: another's own signature is one, but not trusted
    assert not evidence.verify(tmp_path / "resigned.zip", 0, key=_public(keys[0])).ok


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

A, N, X = "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWxYz0123456789", "1234567890", "0123456789abcdef" * 4
CANARIES = [
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----",
    "AKIA" + A[:16].upper(), "aws_secret_access_key = " + A[:40], "ghp_" + A[:36], "github_pat_" + A[:40],
    "glpat-" + A[:20], "hf_" + A[:34], "sk-" + A[:40], "sk-ant-" + A[:40], "sk-proj-" + A[:40], "AIza" + A[:35],
    "ya29." + A[:30], "xoxb-" + N + "-" + A[:20], "https://hooks.slack.com/services/" + A[:30], "sk_live_" + A[:24],
    "npm_" + A[:36], "pypi-" + A[:50], "SG." + A[:22] + "." + A[:40], "WANDB_API_KEY=" + X[:40], '"key": "' + X[:32] + '"',
    "dapi" + X[:32], "dop_v1_" + X, N[:9] + ":AA" + A[:33], "eyJhbGciOi" + A[:10] + ".eyJzdWIiOi" + A[:10] + "." + A[:20],
    "Authorization: Bearer " + A[:30], "postgresql://me:hunter22@host/db", "DB_PASSWORD=" + A[:16], "trt_" + A[:43],
]  # fmt: skip


def test_thirty_canaries_are_found_wherever_they_lie(members: Members) -> None:
    assert len(CANARIES) == 30
    assert list(secrets.find(members)) == []
    for place in ("config.json", "environment.json", "metrics.jsonl", "tuned/predictions.jsonl"):
        missed = [canary for canary in CANARIES if not list(secrets.find({place: members[place] + canary.encode()}))]
        assert missed == []


def test_a_secret_stops_the_packing_and_is_not_repeated(own_folders: Folders, tmp_path: Path) -> None:
    path = own_folders.run / "environment.json"
    values.write_json(path, {**values.read_json(path), "note": CANARIES[8]})
    with pytest.raises(
        errors.Unsafe, match=r"environment\.json contains what looks like a secret \(Hugging Face token\)"
    ) as told:
        own_folders.pack(tmp_path / "x.zip")
    assert CANARIES[8] not in str(told.value)
    assert not (tmp_path / "x.zip").exists()


def test_what_the_environment_holds_as_secret_is_kept_out(folders: Folders, tmp_path: Path) -> None:
    named = {"MY_TOKEN": "let us see, let us", "PATH": "Answer", "DB_PASSWORD": "short"}
    assert settings.secrets(named) == ["let us see, let us", "short"]
    with pytest.raises(errors.Unsafe, match="base/predictions"):
        folders.pack(tmp_path / "x.zip", known_secrets=["Let us see, let us"])
    assert not (tmp_path / "x.zip").exists()
    folders.pack(tmp_path / "x.zip", known_secrets=["nowhere to be found"])


def test_the_bundle_counts_looks_and_lists_software(own_folders: Folders, tmp_path: Path) -> None:
    environment = own_folders.run / "environment.json"
    values.write_json(environment, {**values.read_json(environment), "packages": {"numpy": "2.0", "Jax_Lib": "1"}})
    digest = made_up.datasets.open_dataset(own_folders.evalset).manifest.digest
    look = Look(evaluation_id="a" * 16, evalset="e", evalset_digest=digest, model="tiny", run_id="r", at=1.5)
    own_folders.pack(tmp_path / "x.zip", looks=[look])
    inside = standalone.parse((tmp_path / "x.zip").read_bytes())
    assert json.loads(inside["looks.json"])["looks_at_runs"] == 1
    assert "counted 1 look at this set, 1 of them at trained runs" in inside["README.md"].decode()
    fewer = json.dumps({**json.loads(inside["looks.json"]), "data": []}).encode()
    (tmp_path / "fewer.zip").write_bytes(resealed({**inside, "looks.json": fewer}))
    assert any("looks.json: looks is 1, not 0" in text for text in evidence.verify(tmp_path / "fewer.zip", 1).failures)
    sbom = json.loads(inside["sbom.json"])
    assert [part["purl"] for part in sbom["components"] if "purl" in part] == ["pkg:pypi/jax-lib@1", "pkg:pypi/numpy@2.0"]
    assert evidence.verify(tmp_path / "x.zip", 1).ok


# ── depth 2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _opened(path: Path) -> Bundle:
    members = standalone.parse(path.read_bytes())
    manifest = Manifest.parse(json.loads(members["manifest.json"]), source="manifest.json")
    return Bundle(members, contents.read(members), manifest.left_out, manifest.packed_by)


def test_both_datasets_are_made_again(bundle: Path, workspace: Settings) -> None:
    found = rederive.rederive(_opened(bundle), workspace)
    assert [text.split(" ")[0] for text in found.checked] == ["dataset", "evalset"]
    assert found.unchecked == []
    (failure,) = found.failures  # the made-up run names a base model that nobody has
    assert "base model 'tiny' has the digest" in failure


def _swapped(folders: Folders, home: Path) -> None:
    """The training set in place of another with the same counts, and every name, hash and root made to fit."""
    other = made_up.dataset_in(home / "other" / "train-small", "train", 8, seed=4)
    manifest = folders.trainset / "manifest.json"
    kept = values.read_json(manifest)
    changed = {**kept, "files": other.manifest.files, "merkle_root": other.manifest.merkle_root}
    values.write_json(manifest, changed)
    (folders.trainset / "dataset.jsonl").write_bytes(other.path.read_bytes())
    digest = made_up.datasets.open_dataset(folders.trainset).manifest.digest
    for name in ("config.json", "run.json"):
        values.write_json(folders.run / name, {**values.read_json(folders.run / name), "dataset_digest": digest})


def test_a_dataset_swapped_for_one_of_equal_counts_passes_depth_1_and_fails_depth_2(
    own_folders: Folders, workspace: Settings, tmp_path: Path
) -> None:
    _swapped(own_folders, tmp_path)
    own_folders.pack(tmp_path / "x.zip")
    assert evidence.verify(tmp_path / "x.zip", 1).ok
    report = evidence.verify(tmp_path / "x.zip", 2, settings=workspace)
    assert not report.ok
    assert any("dataset/dataset.jsonl is not what its recipe makes" in text for text in report.failures)


def test_what_cannot_be_made_again_is_said_and_the_depth_is_not_reached(bundle: Path, workspace: Settings) -> None:
    opened = _opened(bundle)
    source = {"file": "mine.jsonl", "sha256": "0" * 64, "format": "tunix-rt", "rows": 1, "added": 1, "duplicates": 0}
    row = {**json.loads(opened.members["dataset/manifest.json"]), "source": {**source, "rejected": 0, "reasoning_absent": 0}}
    row = {key: value for key, value in row.items() if key not in ("recipe", "recipe_digest")}
    manifest = made_up.datasets.Manifest.parse(row, source="manifest.json")
    items = opened.facts.trainset._replace(manifest=manifest)
    changed = opened._replace(facts=opened.facts._replace(trainset=items))
    found = rederive.rederive(changed, workspace)
    assert any("'mine.jsonl', which is not here" in text for text in found.unchecked)


def test_a_selection_whose_parents_are_not_those_it_draws_from_is_a_failure(
    bundle: Path, workspace: Settings, sums: Dataset
) -> None:
    opened = _opened(bundle)
    kept = opened.facts.trainset.manifest
    selection = Selection.parse({"name": kept.name, "select": {"from": ["another"]}}, source="selection")
    parent = Parent(name="tiny-sums", dataset_digest=sums.manifest.digest, count=1, taken=1)
    manifest = kept.model_copy(update={"recipe": None, "selection": selection, "parents": (parent,)})
    items = opened.facts.trainset._replace(manifest=manifest)
    found = rederive.rederive(opened._replace(facts=opened.facts._replace(trainset=items)), workspace)
    assert any("KeyError: 'tiny-sums'" in text for text in found.failures)
    assert not any(text.startswith("dataset made again") for text in found.checked)


def test_what_a_draw_leaves_open_is_said_with_the_chance_to_miss() -> None:
    (said,) = reinfer._not_asked("tuned", 240, 8)
    assert said.startswith("tuned: 232 of 240 answers were not generated again; were 24 of all false, a draw of 8")
    draws = [set(random.Random(seed).sample(range(240), 8)) for seed in range(4_000)]
    missed = 100 * sum(draw.isdisjoint(range(24)) for draw in draws) / len(draws)
    assert missed == pytest.approx(float(said.partition("miss them ")[2].split()[0]), abs=3)
    assert reinfer._not_asked("tuned", 8, 8) == []


def test_the_nonce_draws_the_items(bundle: Path) -> None:
    side = _opened(bundle).facts.base
    one, again, other = (reinfer.draw(side, evidence.Sample(items=5, nonce=nonce)) for nonce in ("a", "a", "b"))
    assert one == again != other
    assert len(set(one)) == 5
    assert evidence.Sample().drawn().nonce != evidence.Sample().drawn().nonce


def test_edited_predictions_with_new_hashes_fail_depth_1(members: Members, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in members["tuned/predictions.jsonl"].splitlines()]
    rows[0]["output"] = "1. other\nAnswer: other"
    changed = {**members, "tuned/predictions.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows)}
    (tmp_path / "x.zip").write_bytes(resealed(changed))
    assert not evidence.verify(tmp_path / "x.zip", 1).ok
    assert not evidence.verify(tmp_path / "x.zip", 0, key=None).failures


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ({"absent-plug-in": "1.2"}, "made with absent-plug-in 1.2, which is not here"),
        ({"numpy": "0.0.1"}, "made with numpy 0.0.1, of which"),
    ],
)
def test_a_dataset_of_a_plug_in_that_is_not_here_is_left_unchecked(
    bundle: Path, workspace: Settings, plugins: dict[str, str], said: str
) -> None:
    opened = _opened(bundle)
    manifest = opened.facts.trainset.manifest.model_copy(update={"plugins": plugins})
    items = opened.facts.trainset._replace(manifest=manifest)
    found = rederive.rederive(opened._replace(facts=opened.facts._replace(trainset=items)), workspace)
    assert any(said in text for text in found.unchecked)
    assert [text.split(" ")[0] for text in found.checked] == ["evalset"]


def test_a_task_that_no_named_plug_in_brings_is_left_unchecked(bundle: Path, workspace: Settings) -> None:
    opened = _opened(bundle)
    manifest = opened.facts.trainset.manifest
    assert manifest.recipe is not None
    recipe = manifest.recipe.model_copy(update={"tasks": {"unheard": next(iter(manifest.recipe.tasks.values()))}})
    items = opened.facts.trainset._replace(manifest=manifest.model_copy(update={"recipe": recipe}))
    found = rederive.rederive(opened._replace(facts=opened.facts._replace(trainset=items)), workspace)
    assert any("the task 'unheard', of no plug-in" in text for text in found.unchecked)

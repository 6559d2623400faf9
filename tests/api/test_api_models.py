"""`/api/models`: promotion, aliases, checks and downloads over HTTP, on both databases."""

import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import promoted
import pytest
from promoted import Place

from asking import Client, bearing, owner
from tunix_rt import access, api, registry, values
from tunix_rt.settings import Settings
from tunix_rt.store import open_artifacts

LARGE = 2**31 + 4096


@pytest.fixture(scope="module")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("promoted") / "home"
    promoted.fill(home)
    return home


@pytest.fixture
def place(either: Settings, filled_home: Path) -> Iterator[Place]:
    """A workspace with two evaluated runs in its ledger."""
    shutil.copytree(filled_home, either.home)
    made = promoted.opened(either)
    for run in (made.good, made.damaged):
        promoted.in_ledger(made.store, run)
    yield made
    made.store.close()


@pytest.fixture
def client(place: Place) -> Iterator[Client]:
    made = api.make(place.settings)
    yield owner(made)
    made.state.service.store.close()
    made.state.service.audit.close()


def promote(client: Client, place: Place, run_id: str, **more: str) -> httpx.Response:
    body = {"run_id": run_id, "baseline": place.base, "margin": 0.05, **more}
    return client.post("/api/models/sums/versions", json=body)


def test_a_run_is_promoted_through_its_gate_and_another_refused_with_the_reason(client: Client, place: Place) -> None:
    gate = client.post("/api/models/gate", json={"run_id": place.damaged.run_id, "baseline": place.base})
    assert (gate.status_code, gate.json()["decision"]) == (200, "fail")
    refused = promote(client, place, place.damaged.run_id)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "refused")
    assert "worse than the baseline by more than 5 points" in refused.json()["error"]["message"]
    first, again = (promote(client, place, place.good.run_id, alias="champion") for _ in range(2))
    assert (first.status_code, again.status_code, first.headers["location"]) == (201, 200, "/api/models/sums/versions/1")
    assert first.json() == again.json()
    assert first.json()["who"] == "owner"
    shown = client.get("/api/models/sums/versions/champion").json()
    assert (shown["admission"]["gate"]["decision"], shown["version"]) == ("pass", 1)
    assert {step["what"]: step["state"] for step in shown["provenance"]}["run"] == "here"


def test_aliases_move_and_go_back(client: Client, place: Place) -> None:
    promote(client, place, place.good.run_id, alias="champion")
    forced = {"run_id": place.damaged.run_id, "reason": "shown at the fair", "alias": "champion"}
    made = client.post("/api/models/sums/forced", json=forced).json()
    assert (made["standing"], made["reason"], made["aliases"]) == ("forced", "shown at the fair", ["champion"])
    back = client.post("/api/models/sums/aliases/champion/rollback", json={"reason": "it is damaged"})
    assert back.json()["version"] == 1
    moved = client.post("/api/models/sums/aliases/challenger", json={"version": made["digest"][:12]})
    assert moved.json()["aliases"] == ["challenger"]
    assert client.post("/api/models/sums/aliases/challenger/rollback", json={}).status_code == 409
    (listed,) = client.get("/api/models").json()["data"]
    assert listed["aliases"] == {"challenger": 2, "champion": 1}
    page = client.get("/api/models/sums/versions", params={"limit": 1}).json()
    assert [row["version"] for row in page["data"]] == [2]
    rest = client.get("/api/models/sums/versions", params={"limit": 1, "after": page["next"]}).json()
    assert ([row["version"] for row in rest["data"]], rest["next"]) == ([1], None)
    assert client.get("/api/models/nothing/versions").status_code == 404


def test_only_who_may_run_promotes_and_only_who_may_all_forces(place: Place) -> None:
    app = api.make(place.settings)
    tokens: dict[str, str] = {}
    with place.store.unit_of_work() as connection:
        for role in ("editor", "runner"):
            tokens[role] = access.add(connection, role, role, 1)  # type: ignore[arg-type]
    body = {"run_id": place.good.run_id, "baseline": place.base}
    force = {"run_id": place.good.run_id, "reason": "mine"}
    assert bearing(app, tokens["editor"]).post("/api/models/sums/versions", json=body).status_code == 403
    runner = bearing(app, tokens["runner"])
    assert runner.post("/api/models/sums/forced", json=force).status_code == 403
    assert runner.post("/api/models/sums/versions", json=body).json()["who"] == "runner"
    app.state.service.store.close()
    app.state.service.audit.close()


def test_a_flipped_bit_is_told(client: Client, place: Place) -> None:
    promote(client, place, place.good.run_id)
    assert client.get("/api/models/sums/versions/1/check").json() == {"ok": True, "problems": []}
    path = open_artifacts(place.settings).path(place.good.adapter_digest)
    path.chmod(0o644)
    path.write_bytes(b"\x01" + path.read_bytes()[1:])
    found = client.get("/api/models/sums/versions/1/check").json()
    assert [(one["file"], one["problem"]) for one in found["problems"]] == [
        ("adapter.safetensors", "the file's bytes have changed")
    ]


def test_a_download_has_ranges_and_a_tag_that_is_its_hash(client: Client, place: Place) -> None:
    promote(client, place, place.good.run_id)
    path = "/api/models/sums/versions/1/files/adapter.safetensors"
    whole = client.get(path)
    tag = f'"{place.good.adapter_digest}"'
    assert (whole.status_code, whole.headers["etag"], values.sha256(whole.content)) == (200, tag, place.good.adapter_digest)
    part = client.get(path, headers={"range": "bytes=10-19", "if-range": tag})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    other = client.get(path, headers={"range": "bytes=10-19", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304
    assert client.get(path, headers={"range": "bytes=99999999-"}).status_code == 416
    assert client.get("/api/models/sums/versions/1/files/version.json").status_code == 404


@pytest.fixture
def large(home: Callable[[str], Settings], filled_home: Path) -> Iterator[Place]:
    """The good run's weights are a sparse file of more than two gigabytes, stored as putting it would have left it."""
    settings = home("sqlite")
    shutil.copytree(filled_home, settings.home)
    place = promoted.opened(settings)
    content = registry.keep(settings, place.good)
    path = settings.artifact_folder / "large"
    with path.open("wb") as file:
        file.seek(LARGE - 6)
        file.write(b"theend")
    digest = values.sha256_file(path)
    (settings.artifact_folder / digest[:2]).mkdir(exist_ok=True)
    path.rename(settings.artifact_folder / digest[:2] / digest)
    files = {**content.files, "adapter.safetensors": content.files["adapter.safetensors"].model_copy(
        update={"sha256": digest, "bytes": LARGE})}  # fmt: skip
    admission = registry.admit(settings, place.good, None, "a test", forced=True)
    with place.store.unit_of_work() as connection:
        content = content.model_copy(update={"files": files})
        registry.record(connection, settings, "large", content, admission, who="ada", reason="a test")
    yield place
    place.store.close()


def peak(work: Callable[[], object]) -> int:
    """Bytes that Python held at most."""
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_a_file_of_more_than_two_gigabytes_is_checked_and_sent_in_parts(large: Place) -> None:
    app = api.make(large.settings)
    client, path = owner(app), "/api/models/large/versions/1"
    with large.store.reading() as connection:
        entry = registry.get(connection, "large")
        assert peak(lambda: registry.problems(large.settings, connection, [entry])) < 8_000_000
    stored = open_artifacts(large.settings).path(entry.content.files["adapter.safetensors"].sha256)
    assert client.get(path).json()["bytes"] > LARGE
    part = client.get(f"{path}/files/adapter.safetensors", headers={"range": f"bytes={LARGE - 6}-"})
    assert (part.status_code, part.content) == (206, b"theend")
    assert part.headers["content-range"] == f"bytes {LARGE - 6}-{LARGE - 1}/{LARGE}"
    with stored.open("r+b") as file:
        file.seek(LARGE - 1)
        file.write(b"e")
    assert client.get(f"{path}/check").json()["problems"][0]["file"] == "adapter.safetensors"
    app.state.service.store.close()
    app.state.service.audit.close()


def test_weights_are_stored_and_copied_a_piece_at_a_time(place: Place, tmp_path: Path) -> None:
    weights = Path(place.good.dir) / "adapter" / "adapter.safetensors"
    with weights.open("r+b") as file:
        file.truncate(64_000_000)
    run = place.good.model_copy(update={"adapter_digest": values.sha256_file(weights)})
    assert peak(lambda: registry.keep(place.settings, run)) < 8_000_000
    made = place.promote(run)
    assert peak(lambda: registry.download(place.settings, made, tmp_path / "out")) < 8_000_000
    assert peak(weights.read_bytes) > 64_000_000  # negative control

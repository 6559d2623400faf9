"""The registry where artifacts lie in a bucket: promoted on one machine, checked, downloaded and used on another."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import promoted
import pytest
from promoted import Place

import s3
from asking import owner
from tunix_rt import api, errors, registry, values
from tunix_rt.registry.promotions import WEIGHTS
from tunix_rt.settings import Settings


@pytest.fixture
def place(filled_home: Path, bucket: str, tmp_path: Path) -> Iterator[Place]:
    home = tmp_path / "home"
    shutil.copytree(filled_home, home)
    made = promoted.opened(Settings(home=home, artifacts=f"s3://{bucket}/models"))
    yield made
    made.store.close()


@pytest.fixture
def elsewhere(place: Place) -> Settings:
    """A workspace on another machine, which has nothing of the bucket at hand yet."""
    return place.settings.model_copy(update={"home": place.settings.home.parent / "elsewhere"})


def problems(place: Place) -> list[tuple[str, str]]:
    with place.store.reading() as connection:
        found = registry.problems(place.settings, connection, registry.every(connection))
    return [(one.file, one.problem) for one in found]


def test_a_flipped_bit_in_the_bucket_is_found_and_mended_by_promoting_again(place: Place, s3_server: s3.Server) -> None:
    place.promote(place.good)
    assert problems(place) == []  # negative control
    s3_server.damage(place.settings, place.good.adapter_digest)
    assert problems(place) == [(WEIGHTS, "the file's bytes have changed")]
    s3_server.client.delete_object(**s3.place(place.settings, place.good.adapter_digest))
    assert problems(place) == [(WEIGHTS, "the file is missing")]
    place.promote(place.good)
    assert problems(place) == []


def test_a_version_is_downloaded_and_used_where_it_was_not_made(place: Place, elsewhere: Settings, tmp_path: Path) -> None:
    made = place.promote(place.good)
    files = registry.download(elsewhere, made, tmp_path / "out")
    assert (files[WEIGHTS], values.sha256_file(tmp_path / "out" / WEIGHTS)) == (place.good.adapter_digest,) * 2
    shutil.rmtree(elsewhere.artifact_folder)
    run = registry.as_run(elsewhere, made)
    assert values.sha256_file(Path(run.dir) / "adapter" / WEIGHTS) == place.good.adapter_digest


def test_weights_that_were_changed_reach_nobody(
    place: Place, elsewhere: Settings, tmp_path: Path, s3_server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = place.promote(place.good)
    s3_server.damage(place.settings, place.good.adapter_digest)
    with pytest.raises(errors.Tampered, match="does not hold what its name says"):
        registry.download(elsewhere, made, tmp_path / "out")
    assert not (tmp_path / "out" / WEIGHTS).exists()
    shutil.rmtree(place.settings.artifact_folder)
    app = api.make(place.settings)
    path = f"/api/models/sums/versions/1/files/{WEIGHTS}"
    told = owner(app).get(path)
    assert (told.status_code, told.json()["error"]["code"]) == (409, "tampered")
    place.promote(place.good)
    assert owner(app).get(path).status_code == 200  # negative control
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    shutil.rmtree(place.settings.artifact_folder)
    refused = owner(app).get(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    assert "not-the-secret" not in refused.text
    app.state.service.store.close()
    app.state.service.audit.close()


def test_a_server_that_has_nothing_at_hand_sends_files_in_parts_with_their_hash(place: Place) -> None:
    place.promote(place.good)
    shutil.rmtree(place.settings.artifact_folder)
    app = api.make(place.settings)
    client, path = owner(app), f"/api/models/sums/versions/1/files/{WEIGHTS}"
    assert client.get("/api/models/sums/versions/1").json()["provenance"][1]["state"] == "here"
    whole = client.get(path)
    tag = f'"{place.good.adapter_digest}"'
    assert (whole.status_code, whole.headers["etag"], values.sha256(whole.content)) == (200, tag, place.good.adapter_digest)
    part = client.get(path, headers={"range": "bytes=10-19", "if-range": tag})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304
    app.state.service.store.close()
    app.state.service.audit.close()

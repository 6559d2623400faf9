"""Sweeps over HTTP, on both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import landscape
import pytest
from landscape import Landscape

from asking import Client, owner
from test_cli_sweep import FILE
from tunix_rt import api, values
from tunix_rt.settings import Settings
from tunix_rt.store import Store
from tunix_rt.sweeps import specs
from tunix_rt.worker import Worker


@pytest.fixture
def stocked(either: Settings) -> Iterator[Store]:
    found = landscape.workspace(either)
    yield found
    found.close()


def test_a_sweep_is_begun_watched_and_confirmed(either: Settings, stocked: Store, client: Client, tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(FILE)
    asked = specs.parse(values.read_toml(tmp_path / "search.toml"), source="file").model_dump(mode="json", exclude_none=True)
    begun = client.post("/api/sweeps", json={"sweep": asked})
    assert begun.status_code == 202, begun.text
    where = begun.headers["location"]
    assert begun.json()["state"] == "running"
    assert client.post("/api/sweeps", json={"sweep": asked}).json()["sweep_id"] == begun.json()["sweep_id"]
    Worker(either, stocked, launcher=Landscape()).work(lambda: False, once=True)
    found = client.get(where).json()
    assert (found["state"], found["counts"], len(found["trials"])) == ("completed", {"completed": 3}, 3)
    assert found["confirmed"]["trial"] == found["best"]["number"]
    listed = client.get("/api/sweeps", params={"state": "completed"}).json()
    assert [row["sweep_id"] for row in listed["data"]] == [found["sweep_id"]]
    assert "trials" not in listed["data"][0]
    assert client.post(f"{where}/stop").status_code == 409
    assert str(either.home) not in client.get(where).text


def test_one_that_ships_is_begun_by_name_and_stopped(stocked: Store, client: Client) -> None:
    assert stocked.dialect
    begun = client.post("/api/sweeps", json={"recipe": "sweep_tiny"})
    assert begun.status_code == 202, begun.text
    stopped = client.post(f"{begun.headers['location']}/stop")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopping")
    assert client.post(f"{begun.headers['location']}/stop").json()["state"] == "stopping"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"recipe": "sweep_tyni"}, 404, "Did you mean 'sweep_tiny'?"),
        ({}, 422, "give either"),
        ({"recipe": "sweep_tiny"}, 409, "tunix-rt models pull tiny"),
        ({"recipe": "../secret"}, 422, "recipe"),
    ],
)
def test_what_cannot_be_begun_is_explained(
    home: Callable[[str], Settings], body: dict[str, str], status: int, said: str
) -> None:
    made = api.make(home("sqlite"))
    answer = owner(made).post("/api/sweeps", json=body)
    made.state.service.store.close()
    made.state.service.audit.close()
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]

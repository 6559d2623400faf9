"""Versions, aliases and promotion, on both databases."""

import os
import shutil
import threading
from pathlib import Path

import pytest
from promoted import Place, in_ledger
from sqlalchemy import update

from tunix_rt import comparisons, errors, evals, jobs, models, registry, runs, values
from tunix_rt.comparisons import baselines
from tunix_rt.registry import Criterion, aliases
from tunix_rt.registry.promotions import WEIGHTS
from tunix_rt.registry.tables import HISTORY, VERSIONS
from tunix_rt.runs import EvalSpec, ProbeSpec
from tunix_rt.store import artifacts, open_artifacts
from tunix_rt.worker import work


def versions(place: Place, name: str = "sums") -> list[int]:
    with place.store.reading() as connection:
        return [entry.version for entry in registry.versions(connection, name).data]


def get(place: Place, reference: str) -> registry.Entry:
    with place.store.reading() as connection:
        return registry.get(connection, reference)


def weights(place: Place, entry: registry.Entry) -> Path:
    return open_artifacts(place.settings).path(entry.content.files[WEIGHTS].sha256)


def flipped(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def problems(place: Place) -> list[tuple[str, int, str]]:
    with place.store.reading() as connection:
        found = registry.problems(place.settings, connection, registry.every(connection))
    return [(one.name, one.version, one.file) for one in found]


# ── the gate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_passes_its_gate_becomes_a_version_that_leads_back_to_its_data(place: Place) -> None:
    admission = place.gate(place.good)
    content = registry.keep(place.settings, place.good)
    with place.store.unit_of_work() as connection:
        made, new = registry.record(connection, place.settings, "sums", content, admission, who="ada", alias="champion")
    assert (new, made.version, made.aliases, made.admission.standing) == (True, 1, ("champion",), "passed")
    assert made.admission.gate == comparisons.judge(
        place.settings, made.admission.evaluations[0].evaluation_id, place.base, 0.05
    )
    assert made.content.run == place.good.model_copy(update={"dir": ""})
    with place.store.reading() as connection:
        walked = {link.what: link for link in registry.walk(place.settings, connection, made)}
    assert walked["dataset"].digest == place.good.dataset_digest
    assert (walked["dataset"].state, walked["weights"].state, walked["base model"].state) == ("here", "here", "absent")
    assert made.digest == content.digest == get(place, "sums").content.digest


def test_a_run_that_fails_its_gate_is_refused_with_the_reason_and_nothing_is_kept(place: Place) -> None:
    with pytest.raises(
        errors.Refused, match=r"its gate is fail.*worse than the baseline by more than 5 points.*gain -"
    ) as told:
        place.gate(place.damaged)
    assert told.value.details["decision"] == "fail"
    with place.store.reading() as connection:
        assert registry.listed(connection).data == ()
    assert not list(open_artifacts(place.settings).digests())
    assert place.gate(place.good).standing == "passed"  # negative control: not everything is refused


def test_a_gate_that_cannot_tell_refuses_too(place: Place) -> None:
    equal = registry.decide(place.settings, place.good, Criterion(baseline=place.gate(place.good).evaluations[0].evaluation_id))
    assert equal.decision == "pass"  # against itself
    few = equal.model_copy(update={"decision": "inconclusive", "reason": "20 items are too few to decide on"})
    with pytest.raises(errors.Refused, match=r"its gate is inconclusive\. 20 items are too few"):
        registry.admit(place.settings, place.good, few, None)
    with pytest.raises(errors.Refused, match="no gate was named"):
        registry.admit(place.settings, place.good, None, None)


def test_force_takes_a_reason_and_both_are_kept(place: Place) -> None:
    gate = registry.decide(place.settings, place.damaged, Criterion(baseline=place.base))
    for reason in (None, "  "):
        with pytest.raises(errors.Invalid, match="reason"):
            registry.admit(place.settings, place.damaged, gate, reason, forced=True)
    admission = registry.admit(place.settings, place.damaged, gate, "shown at the fair", forced=True)
    content = registry.keep(place.settings, place.damaged)
    with place.store.unit_of_work() as connection:
        made, _ = registry.record(connection, place.settings, "sums", content, admission, who="ada", reason="shown at the fair")
    assert (made.admission.standing, made.admitted.who, made.admitted.reason) == ("forced", "ada", "shown at the fair")
    assert made.admission.gate is not None
    assert made.admission.gate.decision == "fail"


def test_passing_later_outweighs_having_been_forced_and_stays(place: Place) -> None:
    assert place.promote(place.good).admission.standing == "forced"
    content = registry.keep(place.settings, place.good)
    for _ in range(2):
        with place.store.unit_of_work() as connection:
            made, new = registry.record(connection, place.settings, "sums", content, place.gate(place.good), who="grace")
        assert (new, made.version, made.admission.standing, made.admitted.who) == (False, 1, "passed", "grace")
    assert place.promote(place.good).admission.standing == "passed"
    with place.store.reading() as connection:
        assert [one.action for one in registry.history(connection, "sums")] == ["promoted", "promoted"]


def test_a_gate_file_is_decided_again(place: Place, tmp_path: Path) -> None:
    gate = registry.decide(place.settings, place.damaged, Criterion(baseline=place.base))
    path = tmp_path / "gate.json"
    values.write_json(path, gate.model_dump(mode="json"))
    assert registry.read_gate(place.settings, place.damaged, path) == gate
    values.write_json(path, gate.model_copy(update={"decision": "pass"}).model_dump(mode="json"))
    with pytest.raises(errors.Tampered, match="says pass; decided again from the same evaluations it is fail"):
        registry.read_gate(place.settings, place.damaged, path)
    with pytest.raises(errors.NotFound, match="no evaluation"):
        registry.read_gate(place.settings, place.good, path)  # the evaluation is another run's


def test_a_baseline_by_name_decides_on_the_set_it_is_set_on(place: Place) -> None:
    baselines.put(place.settings, "main", place.base, dataset=None, metric="lenient", better=None)
    gate = registry.decide(place.settings, place.good, Criterion(baseline="main"))
    assert (gate.baseline, gate.baseline_name, gate.metric, gate.decision) == (place.base, "main", "lenient", "pass")
    with pytest.raises(errors.NotFound, match="Did you mean 'main'"):
        registry.decide(place.settings, place.good, Criterion(baseline="mian"))
    shutil.rmtree(place.settings.evals / gate.candidate)
    with pytest.raises(errors.NotFound, match=f"tunix-rt eval {place.good.run_id} --on eval-wide"):
        registry.decide(place.settings, place.good, Criterion(baseline="main"))


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_run_again_is_the_same_version(place: Place) -> None:
    first, again = place.promote(place.good), place.promote(place.good)
    assert again == first
    assert versions(place) == [1]
    other = place.promote(place.damaged)
    assert (other.version, versions(place)) == (2, [2, 1])
    assert place.promote(place.good, "another").digest == first.digest


def test_two_at_once_make_one_version(place: Place) -> None:
    gate, made = threading.Barrier(8), []

    def one() -> None:
        gate.wait()
        made.append(place.promote(place.good, alias="champion"))

    def other() -> None:
        gate.wait()
        place.promote(place.damaged)

    threads = [threading.Thread(target=each) for each in [one] * 4 + [other] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.version for entry in made}) == 1
    assert versions(place) == [2, 1]
    with place.store.reading() as connection:
        told = registry.history(connection, "sums")
    assert sorted(one.action for one in told) == ["promoted", "promoted", "set"]


def test_two_at_once_would_collide_if_nobody_held_the_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the test above; SQLite has one writer anyway."""
    if place.store.dialect == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    monkeypatch.setattr(aliases, "hold", lambda *_: None)
    place.promote(place.damaged)  # the name is there, so its insertion holds nothing
    admission = registry.admit(place.settings, place.good, None, "a test", forced=True)
    content, troubles = registry.keep(place.settings, place.good), []

    def late() -> None:
        try:
            with place.store.unit_of_work() as connection:
                registry.record(connection, place.settings, "sums", content, admission, who="b")
        except Exception as error:  # noqa: BLE001  # what it is, is asked below
            troubles.append(type(error).__name__)

    with place.store.unit_of_work() as connection:
        registry.record(connection, place.settings, "sums", content, admission, who="a")
        thread = threading.Thread(target=late)
        thread.start()
        thread.join(0.5)
    thread.join()
    assert troubles == ["IntegrityError"]


def test_a_reference_is_a_number_an_alias_a_digest_or_a_bare_name(place: Place) -> None:
    first, second = place.promote(place.good), place.promote(place.damaged)
    assert get(place, "sums").version == 2  # the newest, while there is no champion
    with place.store.unit_of_work() as connection:
        registry.move(connection, "sums@1", "champion", who="ada")
    for reference in ("sums", "sums@1", "sums@champion", f"sums@{first.digest}", f"sums@{first.digest[:8]}"):
        assert get(place, reference).digest == first.digest, reference
    assert get(place, "sums@2").digest == second.digest
    for reference in ("sums@3", "sums@challenger", "sums@", "sums@0", "nothing", "", "sums@1@1", "sums@" + "9" * 40):
        with pytest.raises(errors.NotFound):
            get(place, reference)


@pytest.mark.parametrize("name", ["", "Sums", "a/b", "../a", "a@1", "a" * 65, "tiny"])
def test_a_name_that_is_none_or_a_base_models_is_refused(place: Place, name: str) -> None:
    with pytest.raises((errors.Invalid, errors.Conflict)):
        place.promote(place.good, name)


def test_pages_meet(place: Place) -> None:
    for name in ("c", "a", "b"):
        place.promote(place.good, name)
    with place.store.reading() as connection:
        first = registry.listed(connection, limit=2)
        rest = registry.listed(connection, limit=2, after=first.next)
    assert ([one.name for one in first.data], [one.name for one in rest.data], rest.next) == (["a", "b"], ["c"], None)
    place.promote(place.damaged, "a")
    with place.store.reading() as connection:
        page = registry.versions(connection, "a", limit=1)
        assert [one.version for one in registry.versions(connection, "a", limit=1, after=page.next).data] == [1]
        assert [one.name for one in registry.of_run(connection, place.good.run_id)] == ["a", "b", "c"]


# ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_alias_moves_and_goes_back_as_often_as_it_moved(place: Place) -> None:
    place.promote(place.good, alias="champion")
    place.promote(place.damaged, alias="champion")
    place.promote(place.damaged, alias="champion")  # it is there already
    with place.store.unit_of_work() as connection:
        registry.move(connection, "sums@1", "champion", who="grace", reason="the other one is damaged")
    for expected in (2, 1):
        with place.store.unit_of_work() as connection:
            made = registry.roll_back(connection, "sums", "champion", who="ada")
        assert (made.version, get(place, "sums@champion").version) == (expected, expected)
    with pytest.raises(errors.Conflict, match="nothing to go back to"), place.store.unit_of_work() as connection:
        registry.roll_back(connection, "sums", "champion", who="ada")
    with pytest.raises(errors.NotFound, match="Known: champion"), place.store.unit_of_work() as connection:
        registry.roll_back(connection, "sums", "other-one", who="ada")
    with place.store.reading() as connection:
        moves = [(one.action, one.version, one.who) for one in registry.history(connection, "sums") if one.alias]
    assert moves == [
        ("set", 1, "ada"), ("set", 2, "ada"), ("set", 1, "grace"), ("rolled back", 2, "ada"), ("rolled back", 1, "ada"),
    ]  # fmt: skip


@pytest.mark.parametrize("alias", ["", "1", "Champion", "a b", "deadbeef", "a" * 33, "-a"])
def test_an_alias_that_could_mean_something_else_is_refused(place: Place, alias: str) -> None:
    place.promote(place.good)
    with pytest.raises(errors.Invalid, match="an alias is"), place.store.unit_of_work() as connection:
        registry.move(connection, "sums@1", alias, who="ada")


# ── the files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_flipped_bit_is_found_and_named_and_promoting_again_mends_it(place: Place) -> None:
    made = place.promote(place.good)
    other = place.promote(place.damaged)
    assert problems(place) == []  # negative control
    flipped(weights(place, made))
    assert problems(place) == [("sums", 1, WEIGHTS)]
    place.promote(place.good)
    assert problems(place) == []
    weights(place, other).unlink()
    assert problems(place) == [("sums", 2, WEIGHTS)]


def test_a_row_that_was_changed_is_found(place: Place) -> None:
    made = place.promote(place.good)
    changed = made.content.model_dump(mode="json")
    changed["facts"]["dataset_digest"] = "0" * 64
    with place.store.unit_of_work() as connection:
        connection.execute(update(VERSIONS).values(content=changed))
    assert problems(place) == [("sums", 1, "version.json")]


def test_neither_deleting_the_run_nor_collecting_takes_a_versions_files(place: Place) -> None:
    made = place.promote(place.good)
    files = open_artifacts(place.settings)
    loose = files.put_file(Path(place.damaged.dir) / "adapter" / WEIGHTS)
    with place.store.unit_of_work() as connection:
        queued = runs.submit(connection, ProbeSpec())
        runs.cancel(connection, queued.run_id)
        runs.delete(connection, queued.run_id)
    shutil.rmtree(place.settings.runs)
    kept = sorted(file.sha256 for file in made.content.files.values())

    def collected() -> list[str]:
        for digest in files.digests():
            os.utime(files.path(digest), (1, 1))
        with place.store.reading() as connection:
            return sorted(files.collect(artifacts.used(connection)))

    assert collected() == [loose.digest]
    assert problems(place) == []
    with place.store.unit_of_work() as connection:
        artifacts.release(connection, "model:sums@1")
    assert problems(place) == [("sums", 1, name) for name in made.content.files]
    assert collected() == kept  # negative control: without its use the files are gone


def test_weights_that_are_not_the_runs_are_not_promoted(place: Place) -> None:
    flipped(Path(place.good.dir) / "adapter" / WEIGHTS)
    with pytest.raises(errors.Tampered, match="is not the adapter"):
        place.promote(place.good)


def test_a_download_is_whole_or_not_there(place: Place, tmp_path: Path) -> None:
    made = place.promote(place.good)
    files = registry.download(place.settings, made, tmp_path / "out")
    assert files == {path.name: values.sha256_file(path) for path in (tmp_path / "out").iterdir()}
    assert files[WEIGHTS] == place.good.adapter_digest
    assert values.read_json(tmp_path / "out" / "version.json")["digest"] == made.digest
    with pytest.raises(errors.Conflict, match="not an empty folder"):
        registry.download(place.settings, made, tmp_path / "out")
    flipped(weights(place, made))
    with pytest.raises(errors.Tampered, match="not what was promoted"):
        registry.download(place.settings, made, tmp_path / "broken")
    assert not (tmp_path / "broken" / WEIGHTS).exists()
    assert not (tmp_path / "broken" / "version.json").exists()


def test_a_version_is_a_run_to_whatever_works_on_runs(place: Place) -> None:
    made = place.promote(place.good)
    shutil.rmtree(place.settings.runs)
    for _ in range(2):
        run = registry.as_run(place.settings, made)
        assert run.model_copy(update={"dir": ""}) == made.content.run
        assert values.sha256_file(Path(run.dir) / "adapter" / WEIGHTS) == run.adapter_digest


def test_the_history_cannot_hold_a_promotion_without_its_admission(place: Place) -> None:
    place.promote(place.good)
    with pytest.raises(Exception, match=r"(?i)constraint"), place.store.unit_of_work() as connection:
        connection.execute(update(HISTORY).values(admission=None))


def test_an_evaluation_takes_the_versions_weights_when_the_runs_folder_is_gone(place: Place) -> None:
    models.prepare(place.settings, "tiny")
    in_ledger(place.store, place.good)
    made, about = place.promote(place.good), {"run_id": place.good.run_id, "adapter_digest": place.good.adapter_digest}
    asked = runs.resolve(place.settings, EvalSpec(model="tiny", evalset="eval-small", **about))
    with place.store.unit_of_work() as connection:
        queued = runs.submit(connection, asked)

    def adapter() -> Path | None:
        version = registry.as_run(place.settings, made)
        evals.prepare(place.settings, asked, queued.dir(place.settings), Path(version.dir))
        work.prepare(place.settings, place.store, queued)
        return jobs.read(queued.dir(place.settings))[1].adapter

    assert adapter() == Path(place.good.dir) / "adapter"
    shutil.rmtree(place.settings.runs)
    assert adapter() == Path(registry.as_run(place.settings, made).dir) / "adapter"

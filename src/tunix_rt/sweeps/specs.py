"""A sweep as a value: what is trained, what may vary, what it is chosen by and confirmed on, and how much it may cost.

`load` reads it from TOML, where `[config]` may start from a shipped training recipe or a file (`base`) and change some of it.
`resolve` adds the digests of what this workspace holds, and refuses a test set that the choice or the training has seen.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from tunix_rt import comparisons, datasets, errors, recipes, runs, traces, values
from tunix_rt.comparisons import Direction
from tunix_rt.jobs import Device, FolderName, TrainConfig
from tunix_rt.runs import Evaluate, TrainSpec
from tunix_rt.settings import Settings
from tunix_rt.sweeps import spaces
from tunix_rt.sweeps.spaces import Params, Space
from tunix_rt.values import Value

LARGEST_GRID = 10_000
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,49}$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Objective(Value):
    """What trials are compared by, over the items of `val`: any metric that a gate can decide on. `direction` follows the
    metric unless it is given."""

    metric: str = "strict"
    direction: Direction | None = None

    @property
    def better(self) -> Direction:
        return self.direction or comparisons.METRICS[self.metric]


class Tpe(Value):
    """Tree-structured Parzen estimator (Bergstra et al. 2011) once `startup` trials, drawn at random, have ended. Trials under
    way count as bad ones (the constant liar), so that those side by side differ."""

    kind: Literal["tpe"]
    seed: Seed = 0
    startup: int = Field(default=10, ge=1, le=1000)


class Random(Value):
    """Each trial is drawn for itself."""

    kind: Literal["random"]
    seed: Seed = 0


class Grid(Value):
    """Every point once, in an order drawn with the seed; a range is stood for by its `points`."""

    kind: Literal["grid"]
    seed: Seed = 0


class Median(Value):
    """Stop a trial whose best held-out loss so far is above the median of what completed trials had after as many tokens.

    Nothing is stopped before `startup` trials have completed, nor before `warmup` of the tokens of the shortest of them.
    """

    kind: Literal["median"]
    startup: int = Field(default=4, ge=1, le=1000)
    warmup: float = Field(default=0.25, ge=0, lt=1)


class Asha(Value):
    """Asynchronous successive halving (Li et al. 2020): at each rung only the best 1 in `reduction` of those that have come so
    far go on. The rungs are the tokens of the shortest completed trial, divided by `reduction` up to `rungs` times."""

    kind: Literal["asha"]
    reduction: int = Field(default=3, ge=2, le=16)
    rungs: int = Field(default=2, ge=1, le=8)


class Budget(Value):
    """At most so many trials; none is begun once so many hours have passed since the sweep was started."""

    trials: int = Field(ge=1, le=10_000)
    hours: float | None = Field(default=None, gt=0, le=100_000)


class Sweep(Value):
    """`config` is the training that is varied, and unless `default_first` is false also the first trial. Trials are chosen by
    what they do on `val`; the one that is chosen is asked `test`, once."""

    name: Name
    config: TrainConfig
    dataset: FolderName
    val: Evaluate
    test: Evaluate
    objective: Objective = Objective()
    space: Space = Field(min_length=1)
    sampler: Annotated[Tpe | Random | Grid, Field(discriminator="kind")] = Tpe(kind="tpe")
    pruner: Annotated[Median | Asha, Field(discriminator="kind")] | None = None
    budget: Budget
    parallel: int = Field(default=1, ge=1, le=256)
    default_first: bool = True
    device: Device = "auto"
    dataset_digest: Digest | None = None
    model_digest: Digest | None = None

    @property
    def sweep_id(self) -> str:
        """Named by content: the same sweep, started again, goes on."""
        return f"{self.name}-{self.digest[:8]}"

    def trial(self, settings: Settings, number: int, params: Params) -> TrainSpec:
        """What trial `number` trains, with the digests of everything it names."""
        config = spaces.applied(self.config, params).model_copy(update={"name": f"{self.name}-{number}"})
        spec = TrainSpec(
            config=config,
            model_digest=self.model_digest if config.model == self.config.model else None,
            dataset=self.dataset,
            dataset_digest=self.dataset_digest,
            device=self.device,
            group=self.sweep_id,
            evaluate=self.val,
        )
        resolved = runs.resolve(settings, spec)
        assert isinstance(resolved, TrainSpec)
        return resolved


def names() -> list[str]:
    """The sweeps that ship."""
    return recipes.names("sweeps")


def load(path: Path) -> Sweep:
    """A sweep from a TOML file; a mistake names the file, the field and the value."""
    return parse(values.read_toml(path), source=str(path), beside=path.parent)


def shipped(name: str) -> Sweep:
    return load(recipes.path("sweeps", name))


def parse(data: Mapping[str, Any], *, source: str, beside: Path | None = None) -> Sweep:
    """A sweep from a document; only one that lies `beside` other files may name one of them as the base of its config."""
    told = dict(data)
    config = told.get("config")
    if isinstance(config, dict) and "base" in config:
        told["config"] = _based(config, source, beside)
    if isinstance(told.get("space"), dict):
        told["space"] = {key: _flat_when(value) for key, value in spaces.flat(told["space"], "kind").items()}
    sweep = Sweep.parse(told, source=source)
    try:
        check(sweep)
    except errors.Invalid as mistake:
        raise errors.Invalid(f"{source}: {mistake.message}", source=source, **mistake.details) from mistake
    return sweep


def _flat_when(dimension: Any) -> Any:
    if isinstance(dimension, dict) and isinstance(dimension.get("when"), dict):
        return {**dimension, "when": spaces.flat(dimension["when"], None)}
    return dimension


def _based(config: dict[str, Any], source: str, beside: Path | None) -> dict[str, Any]:
    named = config["base"]
    if named in recipes.names("train"):
        path = recipes.path("train", named)
    elif beside is not None and isinstance(named, str) and named.endswith(".toml"):
        path = beside / named
    else:
        raise errors.Invalid(
            f"{source}: 'config.base': no training recipe {named!r}.{errors.nearest(str(named), recipes.names('train'))}",
            field="config.base",
        )
    return _merged(values.read_toml(path), {key: value for key, value in config.items() if key != "base"})


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    return below | {
        key: _merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
        for key, value in above.items()
    }


def check(sweep: Sweep) -> None:
    """Raise `errors.Invalid` for what no single field shows: a space that the config does not allow, a pruner with nothing to
    watch, a choice and a confirmation on the same items."""
    if sweep.objective.metric not in comparisons.METRICS:
        known = errors.nearest(sweep.objective.metric, comparisons.METRICS)
        text = f"'objective.metric': no metric {sweep.objective.metric!r}.{known}"
        raise errors.Invalid(text, field="objective.metric")
    if sweep.config.stages:
        raise errors.Invalid("'config.stages': a sweep trains on one dataset; leave the stages out.", field="config.stages")
    spaces.check(sweep.space, sweep.config)
    if sweep.default_first:
        spaces.own(sweep.space, sweep.config)
    if sweep.pruner is not None and sweep.config.validation is None:
        raise errors.Invalid(
            "'pruner' watches the loss on a held-out dataset; name one in 'config.validation', or leave the pruner out.",
            field="pruner",
        )
    if sweep.sampler.kind == "grid" and spaces.size_of_grid(sweep.space, LARGEST_GRID) == LARGEST_GRID:
        raise errors.Invalid(f"'space': a grid of {LARGEST_GRID:,} points or more; give fewer.", field="space")
    if sweep.val.evalset == sweep.test.evalset:
        raise errors.Invalid(
            f"'test.evalset': {sweep.test.evalset!r} is what trials are chosen by; confirm on items that the choice never saw.",
            field="test.evalset",
        )


def resolve(settings: Settings, sweep: Sweep) -> Sweep:
    """The sweep with its digests. Raises `errors.Invalid` when the test set shares a prompt with `val` or the training data,
    `errors.NotFound` for a name the workspace does not hold."""
    check(sweep)
    asked = TrainSpec(config=sweep.config, dataset=sweep.dataset, evaluate=sweep.val)
    val = runs.resolve(settings, asked)
    test = runs.resolve(settings, asked.model_copy(update={"evaluate": sweep.test}))
    assert isinstance(val, TrainSpec)
    assert isinstance(test, TrainSpec)
    held_out = _prompts(settings, sweep.test.evalset)
    validation = [sweep.config.validation.dataset] if sweep.config.validation else []
    for name in dict.fromkeys([sweep.val.evalset, sweep.dataset, *validation]):
        if shared := held_out & _prompts(settings, name):
            raise errors.Invalid(
                f"'test.evalset': {sweep.test.evalset!r} shares {len(shared)} prompts with {name!r}; a confirmation needs "
                "items that neither training nor choice has seen.",
                field="test.evalset",
                shared=len(shared),
            )
    pinned = {
        "dataset_digest": val.dataset_digest,
        "model_digest": val.model_digest,
        "val": val.evaluate,
        "test": test.evaluate,
    }
    return sweep.model_copy(update=pinned)


def _prompts(settings: Settings, name: str) -> set[str]:
    found = datasets.find(settings, name)
    return {datasets.canonical_prompt(trace.prompt) for trace in traces.read(found.path)}

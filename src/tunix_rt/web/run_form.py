"""`/runs/new`: a form made from the schema of a training config. What is filled in is in the address, so it can be sent on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.datastructures import FormData, ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tunix_rt import errors, jobs, models, recipes, runs
from tunix_rt.api.service import Here
from tunix_rt.jobs import Device, Lora, TrainConfig
from tunix_rt.runs import Evaluate, TrainSpec
from tunix_rt.web import mistakes, rendering, wording

router = APIRouter(include_in_schema=False)
Given = ImmutableMultiDict[str, Any]
OWN = ("config", "like", "dataset", "device", "max_steps")
LONG = {"instruction"}
LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """`kind` is how it is drawn; `hint` says what is allowed and what it is when left empty."""

    name: str
    label: str
    kind: Literal["text", "number", "select", "ticks", "long"]
    value: str
    values: tuple[str, ...]
    choices: tuple[str, ...]
    least: str | None
    most: str | None
    step: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    name: str
    fields: tuple[FormField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """`toml` is the config as a file for the command; `problem` says what does not fit."""

    configs: tuple[str, ...]
    config: str
    datasets: tuple[str, ...]
    dataset: str
    groups: tuple[Group, ...]
    toml: str
    problem: str


async def _form(request: Request) -> FormData:
    return await request.form()


@router.get("/runs/new")
def new(request: Request, here: Here) -> Response:
    given = request.query_params
    problem = ""
    if any("." in key for key in given):
        try:
            spec(given)
        except errors.Mistake as mistake:
            problem = mistakes.said(mistake, str(here.settings.home))
    return _shown(request, here, given, problem)


@router.post("/runs")
def submit(request: Request, here: Here, form: Annotated[FormData, Depends(_form)]) -> Response:
    try:
        asked = spec(form)
        if not (here.settings.models / asked.config.model / "manifest.json").is_file():
            with here.heavy():
                models.prepare(here.settings, asked.config.model)
        with here.store.unit_of_work() as connection:
            run = runs.submit(connection, runs.resolve(here.settings, asked))
    except (errors.Invalid, errors.NotFound, errors.Missing) as mistake:
        return _shown(request, here, form, mistakes.said(mistake, str(here.settings.home)), mistake.status)
    return RedirectResponse(f"/runs/{run.run_id}", 303)


def _shown(request: Request, here: Here, given: Given, problem: str, status: int = 200) -> Response:
    view = form_view(here, given, problem)
    command = wording.command("train", config=f"{view.config}.toml", dataset=view.dataset or "NAME", device=given.get("device"))
    return rendering.page(request, "run_form.html", view, title="New run", command=command, up="/runs", status=status)


def form_view(here: Here, given: Given, problem: str) -> FormView:
    config = start(here, given)
    there = tuple(sorted(path.parent.name for path in here.settings.datasets.glob("*/manifest.json")))
    shown = {**flat(config.model_dump(mode="json")), **evaluate_defaults(), **_filled(given)}
    if not given.get("dataset") and there:
        shown.setdefault("dataset", next((name for name in there if "eval" not in name), there[0]))
    toml = ""
    try:
        toml = jobs.config_text(TrainConfig.parse(nested(_config_part(given)), source="config"))
    except errors.Invalid:
        toml = jobs.config_text(config)
    return FormView(
        configs=tuple(recipes.names("train")),
        config=str(given.get("config") or config.name),
        datasets=there,
        dataset=str(shown.get("dataset", "")),
        groups=tuple(groups(shown, there)),
        toml=toml,
        problem=problem,
    )


def start(here: Here, given: Given) -> TrainConfig:
    """What the form begins with: the config of another run, a recipe that ships, or the smallest of them."""
    if like := given.get("like"):
        with here.store.reading() as connection:
            asked = runs.get(connection, str(like)).asked
        if isinstance(asked, TrainSpec):
            return asked.config
    return jobs.read_config(recipes.path("train", str(given.get("config") or "sft_tiny")))


def evaluate_defaults() -> dict[str, str]:
    return {"evaluate.max_new_tokens": str(Evaluate.model_fields["max_new_tokens"].default)}


def _filled(given: Given) -> dict[str, Any]:
    return {key: given.getlist(key) if key.endswith(".targets") else given.get(key) for key in given}


def groups(shown: Mapping[str, Any], there: tuple[str, ...]) -> Iterator[Group]:
    """One for each part of the config, in the order of its schema."""
    plain = [(name, info) for name, info in TrainConfig.model_fields.items() if name not in parts()]
    yield Group(name="Run", fields=(*fields("", plain, shown), *_own(shown)))
    yield Group(name="Tuning", fields=(_method(shown), *fields("tuning.", _of(Lora, "method"), shown)))
    for name, part in parts().items():
        if name != "tuning":
            yield Group(name=name.capitalize(), fields=tuple(fields(f"{name}.", _of(part), shown)))
    evaluated = [item for item in _of(Evaluate, "evalset_digest") if item[0] != "evalset"]
    held_out = select("evaluate.evalset", "evaluate on", ("", *there), shown, "when it is done; empty: not")
    yield Group(name="Evaluation", fields=(held_out, *fields("evaluate.", evaluated, shown)))


def parts() -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {"tuning": Lora}
    for name, info in TrainConfig.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found[name] = info.annotation
    return found


def _of(model: type[BaseModel], *without: str) -> list[tuple[str, FieldInfo]]:
    return [(name, info) for name, info in model.model_fields.items() if name not in without]


def _own(shown: Mapping[str, Any]) -> Iterator[FormField]:
    yield select("device", "device", get_args(Device), shown, "refused where it is absent")
    yield FormField(
        name="max_steps", label="max steps", kind="number", value=str(shown.get("max_steps") or ""), values=(), choices=(),
        least="1", most=None, step="1", hint="a smoke run: stop after so many, schedule unchanged",
    )  # fmt: skip


def _method(shown: Mapping[str, Any]) -> FormField:
    return select(
        "tuning.method", "method", ("lora", "full"), shown, "full trains every weight; the rest of this part is LoRA's"
    )


def select(name: str, label: str, choices: Sequence[str], shown: Mapping[str, Any], hint: str) -> FormField:
    return FormField(
        name=name, label=label, kind="select", value=str(shown.get(name) or ""), values=(), choices=tuple(choices), least=None,
        most=None, step="", hint=hint,
    )  # fmt: skip


def fields(prefix: str, found: Iterable[tuple[str, FieldInfo]], shown: Mapping[str, Any]) -> Iterator[FormField]:
    for name, info in found:
        key = prefix + name
        if key == "model":
            hint = "; ".join(f"{name}: {source.about}" for name, source in models.SOURCES.items())
            yield select(key, "model", tuple(models.SOURCES), shown, wording.short(hint, 90))
        else:
            yield field(key, info, shown.get(key))


def field(key: str, info: FieldInfo, value: Any) -> FormField:
    """How one field of the schema is drawn: its type decides, its bounds are told."""
    name = key.rpartition(".")[2]
    kinds = {get_origin(info.annotation), info.annotation, *get_args(info.annotation)}
    choices = _choices(info.annotation)
    kind: Literal["text", "number", "ticks", "long"] = "text"
    if tuple in kinds:
        kind = "ticks"
    elif int in kinds or float in kinds:
        kind = "number"
    elif name in LONG:
        kind = "long"
    least, most = _bounds(info)
    return FormField(
        name=key,
        label=name.replace("_", " "),
        kind=kind,
        value="" if value is None or isinstance(value, list) else str(value),
        values=tuple(map(str, value)) if isinstance(value, list | tuple) else (),
        choices=choices,
        least=least,
        most=most,
        step="1" if int in kinds else "any",
        hint=_hint(info),
    )


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    return next(filter(None, map(_choices, get_args(annotation))), ())


def _limits(info: FieldInfo) -> dict[str, Any]:
    """Its bounds by their names in pydantic: ge, gt, le, lt."""
    return {name: getattr(rule, name) for rule in info.metadata for name in LIMITS if hasattr(rule, name)}


def _bounds(info: FieldInfo) -> tuple[str | None, str | None]:
    limits = _limits(info)
    return (str(limits["ge"]) if "ge" in limits else None), (str(limits["le"]) if "le" in limits else None)


def _hint(info: FieldInfo) -> str:
    told = ", ".join(f"{LIMITS[name]} {bound}" for name, bound in _limits(info).items())
    return f"{told}; empty: none" if told and info.default is None else told


def spec(given: Given) -> TrainSpec:
    """What the form asks for; `errors.Invalid` names the field that does not fit."""
    config = TrainConfig.parse(nested(_config_part(given)), source="form")
    data: dict[str, Any] = {"config": config}
    data |= {key: given[key] for key in ("dataset", "device", "max_steps") if given.get(key)}
    evaluated = nested({key: value for key, value in _filled(given).items() if key.startswith("evaluate.") and value})
    if evaluated.get("evaluate", {}).get("evalset"):
        data |= evaluated
    if "dataset" not in data:
        raise errors.Invalid("form: 'dataset' is missing; build one, or take in a file.", field="dataset")
    return TrainSpec.parse(data, source="form")


def _config_part(given: Given) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in _filled(given).items()
        if key not in OWN and not key.startswith("evaluate.") and value not in ("", [])
    }
    if kept.get("tuning.method") == "full":
        kept = {key: value for key, value in kept.items() if not key.startswith("tuning.") or key == "tuning.method"}
    return kept


def nested(found: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    made: dict[str, Any] = {}
    for key, value in found.items():
        *path, last = key.split(".")
        inner = made
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise errors.Invalid(f"form: {key!r} goes below a field that holds a value.", field=key)
        inner[last] = value
    return made


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in data.items():
        made |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return made

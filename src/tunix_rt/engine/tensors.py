"""Weights between Hub files and Tunix's models, both ways, each tensor accounted for.

Tunix's own loader only warns about a tensor it has no place for, and reads a whole file in the type of its first tensor. Here a
tensor without a place, a place without a tensor and a wrong size are errors, so what is loaded is the model in the file.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np
from flax import nnx
from tunix.utils.torch_utils import torch_key_to_jax_key

from tunix_rt import errors
from tunix_rt.engine import families
from tunix_rt.models.shapes import Shape

TYPES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "F16": np.float16}
_FUSED = re.compile(r"tmp\.layers\.(\d+)\.attn\.([qkv])")
_DERIVED = re.compile(r".*rotary_emb\.inv_freq")


class Place(NamedTuple):
    """Where a Hub tensor lives: the parameter's dotted path, its piece of a fused parameter, and how to turn it.

    Hub to Tunix: transpose if `turned`, reshape to `shape` if any, then `order` the axes.
    """

    path: str
    piece: int | None = None
    turned: bool = False
    shape: tuple[int, ...] | None = None
    order: tuple[int, ...] | None = None

    def inwards(self, array: np.ndarray) -> np.ndarray:
        array = array.T if self.turned else array
        array = array.reshape(self.shape) if self.shape else array
        return array.transpose(self.order) if self.order else array

    def outwards(self, parameter: np.ndarray) -> np.ndarray:
        """The Hub tensor of a parameter's value; the inverse of `inwards`."""
        array = parameter if self.piece is None else parameter[self.piece]
        array = array.transpose(tuple(np.argsort(self.order))) if self.order else array
        if self.turned and self.shape:
            array = array.reshape(_rows(self), -1)
        return array.T if self.turned else array


def _rows(place: Place) -> int:
    """Size of the input side of a projection: the first axis, or, of the output projection, heads and head_dim."""
    shape = place.shape or ()
    return math.prod(shape[:-1]) if place.path.endswith(("o_proj.w", "attn_vec_einsum.w")) else shape[0]


def place(name: str, shape: Shape, config: Any) -> Place | None:
    """Where the Hub tensor `name` goes; None when the family has no place for it."""
    try:
        path, turn = torch_key_to_jax_key(families.names(shape, config), name)
    except ValueError:
        return None
    turned, size = (turn[0] is not None, turn[1]) if turn else (False, None)
    fused = _FUSED.fullmatch(path)
    if fused is None:
        return None if path.startswith("unused") else Place(path, turned=turned, shape=size)
    layer, which = fused.groups()
    if shape.heads == shape.kv_heads:
        return Place(f"layers.{layer}.attn.qkv_einsum.w", "qkv".index(which), turned, size, (1, 0, 2))
    if which == "q":
        return Place(f"layers.{layer}.attn.q_einsum.w", None, turned, size, (1, 0, 2))
    return Place(f"layers.{layer}.attn.kv_einsum.w", "kv".index(which), turned, size, (1, 0, 2))


def read(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of the folder's safetensors files, mapped, not copied."""
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(size))
        data = np.memmap(file, np.uint8, "r", offset=8 + size)
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if entry["dtype"] not in TYPES:
                raise errors.Invalid(f"{file}: tensor {name!r} has type {entry['dtype']!r}; known: {', '.join(TYPES)}.")
            begin, end = entry["data_offsets"]
            yield name, data[begin:end].view(TYPES[entry["dtype"]]).reshape(entry["shape"])


def load(folder: Path, shape: Shape, dtype: Any) -> nnx.Module:
    """The model of a Hub folder on the first device here; `errors.Invalid` names a tensor without a place, or the reverse."""
    config = families.configure(shape)
    build = getattr(families.module(shape.family), families.PARTS[shape.family].model)
    model = nnx.eval_shape(lambda: build(config, rngs=nnx.Rngs(params=0)))
    definition, state = nnx.split(model)
    wanted = {".".join(map(str, path)): variable for path, variable in nnx.to_flat_state(state)}
    filled: dict[str, dict[int | None, np.ndarray]] = {}
    tensors = dict(read(folder))
    for name, array in tensors.items():
        spot = place(name, shape, config)
        if spot is None or spot.path not in wanted:
            _spare(name, tensors, shape, folder)
        else:
            filled.setdefault(spot.path, {})[spot.piece] = spot.inwards(array)
    device = jax.local_devices()[0]
    for path, variable in wanted.items():
        array = _joined(filled.get(path, {}), path, variable.shape, folder)
        wanted[path].set_value(jax.device_put(array.astype(dtype), device))
    return nnx.merge(definition, state)


def _joined(pieces: dict[int | None, np.ndarray], path: str, shape: tuple[int, ...], folder: Path) -> np.ndarray:
    if not pieces:
        raise errors.Invalid(f"{folder}: no tensor for the weight {path!r} that its config asks for.", path=str(folder))
    array = pieces[None] if None in pieces else np.stack([piece for _, piece in sorted(pieces.items(), key=str)])
    if array.shape != shape:
        raise errors.Invalid(f"{folder}: weight {path!r} is {array.shape}, its config asks for {shape}.", path=str(folder))
    return array


def _spare(name: str, tensors: dict[str, np.ndarray], shape: Shape, folder: Path) -> None:
    """A tensor without a place is refused, unless it repeats the tied embedding or follows from the config."""
    if _DERIVED.fullmatch(name):
        return
    if name == "lm_head.weight" and shape.tied:
        embedding = next((array for key, array in tensors.items() if key.endswith("embed_tokens.weight")), None)
        if embedding is not None and np.array_equal(tensors[name], embedding):
            return
    raise errors.Invalid(f"{folder}: tensor {name!r} has no place in Tunix's {shape.family}.", path=str(folder), tensor=name)


def hub_names(folder: Path, shape: Shape) -> dict[str, Place]:
    """The place of each Hub tensor the folder's model is made of."""
    config = families.configure(shape)
    found = {name: place(name, shape, config) for name, _ in read(folder)}
    return {name: spot for name, spot in found.items() if spot and (spot.path != "lm_head.w" or not shape.tied)}

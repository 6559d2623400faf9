"""Whether a tokenizer is its model's: JAX reads the last row of an embedding for a token that has none, without a word."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tunix_rt import errors, values
from tunix_rt.models import shapes


def check(folder: Path) -> None:
    """`errors.Invalid` unless the model of a Hub-layout folder has every token of its tokenizer's vocabulary, and the tokenizer
    knows the ends of text in `config.json` as special.

    A model may have more rows than there are tokens. Added tokens may lie beyond them, as Gemma 3's for pictures does; a text
    that holds one is refused when it is encoded.
    """
    config, size = values.read_json(folder / "config.json"), shapes.of_folder(folder).vocab
    tokenizer = _tokenizer(folder / "tokenizer.json")
    if (highest := max(tokenizer.get_vocab(with_added_tokens=False).values(), default=0)) >= size:
        raise _refusal(folder, f"the tokenizer has the token {highest}, the model has {size}", "vocab_size")
    special = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    special |= {tokenizer.token_to_id(name) for name in _named(values.read_json(folder / "tokenizer_config.json"))}
    for key in ("bos_token_id", "eos_token_id"):
        given = config.get(key)
        for index in given if isinstance(given, list) else [given]:
            if index is not None and index not in special:
                text = tokenizer.id_to_token(index)
                raise _refusal(folder, f"{key!r} is {index}, which the tokenizer knows as {text!r}, no special token", key)


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # `tokenizers` raises nothing more special
        raise errors.Invalid(f"{path} is no tokenizer that can be read: {error}.", file=path.name) from error


def _named(told: dict[str, Any]) -> Iterator[str]:
    """The texts of tokens that `tokenizer_config.json` gives a part, as they are or with their properties."""
    for key, value in told.items():
        text = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(text, str):
            yield text


def _refusal(folder: Path, what: str, field: str) -> errors.Invalid:
    return errors.Invalid(
        f"{folder}: {what}: tokenizer and model do not belong together; take both from the same model.", field=field
    )

"""Text to tokens: one renderer for training and for inference, so that both see the same prefix byte for byte.

A training example is prefix + completion + end-of-turn; the prefix (instruction, question, start of the reply) is what
generation starts from, tokenised on its own so that no token straddles the border. Loss falls on the rest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from tunix_rt import errors
from tunix_rt.models import shapes, vocabularies
from tunix_rt.scoring import ReplyFormat, render
from tunix_rt.traces import Trace

_MARK = "reply-goes-here"


class Example(NamedTuple):
    """`tokens` of one trace; the first `prefix` of them are given, the rest are trained on."""

    id: str
    tokens: tuple[int, ...]
    prefix: int


@contextmanager
def _naming(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except errors.Invalid as mistake:
        raise errors.Invalid(f"{what} {name[:12]}: {mistake.message}", **{what: name}, **mistake.details) from mistake


class Prompts:
    """The tokenizer and chat template of one model folder.

    `end_of_turn` is the token the template writes after a reply (not always the tokenizer's end of text), `stops` every token
    that ends an answer. A template without a system role gets the instruction at the head of the question.
    """

    def __init__(self, model: Path, instruction: str, format: ReplyFormat = "numbered") -> None:
        """`errors.Invalid` for a tokenizer that is not the model's, and for a template that cannot be asked."""
        vocabularies.check(model)
        self._shape = shapes.of_folder(model)
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
        if not self._tokenizer.chat_template:
            raise errors.Invalid(f"{model}: the tokenizer has no chat template, so it is not known how to ask the model.")
        self._instruction = instruction
        self.format = format
        self._has_system = self._takes_system()
        self.end_of_turn = self._end_of_turn(model)
        self.stops = sorted({self.end_of_turn, *self._ids("eos_token_id", "pad_token_id")})

    def prefix(self, prompt: str) -> str:
        """What the model is shown before it replies."""
        return self._rendered(self._messages(prompt), add_generation_prompt=True)

    def question(self, item: str, prompt: str, new_tokens: int) -> list[int]:
        """The tokens that an answer to the item of an evaluation starts from. `errors.Invalid` names an item for which, with as
        many new tokens, there is no room in the model's context."""
        with _naming("item", item):
            given = self.encode(self.prefix(prompt))
            if len(given) + new_tokens > self.context:
                raise errors.Invalid(
                    f"{len(given)} tokens are asked and up to {new_tokens} may be answered, the model was made for "
                    f"{self.context} ('max_position_embeddings' in its config.json); lower 'max_new_tokens' or leave the item "
                    "out.",
                    field="max_new_tokens",
                )
            return given

    @property
    def context(self) -> int:
        """How many tokens the model was made for, question and reply together."""
        return self._shape.context

    def conversation(self, prompt: str, reply: str) -> str:
        """The whole exchange as the chat template writes it, the reply included."""
        return self._rendered([*self._messages(prompt), {"role": "assistant", "content": reply}])

    def _rendered(self, messages: list[dict[str, str]], **options: bool) -> str:
        """Rendered in jinja's sandbox. Templates that know a thinking mode are told whether replies have one."""
        options |= {"enable_thinking": self.format == "think"}
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, **options))

    def _takes_system(self) -> bool:
        try:
            rendered = self._rendered([{"role": "system", "content": _MARK}, {"role": "user", "content": "?"}])
        except TemplateError:
            return False
        return _MARK in rendered

    def _end_of_turn(self, model: Path) -> int:
        tail = self.conversation("?", _MARK).rpartition(_MARK)[2]
        tokens = self.encode(tail)
        special = set(self._tokenizer.added_tokens_decoder)
        if not tokens or tokens[0] not in special:
            raise errors.Invalid(
                f"{model}: after a reply the chat template writes {tail[:20]!r}, not a token that could end the answer.",
                field="chat_template",
            )
        return tokens[0]

    def reply(self, trace: Trace) -> str:
        """The text that is taught. A trace that the format cannot hold is `errors.Invalid`, naming it."""
        with _naming("trace", trace.id):
            return self._reply(trace)

    def _reply(self, trace: Trace) -> str:
        return render([step.content for step in trace.steps], trace.final_answer, self.format)

    def example(self, trace: Trace) -> Example:
        """`errors.Invalid` names a trace that the format or the model's vocabulary cannot hold."""
        with _naming("trace", trace.id):
            given = self.encode(self.prefix(trace.prompt))
            return Example(trace.id, (*given, *self.encode(self._reply(trace)), self.end_of_turn), len(given))

    def _ids(self, *names: str) -> list[int]:
        return [int(value) for name in names if (value := getattr(self._tokenizer, name)) is not None]

    def _messages(self, prompt: str) -> list[dict[str, str]]:
        if self._has_system:
            return [{"role": "system", "content": self._instruction}, {"role": "user", "content": prompt}]
        return [{"role": "user", "content": f"{self._instruction}\n\n{prompt}"}]

    def encode(self, text: str) -> list[int]:
        """`errors.Invalid` for a text with a token that the model has no embedding for; JAX would read another's."""
        tokens = list(self._tokenizer.encode(text, add_special_tokens=False))
        if tokens and max(tokens) >= self._shape.vocab:
            raise errors.Invalid(
                f"the text has the token {self._tokenizer.decode([max(tokens)])!r} ({max(tokens)}), the model has "
                f"{self._shape.vocab} tokens; take it out of the text.",
                field="tokenizer",
            )
        return tokens

    def decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def shown(self, tokens: list[int]) -> str:
        """Tokens as text, special ones included."""
        return str(self._tokenizer.decode(tokens, clean_up_tokenization_spaces=False))

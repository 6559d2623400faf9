"""Text to tokens: one renderer for training and for inference, so that both see the same prefix byte for byte.

A training example is prefix + completion + end-of-turn; the prefix (instruction, question, start of the reply) is what
generation starts from, tokenised on its own so that no token straddles the border. Loss falls on the rest.
"""

from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedTokenizerFast

from tunix_rt.scoring import format
from tunix_rt.traces import Trace


class Example(NamedTuple):
    """`tokens` of one trace; the first `prefix` of them are given, the rest are trained on."""

    id: str
    tokens: tuple[int, ...]
    prefix: int


class Prompts:
    """The tokenizer and chat template of one model folder."""

    def __init__(self, model: Path, instruction: str) -> None:
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
        self._instruction = instruction
        self.end_of_turn = int(self._tokenizer.eos_token_id)
        self.stops = sorted({self.end_of_turn, *self._ids("eos_token_id", "pad_token_id")})

    def prefix(self, prompt: str) -> str:
        """What the model is shown before it replies."""
        return str(self._tokenizer.apply_chat_template(self._messages(prompt), tokenize=False, add_generation_prompt=True))

    def conversation(self, prompt: str, reply: str) -> str:
        """The whole exchange as the chat template writes it, the reply included."""
        messages = [*self._messages(prompt), {"role": "assistant", "content": reply}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False))

    def example(self, trace: Trace) -> Example:
        given = self.encode(self.prefix(trace.prompt))
        reply = format.render([step.content for step in trace.steps], trace.final_answer)
        return Example(trace.id, (*given, *self.encode(reply), self.end_of_turn), len(given))

    def _ids(self, *names: str) -> list[int]:
        return [int(value) for name in names if (value := getattr(self._tokenizer, name)) is not None]

    def _messages(self, prompt: str) -> list[dict[str, str]]:
        return [{"role": "system", "content": self._instruction}, {"role": "user", "content": prompt}]

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def shown(self, tokens: list[int]) -> str:
        """Tokens as text, special ones included."""
        return str(self._tokenizer.decode(tokens, clean_up_tokenization_spaces=False))

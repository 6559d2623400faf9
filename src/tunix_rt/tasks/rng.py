"""Draws that depend on (seed, task@version, level, k) and nothing else.

blake2b names the item's starting point, SplitMix64 (Steele, Lea, Flood 2014) walks from there, and a keyed Feistel
permutation gives small spaces that never repeat: item k is the same in any order, shard, process or PYTHONHASHSEED.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

from tunix_rt import errors

T = TypeVar("T")
_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_ROUNDS = 6


def _hash64(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


class Rng:
    """The random choices of item `k` of one stream."""

    __slots__ = ("_k", "_state", "_stream")

    def __init__(self, seed: int, stream: str, k: int) -> None:
        self._stream = f"{seed}/{stream}"
        self._k = k
        self._state = _hash64(f"{self._stream}/{k}")

    def below(self, n: int) -> int:
        """Uniform in 0..n-1 without modulo bias (Lemire 2019)."""
        while True:
            self._state = z = (self._state + _STEP) & _MASK
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK  # `_mix`, written out: this is the innermost loop
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
            product = (z ^ (z >> 31)) * n
            low = product & _MASK
            if low >= n or low >= (1 << 64) % n:  # the first test is the quick one
                return product >> 64

    def between(self, low: int, high: int) -> int:
        """Uniform in low..high, both included."""
        return low + self.below(high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def chance(self, part: int, whole: int) -> bool:
        return self.below(whole) < part

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """`count` different positions of `choices`, in random order: the first of a Fisher-Yates shuffle that notes what it
        has moved, since copying hundreds of words to take five would cost more than all the rest."""
        size, moved, chosen = len(choices), dict[int, int](), list[T]()
        for i in range(count):
            j = i + self.below(size - i)
            chosen.append(choices[moved.get(j, j)])
            moved[j] = moved.get(i, i)
        return chosen

    def unique(self, n: int) -> int:
        """Item k's place in a keyed permutation of 0..n-1: no two items of the stream get the same one."""
        if self._k >= n:
            raise errors.Invalid(f"{self._stream!r} has only {n} different items, and more were asked for.", capacity=n)
        return _permuted(_round_keys(self._stream), n, self._k)


@lru_cache(maxsize=256)
def _round_keys(stream: str) -> tuple[int, ...]:
    key = _hash64(stream)
    return tuple(_mix((key + i * _STEP) & _MASK) for i in range(1, _ROUNDS + 1))


def _permuted(round_keys: tuple[int, ...], n: int, index: int) -> int:
    """A Feistel network on the smallest even number of bits that holds n, walked until it lands below n."""
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    while True:
        left, right = index >> half, index & low
        for round_key in round_keys:
            z = right ^ round_key
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK  # `_mix` again
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
            left, right = right, left ^ ((z ^ (z >> 31)) & low)
        index = left << half | right
        if index < n:
            return index

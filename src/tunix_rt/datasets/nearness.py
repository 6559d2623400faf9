"""Near-duplicate texts: MinHash and banding propose pairs, and the real Jaccard similarity of each pair decides.

A text is its set of character 5-grams. Whatever is reported as near has been verified, so it is true; what may be missed is a
matter of recall, for which `bands` sets a floor. Nothing depends on PYTHONHASHSEED. Memory: about 300 bytes for each text; the
grams lie in an unnamed temporary file.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np
import rensa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]

GRAM = 5  # characters; a shorter text counts as one gram
THRESHOLD = 0.8
PERMUTATIONS = 128
RECALL = 0.99  # of pairs whose similarity is just the threshold, the share that some band must propose
_SEED, _WINDOW = 20_26, 4
_GRAM_BITS = 49  # of a gram's hash; the other bits of a 64-bit key number the pairs verified together
_TEXTS, _CHARS = 4_096, 1_000_000  # at most, in a batch
_PAIRS, _ELEMENTS = 1 << 14, 4_000_000  # at most, verified together


class Pair(NamedTuple):
    """Positions of two texts, the smaller first, and their verified similarity."""

    first: int
    second: int
    jaccard: float


class Clusters(NamedTuple):
    """`labels` has, for each text, the position of the first text of its cluster; `pairs` are what connects them."""

    labels: Ints
    pairs: tuple[Pair, ...]


class Sketches(NamedTuple):
    """One row for each text: its band hashes, and the low byte of every MinHash for a first estimate of similarity."""

    bands: Hashes
    bytes: NDArray[np.uint8]


class GramSets(NamedTuple):
    """Texts as sets: the sorted distinct gram hashes of one after the other, and the offsets where each begins and ends."""

    grams: Hashes
    offsets: Ints

    def take(self, which: Ints) -> "GramSets":
        starts, lengths = self.offsets[which], np.diff(self.offsets)[which]
        offsets = _offsets(lengths)
        return GramSets(self.grams[np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)], offsets)


def clusters(texts: Iterable[str], threshold: float = THRESHOLD) -> Clusters:
    """Texts connected by pairs of at least the threshold's similarity.

    Within a bucket of proposed texts each is compared with its four nearest in an order that puts texts together which agree on
    one more band, so that a hundred thousand items of one template cost no more than others.
    """
    with tempfile.TemporaryFile() as file:
        sketches, sets = _keep(texts, threshold, file)
        hashes = sketches.bands
        count, width = hashes.shape
        labels: Ints = np.arange(count)
        found: list[tuple[Ints, Floats]] = [(np.empty((0, 2), dtype=np.int64), np.empty(0))]
        for band in range(width):
            order = np.lexsort((hashes[:, (band + 1) % width], hashes[:, band]))
            for step in range(1, _WINDOW + 1):
                pairs = _proposed(hashes[order, band], order, step, labels)
                pairs = pairs[_promising(sketches, pairs[:, 0], sketches, pairs[:, 1], threshold)]
                similar = jaccard(sets, pairs[:, 0], sets, pairs[:, 1])
                enough = similar >= threshold
                if enough.any():
                    found.append((pairs[enough], similar[enough]))
                    labels = connected(np.concatenate([edges for edges, _ in found]), count)
        edges = np.concatenate([edges for edges, _ in found]).tolist()
        values = np.concatenate([values for _, values in found]).tolist()
        return Clusters(labels, tuple(sorted(Pair(a, b, value) for (a, b), value in zip(edges, values, strict=True))))


def near(held: Iterable[str], others: Iterable[str], threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """For each held text, whether one of the others is at least that similar. Of the others only a batch is kept at a time."""
    with tempfile.TemporaryFile() as file:
        sketches, sets = _keep(held, threshold, file)
        decided = np.zeros(len(sketches.bands), dtype=np.bool_)
        orders = np.argsort(sketches.bands, axis=0, kind="stable")
        for batch in _batches(others):
            theirs = gram_sets(batch)
            sketched = sketch(theirs, threshold)
            for band in range(orders.shape[1]):
                order = orders[:, band]
                for mine, other in _meetings(sketches.bands[order, band], order, sketched.bands[:, band], decided):
                    likely = _promising(sketches, mine, sketched, other, threshold)
                    mine, other = mine[likely], other[likely]
                    decided[mine[jaccard(sets, mine, theirs, other) >= threshold]] = True
        return decided


def bands(threshold: float) -> tuple[int, int]:
    """(bands, hashes in each): the longest bands that still propose RECALL of the pairs at the threshold."""
    longest = max(size for size in range(1, PERMUTATIONS + 1) if 1 - (1 - threshold**size) ** (PERMUTATIONS // size) >= RECALL)
    return PERMUTATIONS // longest, longest


def gram_sets(texts: Sequence[str]) -> GramSets:
    padded = [text.ljust(GRAM, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text in padded], dtype=np.int64)
    starts = np.arange(max(len(codes) - GRAM + 1, 0))
    row = np.repeat(np.arange(len(texts)), lengths)[: len(starts)]
    inside = starts + GRAM <= np.cumsum(lengths)[row]
    hashed = np.zeros(len(starts), dtype=np.uint64)
    for at in range(GRAM):
        hashed = _mixed(hashed ^ codes[at : at + len(starts)])
    row, hashed = row[inside], hashed[inside] >> np.uint64(64 - _GRAM_BITS)
    order = np.lexsort((hashed, row))
    row, hashed = row[order], hashed[order]
    fresh = np.ones(len(row), dtype=np.bool_)
    fresh[1:] = (row[1:] != row[:-1]) | (hashed[1:] != hashed[:-1])
    return GramSets(hashed[fresh], _offsets(np.bincount(row[fresh], minlength=len(texts))))


def sketch(sets: GramSets, threshold: float) -> Sketches:
    count, size = bands(threshold)
    made = rensa.RMinHash.digest_matrix_from_flat_token_hashes(sets.grams, sets.offsets.astype(np.uint64), count * size, _SEED)
    digests = np.array(made.to_rows(), dtype=np.uint64).reshape(-1, count, size)
    hashed = np.zeros(digests.shape[:2], dtype=np.uint64)
    for at in range(size):
        hashed = _mixed(hashed ^ digests[:, :, at])
    return Sketches(hashed, digests.reshape(len(digests), count * size).astype(np.uint8))


def _promising(first: Sketches, a: Ints, second: Sketches, b: Ints, threshold: float) -> NDArray[np.bool_]:
    """Which pairs to verify: all but those whose MinHashes agree three standard deviations less than at the threshold."""
    width = first.bytes.shape[1]
    least = width * threshold - 3 * (width * threshold * (1 - threshold)) ** 0.5
    agreeing = [
        np.count_nonzero(first.bytes[a[low : low + _PAIRS]] == second.bytes[b[low : low + _PAIRS]], axis=1)
        for low in range(0, len(a), _PAIRS)
    ]
    return np.concatenate(agreeing) >= least if agreeing else np.zeros(0, dtype=np.bool_)


def jaccard(first: GramSets, a: Ints, second: GramSets, b: Ints) -> Floats:
    """The similarity of each pair: text a[i] of the first with text b[i] of the second."""
    sizes = np.diff(first.offsets)[a] + np.diff(second.offsets)[b]
    pieces = []
    for low, high in _pieces(sizes):
        keys = np.concatenate([_numbered(first.take(a[low:high])), _numbered(second.take(b[low:high]))])
        keys.sort()
        shared = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(_GRAM_BITS)
        common = np.bincount(shared.astype(np.int64), minlength=high - low)
        pieces.append(common / (sizes[low:high] - common))
    return np.concatenate(pieces) if pieces else np.empty(0)


def _numbered(sets: GramSets) -> Hashes:
    """Each gram with the number of its text above it, so that only grams of one pair are ever equal."""
    rows = np.repeat(np.arange(len(sets.offsets) - 1, dtype=np.uint64), np.diff(sets.offsets))
    return (rows << np.uint64(_GRAM_BITS)) | sets.grams


def _pieces(sizes: Ints) -> Iterator[tuple[int, int]]:
    """Slices of at most _PAIRS pairs, and of _ELEMENTS grams unless one pair alone has more."""
    sums, low = np.cumsum(sizes), 0
    while low < len(sizes):
        before = sums[low - 1] if low else 0
        high = int(np.searchsorted(sums, before + _ELEMENTS, side="right"))
        high = min(max(high, low + 1), low + _PAIRS, len(sizes))
        yield low, high
        low = high


def _proposed(column: Hashes, order: Ints, step: int, labels: Ints) -> Ints:
    """Pairs of texts `step` apart in the order that share a bucket and no cluster yet, as rows of two."""
    one, other = order[:-step], order[step:]
    open_ = (column[:-step] == column[step:]) & (labels[one] != labels[other])
    return np.stack([np.minimum(one, other)[open_], np.maximum(one, other)[open_]], axis=1)


def connected(edges: Ints, count: int) -> Ints:
    """For each text the first position of its component."""
    from scipy.sparse import coo_array  # noqa: PLC0415  # a quarter of a second that only this needs
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    values = np.ones(len(edges), dtype=np.int8)
    _, parts = connected_components(coo_array((values, (edges[:, 0], edges[:, 1])), shape=(count, count)), directed=False)
    _, first = np.unique(parts, return_index=True)
    return np.asarray(first[parts], dtype=np.int64)


def _meetings(column: Hashes, order: Ints, theirs: Hashes, decided: NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
    """(held, other) positions that share a bucket, piece by piece; held texts decided meanwhile are left out."""
    low = np.searchsorted(column, theirs, side="left")
    counts = np.searchsorted(column, theirs, side="right") - low
    for start, end in _pieces(counts):
        lengths = counts[start:end]
        within = np.arange(lengths.sum()) - np.repeat(_offsets(lengths)[:-1], lengths)
        held = order[np.repeat(low[start:end], lengths) + within]
        other = np.repeat(np.arange(start, end), lengths)
        open_ = ~decided[held]
        yield held[open_], other[open_]


def _keep(texts: Iterable[str], threshold: float, file: IO[bytes]) -> tuple[Sketches, GramSets]:
    """Sketches of all texts in memory, their grams in the file."""
    none = sketch(gram_sets([]), threshold)
    sketched, lengths = [none], [np.empty(0, dtype=np.int64)]
    for batch in _batches(texts):
        sets = gram_sets(batch)
        file.write(sets.grams.tobytes())
        sketched.append(sketch(sets, threshold))
        lengths.append(np.diff(sets.offsets))
    file.flush()
    offsets = _offsets(np.concatenate(lengths))
    grams = np.memmap(file, dtype=np.uint64, mode="r") if offsets[-1] else np.empty(0, dtype=np.uint64)
    hashes, low = (np.concatenate(parts) for parts in zip(*sketched, strict=True))
    return Sketches(hashes, low), GramSets(grams, offsets)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for text in texts:
        batch.append(text)
        chars += len(text)
        if len(batch) == _TEXTS or chars >= _CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def _mixed(value: Hashes) -> Hashes:
    """The SplitMix64 step (Steele, Lea and Flood, 2014), on whole arrays."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))

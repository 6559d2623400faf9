"""Cards with a front and a back: a question and its answer, without the reasoning between them."""

from typing import Any

from tunix_rt.formats import Format, Reply, Row
from tunix_rt.formats.core import body, text, without


def _read(row: Row) -> dict[str, Any]:
    return body(text(row, "front"), Reply((), text(row, "back")), without(row, "front", "back"))


FORMAT = Format("flashcards", "front and back of a card", lambda row: "front" in row and "back" in row, _read)

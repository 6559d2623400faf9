"""A silent tour of a finished demo as a WebM film: `make tour HOME_OF_DEMO=DIR`.

The browser sends a picture whenever the page changes; each is shown until the next, over a line that says what is seen.
"""

import base64
import io
import itertools
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from browsing import Watched
from PIL import Image, ImageDraw, ImageFont
from shots import shown

OUT = Path(__file__).parents[2] / "tour.webm"
WIDTH, HEIGHT, BAND, RATE = 1280, 720, 48, 12  # pixels and pictures a second
LOOKED_AT = 4.0  # seconds that a page is looked at, then scrolled


class Picture(NamedTuple):
    at: float
    jpeg: bytes
    says: str


class Camera:
    """Collects what the browser shows; `says` is the line under it."""

    def __init__(self, watched: Watched) -> None:
        self.page, self.says, self.pictures = watched.page, "", list[Picture]()
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT - BAND})
        self._browser = watched.context.new_cdp_session(self.page)
        self._browser.on("Page.screencastFrame", self._taken)
        self._browser.send("Page.startScreencast", {"format": "jpeg", "quality": 95})

    def _taken(self, frame: dict[str, Any]) -> None:
        self.pictures.append(Picture(time.monotonic(), base64.b64decode(frame["data"]), self.says))
        self._browser.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def look(self, watched: Watched, address: str, says: str) -> None:
        """At the page from its top; what does not fit is scrolled by."""
        self.says = says
        watched.goto(address).wait_for_timeout(LOOKED_AT * 1000)
        more = self.page.evaluate("document.documentElement.scrollHeight - innerHeight")
        for _ in range(min(int(more), 1_200) // 12):
            self.page.mouse.wheel(0, 12)
            self.page.wait_for_timeout(40)
        self.page.wait_for_timeout(1_000 if more > 0 else 0)

    def end(self) -> list[Picture]:
        self._browser.send("Page.stopScreencast")
        return [*self.pictures, self.pictures[-1]._replace(at=time.monotonic())]


def film(pictures: list[Picture], out: Path) -> None:
    """VP9 at a constant rate."""
    with av.open(str(out), "w", format="webm") as container:
        stream = container.add_stream(
            "libvpx-vp9", rate=RATE, options={"crf": "34", "b": "0", "deadline": "good", "cpu-used": "5"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        done = 0
        for picture, following in itertools.pairwise(pictures):
            until = round((following.at - pictures[0].at) * RATE)
            frame = av.VideoFrame.from_image(captioned(picture))
            for number in range(done, until):
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            done = until
        container.mux(stream.encode())


def captioned(picture: Picture) -> Image.Image:
    whole = Image.new("RGB", (WIDTH, HEIGHT), "#1d2125")
    whole.paste(Image.open(io.BytesIO(picture.jpeg)).resize((WIDTH, HEIGHT - BAND)), (0, 0))
    font = ImageFont.load_default(20)
    ImageDraw.Draw(whole).text((24, HEIGHT - BAND / 2), picture.says, fill="#fbfbf9", font=font, anchor="lm")
    return whole


def main(demo: Path) -> None:
    with shown(demo) as (watched, ids):
        camera, run = Camera(watched), ids["run"]
        for address, says in (
            ("/", "tunix-rt: from a prompt to evidence, on one page"),
            ("/traces?source=sft_demo", "What the tuned model answered: a strip of steps for every trace, each step checked"),
            ("/traces?source=sft_demo&verdict=wrong", "Wrong steps are found and named, even under a right answer"),
            ("/datasets/dev-reasoning-v2", "The dataset: made from a recipe, the same bytes everywhere"),
            (f"/runs/{run}", "The training run: LoRA on SmolLM2-135M with Tunix, on a laptop's processor"),
            (f"/runs/{run}/config", "What exactly was trained, and the command that does it again"),
            (f"/compare?run={run}", "Is it better than its base? The same items, in pairs, with intervals"),
            (f"/compare/items?run={run}&show=fixed", "Item by item, side by side: what it got right that its base did not"),
            (f"/compare/items?run={run}&show=broken", "... and what it broke"),
            ("/leaderboard", "What cannot be told apart shares a rank"),
            (f"/evidence/{run}?depth=1", "One file of evidence: every number worked out again from what it holds"),
        ):
            camera.look(watched, address, says)
        pictures = camera.end()
    film(pictures, OUT)
    sys.stdout.write(f"{OUT.name}: {pictures[-1].at - pictures[0].at:.0f} s, {OUT.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

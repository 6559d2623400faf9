"""The verifier that reasoning-gym has for an item accepts the stated answer: some questions have several right ones."""

from typing import Literal

from tunix_rt.scoring.answers import normalise
from tunix_rt.scoring.extraction import stated
from tunix_rt.scoring.scorers.core import Case, Scored, scored, unanswered
from tunix_rt.tasks import gym
from tunix_rt.values import Value


class Gym(Value):
    """For items of `gym:` tasks. Right when the verifier gives the answer, as stated or normalised, its whole mark of 1;
    `details.mark` is the mark. An answer that the verifier would run as code is not graded."""

    name: Literal["gym"] = "gym"
    version: Literal[1] = 1

    def applies(self, case: Case) -> bool:
        """Missing when the package is not here."""
        return gym.is_item(case.reference) and bool(gym.version())

    def ready(self) -> None:
        gym.library()

    def score(self, case: Case) -> Scored:
        answer = stated(case.output, case.finish, case.form)
        if answer is None:
            return unanswered(case).model_copy(update={"details": {"mark": 0.0}})
        mark = gym.mark(case.reference, (answer, normalise(answer)))
        return scored(case, "correct" if mark == 1 else "wrong", answer, mark=mark)

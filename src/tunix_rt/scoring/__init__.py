"""3b  How one answer is judged: pure functions of (expected answer, output, finish reason), and the counts of many."""

from tunix_rt.scoring.answers import normalise, same
from tunix_rt.scoring.format import Parsed, ReplyFormat, parse_strict, render
from tunix_rt.scoring.judging import Finish, Judgement, Outcome, judge
from tunix_rt.scoring.summary import Prediction, ScoreRow, Summary, Tally, score, summarise, tally

__all__ = [
    "Finish",
    "Judgement",
    "Outcome",
    "Parsed",
    "Prediction",
    "ReplyFormat",
    "ScoreRow",
    "Summary",
    "Tally",
    "judge",
    "normalise",
    "parse_strict",
    "render",
    "same",
    "score",
    "summarise",
    "tally",
]

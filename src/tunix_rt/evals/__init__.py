"""5  Evaluations: predictions -> scores -> summary; scored again as often as wanted, cut by what their items are, counted.

`evaluations` is one evaluation from question to summary; every other module reads what it left and generates nothing; only
`judging` asks a model, about the answers.
"""

from tunix_rt.evals.accepting import Accepted, accepted
from tunix_rt.evals.attempts import attempts
from tunix_rt.evals.checks import Checked, Problem, check_file
from tunix_rt.evals.contamination import Contamination, contamination
from tunix_rt.evals.evaluations import find, of_run, prepare, question, score
from tunix_rt.evals.imports import SOURCE, Wanted, import_log
from tunix_rt.evals.judging import Generate, Refused, judge
from tunix_rt.evals.looks import Look, looks
from tunix_rt.evals.rescoring import Rescored, cases, latest, rescore
from tunix_rt.evals.scorecards import FACETS, Line, scorecard

__all__ = [
    "FACETS", "SOURCE", "Accepted", "Checked", "Contamination", "Generate", "Line", "Look", "Problem", "Refused", "Rescored",
    "Wanted", "accepted", "attempts", "cases", "check_file", "contamination", "find", "import_log", "judge", "latest", "looks",
    "of_run", "prepare", "question", "rescore", "score", "scorecard",
]  # fmt: skip

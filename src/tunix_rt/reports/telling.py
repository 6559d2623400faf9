"""What a study's tables say, in sentences that follow from them alone: nothing here is an opinion."""

from tunix_rt.studies import BASE, Contrast, Findings, Study

_SAID = {
    "better": "is better than",
    "worse": "is worse than",
    "equivalent": "is within the margin of",
    "cannot tell": "cannot be told from",
}


def answers(findings: Findings, study: Study) -> list[str]:
    """One sentence for every planned comparison that decided something, then what is format, then what always saying the same
    would reach."""
    decided = [one for one in findings.contrasts if one.verdict != "cannot tell"]
    lines = [_sentence(one) for one in decided] or ["No planned comparison decided anything at this size."]
    for name, question in study.questions.items():
        if {"strict", "lenient"} <= set(question.metrics):
            lines += [_format(findings, name, arm) for arm in study.arms]
        if question.metric == "detection":
            lines += [_beyond_chance(findings, name, arm) for arm in (BASE, *study.arms)]
    return lines


def _sentence(one: Contrast) -> str:
    low, high = one.ci95
    return (
        f"{one.question}: **{one.arm}** {_SAID[one.verdict]} {one.reference}, {100 * one.difference:+.1f} points "
        f"({100 * low:+.1f} to {100 * high:+.1f}, Holm-adjusted p {one.p_adjusted:.2g})."
    )


def _format(findings: Findings, question: str, arm: str) -> str:
    gained = {metric: _gain(findings, question, metric, arm) for metric in ("strict", "lenient")}
    between = 100 * (gained["strict"] - gained["lenient"])
    return (
        f"{question}: {arm} gains {100 * gained['strict']:+.1f} points over base by the strict reading and "
        f"{100 * gained['lenient']:+.1f} by the lenient one; the {between:.1f} between them are format, not ability."
    )


def _gain(findings: Findings, question: str, metric: str, arm: str) -> float:
    return findings.measure(question, metric, arm).value - findings.measure(question, metric, BASE).value


def _beyond_chance(findings: Findings, question: str, arm: str) -> str:
    found = findings.measure(question, "detection", arm)
    low, high = found.ci95
    if low > 0.5:
        told = "tells right attempts from wrong ones better than always saying the same"
    elif high < 0.5:
        told = "does worse than always saying the same, which needs no look at the attempt"
    else:
        told = "is not shown to do better than always saying the same, which reaches 50 %"
    return f"{question}: {arm} {told}: {100 * found.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})."


def limits(findings: Findings, study: Study) -> list[str]:
    """What this study is too small to say, and what it was not about."""
    open_ones = [one for one in findings.contrasts if one.verdict == "cannot tell"]
    lines = [
        f"{one.question}: whether {one.arm} differs from {one.reference} ({100 * one.difference:+.1f} points measured; "
        f"{100 * one.minimum_detectable_effect:.1f} would have been seen four times in five)."
        for one in open_ones
    ]
    lines += [_silent(findings, name, study) for name, one in study.questions.items() if one.metric == "detection"]
    config = study.config
    lines.append(
        f"Anything that {len(study.seeds)} seeds do not show: intervals are as wide as the little that is known of how "
        "much seeds differ makes them, so a difference that is not seen here may be there."
    )
    lines.append(
        f"Anything about other models, more than {config.steps} steps, other learning rates, or problems of other kinds: one "
        f"recipe of {config.model} was tried, and it was tuned for none of the arms."
    )
    return lines


def _silent(findings: Findings, question: str, study: Study) -> str:
    shares = [f"{arm} {100 * findings.measure(question, 'unanswered', arm).value:.0f} %" for arm in (BASE, *study.arms)]
    return (
        f"{question}: how much of a gain over an arm that often gives no answer is ability. What names neither a step nor none "
        f"counts as wrong ({', '.join(shares)}), so such a gain is partly form; what needs no form is the distance from 50 %."
    )

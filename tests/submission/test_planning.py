import pytest
from hypothesis import given
from hypothesis import strategies as st
from submitted import Smoked

from tunix_rt import errors, submission
from tunix_rt.submission import Measured

STEP = Measured(
    device="cpu:cpu",
    step_seconds=10.0,
    start_seconds=60.0,
    saving_seconds=5.0,
    evaluation_seconds=600.0,
    total_steps=1000,
    epochs=2,
    every_steps=5,
)


def test_a_plan_worked_out_by_hand() -> None:
    """An hour less 10 minutes margin, 10 of evaluation and 1 of start leaves 2340 s, at 11 s a step with its saving."""
    made = submission.plan(STEP, hours=1, margin_minutes=10, sessions=3)
    assert (made.steps_a_session, made.sessions_needed, made.steps, made.fits) == (212, 5, 636, False)
    assert made.train_hours == pytest.approx(2400 / 3600, abs=1e-4)
    assert made.epochs_that_fit == 1


def test_more_sessions_finish_the_run() -> None:
    made = submission.plan(STEP, hours=1, margin_minutes=10, sessions=5)
    assert made.fits
    assert (made.steps, made.epochs_that_fit) == (1000, 2)


def test_a_session_without_time_for_a_step_says_how_long_it_has_to_be() -> None:
    with pytest.raises(errors.Invalid, match="give --hours more") as caught:
        submission.plan(STEP, hours=0.3, margin_minutes=10, sessions=1)
    needed = caught.value.details["hours_needed"]
    assert submission.plan(STEP, hours=needed + 0.001, margin_minutes=10, sessions=1).steps_a_session == 1


@given(
    step=st.floats(0.01, 100),
    start=st.floats(0, 1000),
    saving=st.floats(0, 100),
    evaluating=st.floats(0, 5000),
    total=st.integers(1, 100_000),
    every=st.integers(1, 1000),
    hours=st.floats(0.01, 24),
    margin=st.floats(0, 60),
    sessions=st.integers(1, 10),
)
def test_no_plan_takes_more_than_its_sessions(
    step: float,
    start: float,
    saving: float,
    evaluating: float,
    total: int,
    every: int,
    hours: float,
    margin: float,
    sessions: int,
) -> None:
    measured = Measured(
        device="cpu",
        step_seconds=step,
        start_seconds=start,
        saving_seconds=saving,
        evaluation_seconds=evaluating,
        total_steps=total,
        epochs=1,
        every_steps=every,
    )
    try:
        made = submission.plan(measured, hours, margin, sessions)
    except errors.Invalid:
        assert 3600 * hours < 60 * margin + evaluating + start + step + saving / every
        return
    a_step = step + saving / every
    spent = 60 * margin + evaluating + start + made.steps_a_session * a_step
    assert spent <= 3600 * hours * (1 + 1e-9)
    assert made.fits == (made.sessions_needed <= sessions) == (made.steps == total)
    assert 3600 * made.train_hours >= start + made.steps_a_session * a_step - 1


def test_a_plan_is_measured_on_the_real_thing(smoked: Smoked) -> None:
    plan = smoked.plan
    measured = Measured.parse(plan["measured"], source="plan.json")
    assert measured.device.startswith("cpu")
    assert 0 < measured.step_seconds < measured.start_seconds
    assert measured.saving_seconds > 0
    assert measured.total_steps > 5
    assert submission.plan(measured, 8.5, 15, 1).model_dump(mode="json").items() <= plan.items()
    assert f"--max-hours {plan['train_hours']:g}" in smoked.said


def test_measuring_leaves_nothing_behind(smoked: Smoked) -> None:
    assert not list(smoked.settings.home.glob(".measure-*"))
    assert len(list(smoked.settings.runs.iterdir())) == 1

"""What has been computed is not computed again, and what is forgotten is."""

from __future__ import annotations

from optuna.trial import create_trial

from autotune.search.curves.cache import OfFinished, Recent


def test_a_result_is_made_once_for_a_key_and_again_when_it_was_forgotten() -> None:
    made: list[int] = []
    recent: Recent[int] = Recent(2)

    def get(key: int) -> int:
        def make() -> int:
            made.append(key)
            return 10 * key

        return recent.get(key, make)

    assert [get(key) for key in (1, 2, 1, 3, 2, 1)] == [10, 20, 10, 30, 20, 10]
    assert made == [1, 2, 3, 1]


def test_two_trials_never_share_what_was_made_of_one() -> None:
    values: OfFinished[float | None] = OfFinished()
    seen = []
    for number in range(200):  # each is gone before the next comes, and leaves its place in memory
        trial = create_trial(value=float(number))
        seen.append(values.get(trial, "value", lambda trial=trial: trial.value))
        del trial
    assert seen == [float(number) for number in range(200)]

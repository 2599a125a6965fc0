"""A search knows what has been tried, in any space, and never says too early that this is everything."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.search.history import is_exhausted, rough_key, tried, twin
from autotune.search.history.domain import n_values, value_at
from autotune.search.history.exhaustion import all_tried, draw_untried
from autotune.search.history.tried_trials import Tried

Params = dict[str, Any]
Suggest = Callable[[str, BaseDistribution], Any]
Program = Callable[[Suggest], object]

NAN = float("nan")


def configurations(program: Program) -> list[FrozenTrial]:
    """List a complete trial for each configuration of a program."""
    found, begun = [], [[]]
    while begun:
        numbers = begun.pop()
        trial = run(program, numbers)
        found.append(trial)
        names = list(trial.distributions)
        for place in range(len(numbers), len(names)):  # where the first value was taken there are others
            above = numbers + [0] * (place - len(numbers))
            begun += [[*above, other] for other in range(1, n_values(trial.distributions[names[place]]) or 0)]
    return found


def run(program: Program, numbers: list[int]) -> FrozenTrial:
    """Answer a program with the values of these numbers, and then always with the first one."""
    params: Params = {}
    distributions: dict[str, BaseDistribution] = {}

    def suggest(name: str, distribution: BaseDistribution) -> Any:
        number = numbers[len(params)] if len(params) < len(numbers) else 0
        distributions[name] = distribution
        params[name] = value_at(distribution, number)
        return params[name]

    program(suggest)
    return create_trial(value=1.0, params=params, distributions=distributions)


def flat(suggest: Suggest) -> None:
    suggest("units", IntDistribution(16, 64, step=16))
    suggest("rate", FloatDistribution(0.1, 0.3, step=0.1))
    suggest("bias", CategoricalDistribution([True, False, None]))


def conditional(suggest: Suggest) -> None:
    suggest("fixed", FloatDistribution(0.5, 0.5))
    kind = suggest("kind", CategoricalDistribution(["none", "dropout", "noise"]))
    if kind == "dropout":
        suggest("rate", FloatDistribution(0.1, 0.5, step=0.2))
    elif kind == "noise" and suggest("learned", CategoricalDistribution([False, True])):
        suggest("rate", FloatDistribution(0.0, 1.0, step=0.5))  # the same name, another distribution
    suggest("layers", IntDistribution(1, 2))


def dependent(suggest: Suggest) -> None:
    first = suggest("first", IntDistribution(1, 4, log=True))
    suggest("second", IntDistribution(first, 4))


def single(suggest: Suggest) -> None:
    suggest("a", IntDistribution(3, 3))
    suggest("b", CategoricalDistribution([NAN]))


PROGRAMS = pytest.mark.parametrize(
    ("program", "total"), [(flat, 36), (conditional, 16), (dependent, 10), (single, 1)], ids=lambda x: str(x)[:20]
)


def random_program(seed: int) -> Program:
    """Make up a conditional space: which parameter comes next, and its distribution, depend on those before."""

    def program(suggest: Suggest) -> None:
        path: tuple[Any, ...] = ()
        left = ["a", "b", "c", "d"]
        while True:
            rng = random.Random(repr((seed, path)))
            if not left or (path and rng.random() < 0.25):
                return
            name = left.pop(rng.randrange(len(left)))
            distribution = rng.choice(
                [
                    IntDistribution(0, rng.randint(0, 2)),
                    CategoricalDistribution(["x", None, 2][: rng.randint(1, 3)]),
                    FloatDistribution(0.0, 0.1 * rng.randint(1, 2), step=0.1),
                ]
            )
            path += (name, suggest(name, distribution))

    return program


def shuffled(trials: list[FrozenTrial], rng: random.Random) -> list[FrozenTrial]:
    """Return the trials in another order, each with its parameters in another order."""
    return [reordered(t, rng) for t in rng.sample(trials, len(trials))]


def reordered(trial: FrozenTrial, rng: random.Random) -> FrozenTrial:
    names = rng.sample(sorted(trial.params), len(trial.params))
    return create_trial(
        value=1.0, params={n: trial.params[n] for n in names}, distributions={n: trial.distributions[n] for n in names}
    )


def prefixes(trials: list[FrozenTrial]) -> Iterator[Params]:
    for trial in trials:
        for length in range(len(trial.params) + 1):
            yield dict(list(trial.params.items())[:length])


def below(trials: list[FrozenTrial], params: Params) -> list[FrozenTrial]:
    return [t for t in trials if all(n in t.params and t.params[n] == v for n, v in params.items())]


@PROGRAMS
def test_a_space_is_exhausted_with_its_last_configuration_and_not_before(program: Program, total: int) -> None:
    trials = shuffled(configurations(program), random.Random(0))
    assert len(trials) == total
    assert is_exhausted(trials)
    assert is_exhausted([*trials, *trials])
    for missing in trials:
        assert not is_exhausted([t for t in trials if t is not missing])


@pytest.mark.parametrize("seed", range(60))
def test_what_is_left_to_try_in_any_space_is_known_exactly(seed: int) -> None:
    rng = random.Random(seed)
    every = configurations(random_program(seed))
    for share in (1.0, 0.9, 0.5):
        past = [t for t in every if rng.random() < share]
        mixed = shuffled(past, rng)
        assert is_exhausted(mixed) == (len(past) == len(every))
        for params in prefixes(every[:30]):
            assert all_tried(mixed, params) == (bool(past) and len(below(past, params)) == len(below(every, params)))


def test_an_endless_space_is_never_exhausted() -> None:
    kind, rate = CategoricalDistribution(["none", "rate"]), FloatDistribution(0, 1)
    none = create_trial(value=1.0, params={"kind": "none"}, distributions={"kind": kind})
    some = [
        create_trial(value=1.0, params={"kind": "rate", "rate": i / 99}, distributions={"kind": kind, "rate": rate})
        for i in range(99)
    ]
    assert not is_exhausted([none, *some])
    assert not is_exhausted(some)
    assert all_tried([none, *some], {"kind": "none"})
    assert not all_tried([none, *some], {"kind": "rate"})


def test_nothing_tried_exhausts_nothing() -> None:
    assert not is_exhausted([])
    assert not is_exhausted([create_trial(value=1.0)])  # without parameters there is no telling


def test_values_from_outside_the_space_do_not_count() -> None:
    distribution = IntDistribution(1, 3)
    trials = [create_trial(value=1.0, params={"n": n}, distributions={"n": IntDistribution(0, 9)}) for n in (1, 2, 9)]
    for trial in trials:
        trial.distributions["n"] = distribution  # as after `enqueue_trial({"n": 9})`
    assert not is_exhausted(trials)


def test_choices_that_python_holds_for_equal_are_not_confused_with_others() -> None:
    bools, numbers = CategoricalDistribution([True, False]), CategoricalDistribution([0, 1, 2])
    trials = [create_trial(value=1.0, params={"b": b}, distributions={"b": bools}) for b in (True, False)]
    assert is_exhausted(trials)
    trials = [create_trial(value=1.0, params={"b": b}, distributions={"b": numbers}) for b in (0, 1)]
    assert not is_exhausted(trials)
    confused = CategoricalDistribution([1, True])  # Optuna itself stores both as the first
    assert not is_exhausted([create_trial(value=1.0, params={"b": 1}, distributions={"b": confused})])


def failed(reason: str, params: Params, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=TrialState.FAIL, params=params, distributions=distributions, user_attrs={"failure": reason}
    )


UNITS, BATCH = IntDistribution(1, 2), IntDistribution(1, 2)
BOTH: dict[str, BaseDistribution] = {"units": UNITS, "batch": BATCH}


def complete(units: int, batch: int) -> FrozenTrial:
    return create_trial(value=1.0, params={"units": units, "batch": batch}, distributions=BOTH)


def test_a_trial_that_failed_before_all_its_parameters_stands_for_all_of_them() -> None:
    trials = [complete(1, 1), complete(1, 2), failed("oom", {"units": 2}, {"units": UNITS})]
    assert is_exhausted(trials)
    assert all_tried(trials, {"units": 2})
    assert all_tried(trials, {"units": 2, "batch": 1})


def test_a_trial_that_failed_early_where_another_went_on_stands_for_nothing() -> None:
    early = failed("oom", {"units": 2}, {"units": UNITS})
    trials = [complete(1, 1), complete(1, 2), early, complete(2, 1)]
    assert not is_exhausted(trials)
    assert not all_tried(trials, {"units": 2})
    assert is_exhausted([*trials, complete(2, 2)])


def test_only_failures_of_the_configuration_itself_count_as_tried() -> None:
    space: dict[str, BaseDistribution] = {"n": IntDistribution(0, 9)}
    ends = [failed(reason, {"n": n}, space) for n, reason in enumerate(["nan", "oom", "timeout", "error", "lost"])]
    ends += [create_trial(state=TrialState.FAIL, params={"n": 5}, distributions=space)]
    ends += [create_trial(value=1.0, params={"n": 6}, distributions=space)]
    ends += [create_trial(state=TrialState.PRUNED, params={"n": 7}, distributions=space)]
    ends += [create_trial(state=TrialState.RUNNING, params={"n": 8}, distributions=space)]
    ends += [create_trial(state=TrialState.WAITING)]
    assert [t.params["n"] for t in tried(ends)] == [0, 1, 2, 6, 7]


def test_a_running_trial_counts_once_it_has_all_its_parameters() -> None:
    def running(params: Params) -> FrozenTrial:
        return create_trial(state=TrialState.RUNNING, params=params, distributions={n: BOTH[n] for n in params})

    begun, whole = running({"units": 1}), running({"units": 1, "batch": 2})
    known = Tried()
    assert known.being_tried([begun, whole]) == []  # nobody knows what all parameters are
    known.learn(complete(1, 1))
    assert known.being_tried([begun, whole]) == [whole]


def test_all_values_that_are_left_are_drawn_equally_often() -> None:
    big = IntDistribution(1, 10**9)
    trials = [complete(1, 1), complete(1, 2), complete(2, 1)]
    rng = random.Random(0)
    assert {draw_untried(trials, {}, "units", UNITS, rng) for _ in range(20)} == {1}
    assert {draw_untried(trials, {"units": 2}, "batch", BATCH, rng) for _ in range(20)} == {1}
    assert draw_untried(trials, {"units": 1}, "batch", BATCH, rng) is None
    assert draw_untried(trials, {}, "rate", FloatDistribution(0, 1), rng) is None
    assert draw_untried(trials, {"other": 1}, "big", big, rng) in range(10**9)
    five = CategoricalDistribution("abcde")
    ace = [create_trial(value=1.0, params={"p": p}, distributions={"p": five}) for p in "ace"]
    drawn = [draw_untried(ace, {}, "p", five, rng) for _ in range(400)]
    assert set(drawn) == {1, 3}
    assert 150 < drawn.count(1) < 250


def test_a_twin_has_the_same_names_and_the_same_values() -> None:
    space: dict[str, BaseDistribution] = {
        "units": IntDistribution(1, 9),
        "rate": FloatDistribution(0.1, 0.9, step=0.1),
        "choice": CategoricalDistribution([None, True, "1", 2, NAN]),
    }

    def trial(**params: Any) -> FrozenTrial:
        return create_trial(value=1.0, params=params, distributions={n: space[n] for n in params})

    first, second = trial(units=1, rate=0.3), trial(units=1, rate=0.3, choice=NAN)
    trials = [trial(), first, second, trial(units=1, rate=0.3)]
    assert twin(trials, {"rate": 0.1 + 2 * 0.1, "units": 1.0}) is first
    assert twin(trials, {"choice": float("nan"), "rate": 0.3, "units": 1}) is second
    for others in ({"units": 1}, {"units": 2, "rate": 0.3}, {"units": 1, "rate": 0.3, "choice": None}, {}):
        assert twin(trials, others) is None
    assert rough_key({"rate": 0.1 + 2 * 0.1, "units": 1.0}, space) == rough_key(first.params, space)
    assert rough_key({"choice": float("nan"), "rate": 0.3, "units": 1}, space) == rough_key(second.params, space)
    assert rough_key({"rate": 0.3, "units": 2}, space) != rough_key(first.params, space)
    one = trial(choice="1")
    assert twin([one], {"choice": 1}) is None
    assert twin([one], {"choice": "no choice"}) is None
    assert twin([one], {"choice": "1"}) is one

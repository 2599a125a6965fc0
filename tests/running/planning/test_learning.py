"""What a new study takes over from earlier ones, and what it cannot learn from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from autotune.errors import UsageError
from autotune.running.planning.learning import Learning, begin_learning, earlier_studies, learn, read_learning
from autotune.running.planning.plan import plan_search
from autotune.running.planning.queued import Queue, QueuedTrial
from autotune.running.planning.stored_study import remember
from autotune.running.study import read_settings, write_settings
from autotune.running.trial import Preparation
from autotune.search.history import LEARNED_FROM
from autotune.search.transfer import Origin, origin_of

X: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}
GOOD = 0.6


def earlier(url: str, name: str = "old", n: int = 12, space: dict[str, BaseDistribution] = X) -> optuna.Study:
    """Make a study whose best trial is the last one but one, at x = `GOOD`."""
    study = optuna.create_study(study_name=name, storage=url)
    for number in range(n):
        value = GOOD if number == n - 2 else number / n
        trial = create_trial(params=dict.fromkeys(space, value), distributions=space, value=abs(value - GOOD))
        study.add_trial(trial)
    return study


def learned(study: optuna.Study) -> list[Origin]:
    return [origin for trial in study.trials if (origin := origin_of(trial))]


def test_the_first_trials_of_a_new_study_are_those_of_earlier_ones(bench: Any) -> None:
    earlier(bench.places.storage)
    study = plan_search(bench.preparer(learn_from=("old",)), None).study
    assert learned(study)[0] == Origin("old", 10, {"x": GOOD})
    assert [trial.state for trial in study.trials] == [TrialState.WAITING] * 3
    assert study.ask(X).params == {"x": GOOD}
    assert read_learning(study) == Learning(["old"], learned(study))


def test_they_come_after_those_that_the_study_file_enqueues(bench: Any) -> None:
    earlier(bench.places.storage)
    bench.declares(enqueue="[{'x': 0.25}]", learn_from="'old'")
    study = plan_search(bench.preparer(), None).study
    assert [study.ask(X).params["x"] for _ in range(2)] == [0.25, GOOD]


def test_the_command_line_comes_before_the_study_file(bench: Any) -> None:
    earlier(bench.places.storage, "one")
    earlier(bench.places.storage, "two")
    bench.declares(learn_from="['one']")
    study = plan_search(bench.preparer(learn_from=("two",)), None).study
    assert {origin.study for origin in learned(study)} == {"two"}


def test_a_study_goes_on_as_it_began_when_an_earlier_one_is_gone(bench: Any) -> None:
    earlier(bench.places.storage)
    bench.declares(learn_from="['old']")
    before = learned(plan_search(bench.preparer(), None).study)
    optuna.delete_study(study_name="old", storage=bench.places.storage)
    study = plan_search(bench.preparer(), None).study
    assert learned(study) == before
    study.tell(study.ask(X), 0.5)
    assert learned(plan_search(bench.preparer(), None).study) == before


def test_a_run_that_was_stopped_while_it_made_them_makes_the_others(bench: Any) -> None:
    origins = [Origin("old", number, {"x": number / 10}) for number in range(3)]
    study = plan_search(bench.preparer(), None).study
    folder = bench.places.study_folder("toy")
    begin_learning(study, folder, Learning(["old"], origins[:1]))
    study.set_user_attr("autotune:learned", {"studies": ["old"], "origins": [vars(one) for one in origins]})
    begin_learning(study, folder, Learning(["another"], []))
    assert learned(study) == origins


def test_it_does_not_repeat_the_suggestions_of_an_earlier_study_with_the_same_seed(bench: Any) -> None:
    bench.declares()
    first = plan_search(bench.preparer(), None).study
    for _ in range(4):
        first.tell(first.ask(X), 0.5)
    bench.declares(name="'new'")
    second = plan_search(bench.preparer(learn_from=("toy",)), None).study
    for _ in range(3):
        second.ask(X)
    assert second.ask(X).params not in [trial.params for trial in first.trials]


def test_a_study_that_has_begun_learns_nothing_more_and_says_so(bench: Any) -> None:
    earlier(bench.places.storage)
    study = plan_search(bench.preparer(), None).study
    study.tell(study.ask(X), 0.5)
    assert learned(plan_search(bench.preparer(learn_from=("old",)), None).study) == []
    assert "learns from other studies only when it begins" in bench.notes[0]


def test_all_are_the_searches_of_the_storage_that_have_something_to_say(bench: Any) -> None:
    url = bench.places.storage
    earlier(url)
    earlier(url, "old.confirm")
    optuna.create_study(study_name="empty", storage=url)
    optuna.create_study(study_name="damaged", storage=url).set_user_attr("autotune", "garbled")
    study = plan_search(bench.preparer(learn_from=("all",)), None).study
    assert {origin.study for origin in learned(study)} == {"old"}
    assert read_learning(study) == Learning(["old"], learned(study))


def test_the_first_study_of_a_storage_learns_from_all_of_none(bench: Any) -> None:
    study = plan_search(bench.preparer(learn_from=("all",)), None).study
    assert read_learning(study) == Learning([], [])
    assert bench.notes == ["there is no earlier study to learn from"]
    earlier(bench.places.storage)
    assert learned(plan_search(bench.preparer(learn_from=("all",)), None).study) == []


def test_studies_of_another_storage_are_named_by_its_url_without_its_password(bench: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    earlier(url)
    before = (tmp_path / "other.db").read_bytes()
    study = plan_search(bench.preparer(learn_from=(f"{url}#old",)), None).study
    assert learned(study)[0] == Origin(f"{url}#old", 10, {"x": GOOD})
    assert (tmp_path / "other.db").read_bytes() == before


def test_a_name_may_have_the_sign_that_ends_a_url(bench: Any) -> None:
    earlier(bench.places.storage, "a#b")
    assert learned(plan_search(bench.preparer(learn_from=("a#b",)), None).study)[0].study == "a#b"


def test_what_was_confirmed_comes_first(bench: Any) -> None:
    study = earlier(bench.places.storage)
    again = optuna.create_study(study_name="old.confirm", storage=bench.places.storage)
    queue = Queue("old.confirm", [QueuedTrial(name, {"x": 0.5}, repeat) for name in ("3", "4") for repeat in (0, 1)])
    queue.fill(again)
    for value in (0.1, 0.1, 0.0):  # the second repeat of trial 4 is missing
        again.tell(again.ask(), value)
    found = earlier_studies(study._storage, "toy", ["old"])["old"]
    assert found is not None
    assert found.numbers[:2] == [3, 10]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("nosuch", "no study 'nosuch' to learn from.*There are: old"),
        ("toy", "cannot learn from itself"),
        ("old.confirm", "Name the search: old"),
        ("sqlite:////nowhere/at/all.db#old", "no storage sqlite:////nowhere/at/all.db to learn from"),
        ("damaged", "study 'damaged'.*Leave it out of learn_from"),
        ("failed", "nothing can be learned from failed"),
    ],
)
def test_what_a_study_cannot_learn_from_is_refused_before_it_begins(bench: Any, asked: str, words: str) -> None:
    url = bench.places.storage
    earlier(url)
    optuna.create_study(study_name="damaged", storage=url).set_user_attr("autotune", "garbled")
    failed = optuna.create_study(study_name="failed", storage=url)
    failed.add_trial(create_trial(state=TrialState.FAIL, params={"x": 0.5}, distributions=X))
    with pytest.raises(UsageError, match=f"(?s){words}"):
        plan_search(bench.preparer(learn_from=(asked,)), None)
    assert "toy" not in optuna.get_all_study_names(url)


@pytest.mark.parametrize(
    "asked", ["postgresql://joe:sEcret9@127.0.0.1:1/db", "postgresql://joe:sEcret9@127.0.0.1:1/db#old"]
)
def test_no_password_is_shown(bench: Any, asked: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_search(bench.preparer(learn_from=(asked,)), None)
    assert "sEcret9" not in str(caught.value)
    assert "postgresql" in str(caught.value)


def test_what_was_named_and_gave_nothing_is_told(bench: Any) -> None:
    earlier(bench.places.storage)
    optuna.create_study(study_name="empty", storage=bench.places.storage)
    study = plan_search(bench.preparer(learn_from=("old", "empty")), None).study
    assert {origin.study for origin in learned(study)} == {"old"}
    assert bench.notes == ["nothing can be learned from empty: no trial of it has a value"]
    study.tell(study.ask(X), 0.5)
    plan_search(bench.preparer(learn_from=("old",)), None)
    assert len(bench.notes) == 1
    plan_search(bench.preparer(learn_from=("another",)), None)
    assert "only when it begins" in bench.notes[1]


def test_a_guess_is_tried_once_also_if_it_is_added_later(bench: Any) -> None:
    bench.declares(guess="[{'x': 0.25}, {'x': 0.25}]")
    study = plan_search(bench.preparer(), None).study
    assert [trial.user_attrs for trial in study.trials] == [{"guess": {"x": 0.25}}]
    study.tell(study.ask(X), 0.5)
    bench.declares(guess="[{'x': 0.25}, {'x': 0.75}]")
    plan_search(bench.preparer(), None)
    assert plan_search(bench.preparer(), None).study.ask(X).params == {"x": 0.75}
    bench.declares(name="'grid'", guess="{'x': 0.25}", sampler="lambda seed: optuna.samplers.GridSampler({'x': [0.5]})")
    assert plan_search(bench.preparer(), None).study.trials == []
    assert "guesses change nothing" in bench.notes[-1]


def test_the_baseline_is_a_guess_unless_the_study_file_wants_none(bench: Any) -> None:
    bench.declares(baseline="{'x': 0.75}", guess="{'x': 0.25}")
    study = plan_search(bench.preparer(), None).study
    assert [study.ask(X).params["x"] for _ in range(2)] == [0.25, 0.75]
    bench.declares(name="'none'", baseline="{'x': 0.75}", guess="None")
    plain = plan_search(bench.preparer(), None).study
    assert plain.trials == []
    leaning = [study.ask(X).params["x"] for _ in range(20)]
    free = [plain.ask(X).params["x"] for _ in range(22)][2:]
    assert leaning != free  # trials of the same numbers; before ten have ended TPE draws by these alone


def test_the_baseline_is_no_guess_in_a_study_that_an_older_version_began(bench: Any) -> None:
    bench.declares(baseline="{'x': 0.75}", guess="None")
    study = plan_search(bench.preparer(), None).study
    study.tell(study.ask(X), 0.5)
    stored = {**study.user_attrs["autotune"]}
    del stored["guesses_baseline"]
    study.set_user_attr("autotune", stored)
    bench.declares(baseline="{'x': 0.75}")
    again = plan_search(bench.preparer(), None).study
    assert len(again.trials) == 1
    settings = read_settings(again)
    assert settings is not None
    assert not settings.guesses_baseline


def with_usual(bench: Any, usual: float) -> optuna.Study:
    """Plan a run of the study; `usual` is what preparing it finds."""
    bench.launcher.prepared = Preparation(None, [], [], [], usual={"x": usual, "of_another_branch": 3})
    return plan_search(bench.preparer(), None).study


def tried(study: optuna.Study, n: int) -> list[float]:
    return [study.ask(X).params["x"] for _ in range(n)]


def test_usual_values_are_tried_after_all_that_the_study_file_gives_and_once(bench: Any) -> None:
    bench.declares(enqueue="[{'x': 0.125}]", guess="{'x': 0.25}", baseline="{'x': 0.75}")
    study = with_usual(bench, 0.5)
    assert tried(study, 4) == [0.125, 0.25, 0.75, 0.5]
    bench.declares(name="'none'", guess="None")
    assert with_usual(bench, 0.5).trials == []


def test_early_suggestions_lean_towards_usual_values(bench: Any) -> None:
    bench.declares()
    leaning = tried(with_usual(bench, 0.5), 20)
    bench.declares(name="'none'", guess="None")
    assert leaning[1:] != tried(with_usual(bench, 0.5), 20)[1:]


def test_a_study_goes_on_with_the_usual_values_that_it_began_with(bench: Any) -> None:
    study = with_usual(bench, 0.5)
    study.tell(study.ask(X), 0.5)
    bench.declares(guess="{'x': 0.75}", n_trials="9")
    again = with_usual(bench, 0.25)  # a later version, or an edited study file
    assert [trial.user_attrs["guess"]["x"] for trial in again.trials] == [0.5, 0.75]
    settings = read_settings(again)
    assert settings is not None
    assert settings.usual == {"x": 0.5, "of_another_branch": 3}
    bench.declares(guess="None")
    settings = read_settings(with_usual(bench, 0.25))
    assert settings is not None
    assert settings.usual == {}


def test_usual_values_that_a_killed_run_has_not_tried_yet_are_tried_next(bench: Any) -> None:
    study = with_usual(bench, 0.5)
    settings, whole = read_settings(study), tried(study, 8)
    optuna.delete_study(study_name="toy", storage=bench.places.storage)
    again = optuna.create_study(study_name="toy", storage=bench.places.storage)
    assert settings is not None
    write_settings(again, settings)  # killed before it made a trial
    assert whole[0] == 0.5
    assert tried(with_usual(bench, 0.25), 8) == whole


def test_a_study_that_an_older_version_began_has_no_usual_values(bench: Any) -> None:
    bench.declares(guess="None")
    study = with_usual(bench, 0.5)
    study.tell(study.ask(X), 0.5)
    stored = {**study.user_attrs["autotune"]}
    del stored["usual"]
    study.set_user_attr("autotune", stored)
    bench.declares()
    again = with_usual(bench, 0.5)
    assert len(again.trials) == 1
    settings = read_settings(again)
    assert settings is not None
    assert settings.usual == {}


def test_a_parent_that_begins_a_study_a_moment_later_takes_the_usual_values_of_the_first(bench: Any) -> None:
    first = with_usual(bench, 0.5)
    settings = read_settings(first)
    assert settings is not None
    found = remember(first, bench.places.study_folder("toy"), dataclasses.replace(settings, usual={"x": 0.25}), None)
    assert found.usual == settings.usual


def test_a_study_of_thousands_of_trials_is_taken_over_as_any_other(bench: Any) -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="old", storage=storage)
    study.add_trials(
        [create_trial(params={"x": n / 3000}, distributions=X, value=abs(n / 3000 - GOOD)) for n in range(3000)]
    )
    origins = learn(earlier_studies(storage, "toy", ["old"]), X, ["old"]).origins
    assert abs(origins[0].params["x"] - GOOD) < 0.01


def test_what_another_program_wrote_in_place_of_an_origin_is_no_harm(bench: Any) -> None:
    study = plan_search(bench.preparer(), None).study
    study.enqueue_trial({}, user_attrs={LEARNED_FROM: {"study": 7}})
    assert 0.0 <= study.ask(X).params["x"] <= 1.0

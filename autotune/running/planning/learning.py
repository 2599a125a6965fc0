"""What a new study learns from earlier ones: the configurations of its first trials.

It is decided once, when the study begins, and stored in the study. So an interrupted study goes on in the same way on
any machine, also when an earlier study has been deleted meanwhile.

What is not covered: parents on different machines that begin the same study at the same moment may each make its first
trials; the second of two equal ones then becomes a copy of the first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import filelock
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from autotune.errors import AutotuneError, StoredStudyError, UsageError
from autotune.optuna_inside import storage_of
from autotune.running.planning.queued import begun_with, key_of
from autotune.running.planning.stored_study import find_study, study_names
from autotune.running.storages import open_to_look, shown_url
from autotune.running.study import read_record, read_settings
from autotune.search.curves import Training
from autotune.search.history import LEARNED_FROM, first_value
from autotune.search.transfer import Earlier, Origin, earlier_of, origin_of, portfolio
from autotune.study import EVERY_STUDY, EpochPolicy
from autotune.study_name import PARTS

_LEARNING = "autotune:learned"
_CONFIRM = PARTS[0]
_MOST_NAMED = 8
_LONGEST = 1_000  # characters of a name, as in `Origin`


@dataclass(frozen=True)
class Learning:
    """What a study has learned from earlier ones.

    Attributes:
        studies: The earlier studies that were looked at, in the order in which they were named.
        origins: The configurations of its first trials, the most promising first.
    """

    studies: Sequence[str]
    origins: Sequence[Origin]


def read_learning(study: optuna.Study) -> Learning | None:
    """Return what a study has learned from earlier ones when it began; None if it has learned from none.

    Raises:
        StoredStudyError: If its record cannot be understood.
    """
    return read_record(study, _LEARNING, Learning)


def begin_learning(study: optuna.Study, folder: Path, found: Learning | None) -> None:
    """Store what a study learns, and make its first trials: those that an interrupted run has not made.

    Args:
        study: The study, without a finished trial.
        folder: Its folder in the run dir, which parents on one machine share.
        found: What it learns; None for nothing. What is stored already comes first.
    """
    if found is None and read_learning(study) is None:
        return
    with filelock.FileLock(folder / "learning.lock"):
        learning = read_learning(study) or found
        assert learning is not None
        if read_learning(study) is None:
            study.set_user_attr(_LEARNING, asdict(learning))
        trials = study.get_trials(deepcopy=False)
        there = {(origin.study, origin.trial) for trial in trials if (origin := origin_of(trial))}
        for origin in learning.origins:
            if (origin.study, origin.trial) not in there:
                study.enqueue_trial({}, user_attrs={LEARNED_FROM: asdict(origin)})


def earlier_studies(storage: optuna.storages.BaseStorage, name: str, asked: Sequence[str]) -> dict[str, Earlier | None]:
    """Return the earlier studies that a study learns from, by their names; None for one without any value.

    Args:
        storage: The study's storage.
        name: The study's name.
        asked: The names of studies of this storage, or "URL#NAME" for one of another storage; "all" stands for all
            other searches of this storage that can be read and have a value.

    Raises:
        UsageError: If one does not exist, or a study cannot learn from it.
    """
    found: dict[str, Earlier | None] = {}
    for one in asked:
        if one == EVERY_STUDY:
            found |= {other: known for other, known in _all_but(storage, name) if known and other not in found}
        else:
            url, _, named = one.rpartition("#") if find_study(storage, one) is None else ("", "", one)
            shown = f"{shown_url(url)}#{named}"[:_LONGEST] if url else named
            found[shown] = _earlier(_existing(storage, name, url, named), shown)
    return found


def learn(
    found: Mapping[str, Earlier | None], space: Mapping[str, BaseDistribution] | None, asked: Sequence[str]
) -> Learning:
    """Return what a study learns from earlier ones; nothing, if it was to learn from all and there are none.

    Args:
        found: The earlier studies, by their names; None for one without any value.
        space: The search space of the new study; None for a plain objective, whose space shows when it runs.
        asked: The names that the user gave.

    Raises:
        UsageError: If nothing can be taken over from studies that were named.
    """
    earlier = [study for study in found.values() if study is not None]
    origins = portfolio(earlier, space)
    if not origins and EVERY_STUDY not in asked:
        raise _nothing_in(found, space)
    return Learning([study.name for study in earlier], origins)


def _nothing_in(found: Mapping[str, Earlier | None], space: Mapping[str, BaseDistribution] | None) -> UsageError:
    happened = f"nothing can be learned from {_listed([*found])}."
    leave_out = "leave learn_from (--learn-from) out."
    earlier = [study for study in found.values() if study is not None]
    if not earlier:
        return UsageError(
            happened,
            "An earlier study needs a trial that has a value, or has reported one, and has not failed.",
            f"Run it first, name another study, or {leave_out}",
        )
    there = sorted({name for study in earlier for params in study.configurations[:1] for name in params})
    return UsageError(
        happened,
        "An earlier study needs a hyperparameter that this study has, too, by the same name.\n"
        f"There: {_listed(there)}. Here: {_listed(sorted(space or {}))}.",
        f"Give hyperparameters that mean the same the same name, or {leave_out}",
    )


def _all_but(storage: optuna.storages.BaseStorage, name: str) -> Iterator[tuple[str, Earlier | None]]:
    """Yield all searches of a storage but one, as far as they can be read."""
    for other in study_names(storage):
        if other == name or other.endswith(PARTS):
            continue
        try:
            study = find_study(storage, other)
            yield other, _earlier(study, other) if study is not None else None
        except AutotuneError:  # e.g. an attribute that cannot be understood
            continue


def _existing(storage: optuna.storages.BaseStorage, name: str, url: str, named: str) -> optuna.Study:
    if not url and "://" in named:
        raise UsageError(
            f"learn_from names the storage {shown_url(named)}, and no study in it.",
            "A study of another storage is URL#NAME, and one of this storage is NAME.",
            "Add # and the name of the study to the URL; on the command line in quotes.",
        )
    if named.endswith(PARTS):
        raise UsageError(
            f"a study cannot learn from {named!r}, which trains configurations of another study again.",
            "It learns from searches, and takes what they have confirmed into account.",
            f"Name the search: {next(named.removesuffix(part) for part in PARTS if named.endswith(part))}",
        )
    if not url and named == name:
        raise UsageError(
            f"the study {name!r} cannot learn from itself.",
            "It goes on with its own trials anyway.",
            "Leave it out of learn_from (--learn-from), or give the new study another name: --name NEW_NAME.",
        )
    there = open_to_look(url) if url else storage
    if there is None:
        raise UsageError(
            f"there is no storage {shown_url(url)} to learn from.",
            f"It was to have the study {named!r}.",
            "Correct the URL in learn_from (--learn-from).",
        )
    study = find_study(there, named)
    if study is None:
        others = [other for other in study_names(there) if other != name and not other.endswith(PARTS)]
        raise UsageError(
            f"there is no study {named!r} to learn from{f' in {shown_url(url)}' if url else ''}.",
            f"There are: {_listed(others)}." if others else "There is no other study.",
            "Correct learn_from (--learn-from). A study of another storage is URL#NAME.",
        )
    return study


def _earlier(study: optuna.Study, name: str) -> Earlier | None:
    try:
        settings = read_settings(study)
    except StoredStudyError as error:
        raise UsageError(error.happened, error.expected, "Leave it out of learn_from (--learn-from).") from error
    epochs = settings.epochs if settings and settings.monitor else 0
    steps = (trial.last_step or 0 for trial in study.get_trials(deepcopy=False))
    policy: EpochPolicy = "best" if epochs and settings and settings.epoch_policy == "best" else "last"
    training = Training(epochs or max(steps, default=1) or 1, epoch_policy=policy)
    return earlier_of(study, training, _confirmed(study), name)


def _confirmed(study: optuna.Study) -> dict[int, float]:
    """Return the means of the trials that `finalize` has trained again, all repeats of them, by number."""
    again = find_study(storage_of(study), f"{study.study_name}{_CONFIRM}")
    if again is None:
        return {}
    wanted = Counter(queued.candidate for queued in begun_with(again))
    values: defaultdict[str, list[float]] = defaultdict(list)
    for trial in again.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if (value := first_value(trial)) is not None:
            values[key_of(trial).candidate].append(value)
    whole = {name: found for name, found in values.items() if len(found) >= wanted[name] > 0}
    return {int(name): fmean(found) for name, found in whole.items() if name.isdecimal()}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more if names else "none"

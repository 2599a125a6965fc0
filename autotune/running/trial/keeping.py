"""`kept` and `keep`: what an objective keeps of its trial, to go on where it was.

The order at the end of an epoch is: checkpoint, report, question whether to prune. A trial that is interrupted at any
point finds the epoch in its checkpoint, or trains it again. It then sends the checkpoint's reports again, which
changes nothing, and asks once more whether to go on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

import optuna
from optuna.trial import BaseTrial

from autotune.errors import KeepingError
from autotune.running.trial.piped_trial import KeepingPlace, PipedTrial
from autotune.running.trial.plain_values import as_float
from autotune.training.checkpoints import (
    ClaimedPaths,
    KeptHead,
    KeptState,
    UnkeptError,
    UnusableCheckpointError,
    read_head,
    read_kept,
    reason,
    save_kept,
    unpack_files,
)

_LOOP = "loop"  # the name of what `keep` keeps; callbacks have other names


@dataclass(frozen=True)
class Kept:
    """What was kept of a trial before it was interrupted.

    Attributes:
        epoch: The last epoch that was kept, from 1. Go on with the next one.
        state: The state that `keep` got, with the same types; arrays may be changed.
        folder: A folder with copies of the files that `keep` got, under their own names; None if it got none. It is
            removed when the trial is finished.
    """

    epoch: int
    state: dict[str, Any]
    folder: Path | None


def kept(trial: BaseTrial) -> Kept | None:
    """Return what `keep` kept of this trial before it was interrupted; None if it kept nothing.

    Call it before the loop. It also sends the reports of the kept epochs again, because a parent that was killed may
    not have stored them. Outside of `autotune run`, with a trial of Optuna itself, it returns None.

    Args:
        trial: The trial that the objective got.

    Raises:
        optuna.TrialPruned: If the pruner stops the trial after its last kept epoch.

    Example:
        >>> found = kept(optuna.trial.FixedTrial({}))
        >>> found is None
        True
    """
    keeper = keeper_of(trial)
    state = keeper.find(_LOOP)
    if keeper.is_pruned:
        raise optuna.TrialPruned(f"pruned after step {keeper.step}")
    return None if state is None else Kept(state.epoch, state.state, keeper.files_of(_LOOP))


def keep(
    trial: BaseTrial,
    epoch: int,
    value: float,
    *,
    state: dict[str, Any] | None = None,
    files: str | Path | Sequence[str | Path] = (),
) -> None:
    """Keep a finished epoch, report its value, and stop if the pruner says so.

    First the checkpoint is written: a process that is killed at any moment leaves the old one or the new one. Then
    `value` is reported at step `epoch`. The checkpoint is removed when the trial is finished. Outside of
    `autotune run`, with a trial of Optuna itself, nothing is written: `keep` only reports and prunes.

    Args:
        trial: The trial that the objective got.
        epoch: The epoch that has just finished, from 1; it must be larger than that of the call before.
        value: The value to report, as `trial.report` takes it; NaN and infinity are left to Optuna, too.
        state: Everything that the next epochs depend on: arrays, numbers, text, random generators, and lists, tuples,
            sets and dicts of these, as deep as you like.
        files: The path of a file or folder, or several of them. Their content is copied.

    Raises:
        optuna.TrialPruned: If the pruner stops the trial.
        KeepingError: If the epoch, the state or the files cannot be kept, or `kept` was not called before.
        OSError: If the disk is full.

    Example:
        >>> trial = optuna.create_study().ask()
        >>> keep(trial, 1, 0.5, state={"weights": [0.25]})
    """
    keeper = keeper_of(trial)
    number = _checked_epoch(epoch, keeper.step)
    if keeper.keeps:
        _refuse_without_kept(keeper)
        given = [Path(one) for one in ([files] if isinstance(files, (str, os.PathLike)) else files)]
        found = _found_files(given)
        keeper.hold(found.values())
        keeper.save(_LOOP, KeptState(number, number, _checked_state(state)), value, found)
    if keeper.report(value, number):
        raise optuna.TrialPruned(f"pruned after epoch {number}")


def keeper_of(trial: BaseTrial) -> TrialKeeper:
    """Return the keeper of a trial: one for each trial in a process."""
    try:
        return _KEEPERS.setdefault(trial, TrialKeeper(trial))
    except TypeError:  # a FrozenTrial, which has no hash and takes no reports
        return TrialKeeper(trial)


class TrialKeeper:
    """The checkpoint of one plain objective's trial, while a process runs it.

    Args:
        trial: The trial. Only a `PipedTrial` that has a place for it is kept; others only report and prune.

    Attributes:
        step: The last step that was reported, in this process or before.
        begun: The names of the loops that were looked for in this process.
        is_pruned: Whether the pruner stops the trial after its last kept epoch.
    """

    def __init__(self, trial: BaseTrial) -> None:
        self._weakly = ref(trial)  # weakly, because `_KEEPERS` forgets the keeper when the trial is gone
        place: KeepingPlace | None = trial.keeping if isinstance(trial, PipedTrial) else None
        self._place = place
        self._is_loaded = self._has_file = self._has_told = False
        self.step = 0
        self.begun: set[str] = set()
        self.is_pruned = False
        self._claims: ClaimedPaths | None = None

    @property
    def _trial(self) -> Any:
        return self._weakly()

    @property
    def keeps(self) -> bool:
        """Whether checkpoints are written."""
        return self._place is not None

    def find(self, name: str) -> KeptState | None:
        """Return what is kept of a loop; None if there is nothing.

        Args:
            name: The name of the loop.
        """
        self.begun.add(name)
        if self._place is None:
            return None
        if not self._is_loaded:
            self._load(self._place)
        return self._read(self._place.folder.checkpoint, name) if self._has_file else None

    def _read(self, path: Path, name: str) -> KeptState | None:
        try:
            return read_kept(path, name)
        except UnusableCheckpointError as error:
            self._has_file = False
            self.tell(f"its checkpoint {path} {error}; it starts over")
            return None

    def files_of(self, name: str) -> Path | None:
        """Copy the kept files of a loop into a folder, and return it; None if there are none."""
        if self._place is None or not self._has_file:
            return None
        path = self._place.folder.checkpoint
        return unpack_files(path, name, path.with_name("files"))

    def save(self, name: str, kept: KeptState, value: float, files: Mapping[str, Path]) -> None:
        """Write the checkpoint of an epoch, before its value is reported.

        Args:
            name: The name of the loop.
            kept: What to keep of it.
            value: The value that will be reported at `kept.step`.
            files: The files, by their names.

        Raises:
            KeepingError: If the state cannot be kept.
            OSError: If the disk is full.
        """
        assert self._place is not None
        path = self._place.folder.checkpoint
        told = [*self._trial.told, ("report", (as_float(value), kept.step))]
        identity, step = _identity(self._place, self._trial.number), max(self.step, kept.step)
        head = KeptHead(identity, self._trial.stored_params(), told, step)
        try:
            save_kept(path, head, name, kept, files, path if self._has_file else None)
        except UnkeptError as error:
            raise _unkept(str(error), error.value) from error
        self._has_file = True
        self._copy(self._place)

    def hold(self, files: Iterable[Path]) -> None:
        """Claim files until this process ends.

        Raises:
            KeepingError: If another trial has claimed one: each would keep what the other has written.
        """
        assert self._place is not None
        for path in files:
            self._claims = self._claims or ClaimedPaths(self._place.folder.path.parent.with_name("files.lock"))
            if not self._claims.has(path.resolve()):
                raise KeepingError(
                    f"trial {self._trial.number} keeps {path}, which another trial keeps at the same time.",
                    "Trials in several slots run in the same folder, and would overwrite each other's files.",
                    'Give each trial paths of its own, e.g. f"model-{trial.number}.pt".',
                )

    def report(self, value: float, step: int) -> bool:
        """Report a value, and return whether the pruner stops the trial."""
        self._trial.report(value, step)
        self.step = step
        return bool(self._trial.should_prune())

    def tell(self, text: str) -> None:
        """Show the user a note about this trial."""
        print(text)
        if self._place is not None:
            self._trial.note(text)

    def _load(self, place: KeepingPlace) -> None:
        self._is_loaded = True
        for unfinished in place.folder.checkpoint.parent.glob("*.tmp"):  # of processes that were killed
            unfinished.unlink()
        found, problems = self._usable(place)
        if not found and not problems and self._trial.has_reported():
            problems.append("it has reported before, but there is no checkpoint of it here")
        for problem in problems:
            self.tell(f"{problem}; {'it goes on from its other copy' if found else 'it starts over'}")
        if found:
            head, path = max(found, key=lambda one: one[0].step)
            os.replace(path, place.folder.checkpoint)
            self._go_on_from(head)

    def _usable(self, place: KeepingPlace) -> tuple[list[tuple[KeptHead, Path]], list[str]]:
        """Return the usable files, here and from the artifact store, and what is wrong with others."""
        found, problems = [], []
        for where, fetch in ((place.folder.checkpoint, _own), (place.folder.copy, _fetched)):
            try:
                path = fetch(place)
                if (head := read_head(path)) is not None:
                    self._refuse_others(place, head)
                    found.append((head, path))
            except UnusableCheckpointError as error:
                problems.append(f"its checkpoint {where} {error}")
        return found, problems

    def _refuse_others(self, place: KeepingPlace, head: KeptHead) -> None:
        now = json.loads(json.dumps(self._trial.stored_params()))
        is_same = all(name in now and now[name] == value for name, value in head.params.items())
        if head.identity != _identity(place, self._trial.number) or not is_same:
            raise UnusableCheckpointError("is of another trial or another version of it")

    def _go_on_from(self, head: KeptHead) -> None:
        self._has_file = True
        self.step = head.step
        self._trial.tell_again(head.told)
        self.is_pruned = self._trial.should_prune()

    def _copy(self, place: KeepingPlace) -> None:
        if place.folder.copy is None:
            return
        try:
            with place.folder.checkpoint.open("rb") as content:
                place.folder.copy.write(content)
        except Exception as error:  # the store's client may raise any error, but the trial itself can go on
            if not self._has_told:
                self._has_told = True
                self.tell(
                    f"its checkpoint could not be copied to {place.folder.copy} ({reason(error)}); "
                    "each epoch tries again"
                )


_KEEPERS: WeakKeyDictionary[BaseTrial, TrialKeeper] = WeakKeyDictionary()


def _identity(place: KeepingPlace, number: int) -> str:
    return hashlib.sha256(json.dumps([*place.facts, number], default=repr).encode()).hexdigest()


def _own(place: KeepingPlace) -> Path:
    return place.folder.checkpoint


def _fetched(place: KeepingPlace) -> Path:
    """Return the path of a file with the copy from the artifact store; there is no file if there is no copy."""
    path = place.folder.checkpoint.with_name("fetched.tmp")
    if place.folder.copy is None:
        return path
    try:
        content = place.folder.copy.read()
    except Exception as error:  # the store's client may raise any error
        raise UnusableCheckpointError(f"cannot be read ({reason(error)})") from error
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def _checked_epoch(epoch: Any, last: int) -> int:
    number = None
    if not isinstance(epoch, bool):
        with contextlib.suppress(TypeError):
            number = operator.index(epoch)
    if number is not None and number > last:
        return number
    raise KeepingError(
        f"the epoch of keep is {epoch!r}" + (f", and epoch {last} was reported before." if last else "."),
        f"It must be an integer, at least {last + 1}: epochs count from 1, and each one is kept once.",
        "Write: found = autotune.kept(trial); for epoch in range(found.epoch + 1 if found else 1, epochs + 1): ...",
    )


def _refuse_without_kept(keeper: TrialKeeper) -> None:
    if _LOOP not in keeper.begun:
        raise KeepingError(
            "the objective calls autotune.keep, but it has not called autotune.kept.",
            "A trial that is interrupted goes on only if its objective asks for what was kept.",
            "Call autotune.kept(trial) before the loop, and begin with the epoch after that.",
        )


def _checked_state(state: Any) -> dict[str, Any]:
    if state is None:
        return {}
    if type(state) is dict:
        return state
    raise KeepingError(
        f"the state that keep got is a {type(state).__name__}.",
        "It must be a dict, so that each part has a name.",
        'Give each part a name: state={"weights": weights, "generator": generator}',
    )


def _unkept(at: str, value: Any) -> KeepingError:
    return KeepingError(
        f"state{at} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be kept.",
        "A state has arrays, numbers, text, dates, random generators, and lists, tuples, sets and dicts of these.",
        "Convert it, e.g. a tensor with numpy.asarray, or save it with its own library and give the path in `files`.",
    )


def _found_files(given: Sequence[Path]) -> dict[str, Path]:
    """Return all files and empty folders at the given paths, by the names that they have in the checkpoint."""
    found: dict[str, Path] = {}
    for path in given:
        name = path.absolute().name
        if name in found or any(one.startswith(f"{name}/") for one in found):
            raise KeepingError(
                f"two of the files that keep got have the name {name!r}.",
                "Each file and folder is kept under its own name, without the folders above it.",
                "Give them different names, or put them into one folder and give this folder.",
            )
        found |= dict(_below(path, name))
    return found


def _below(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield name, path
    elif path.is_dir():
        inner = sorted(path.iterdir())
        if not inner:
            yield f"{name}/", path
        for one in inner:
            yield from _below(one, f"{name}/{one.name}")
    else:
        raise KeepingError(
            f"keep got the path {str(path)!r}, and there is {'no file' if path.exists() else 'nothing'}.",
            "Each path must be that of a file or a folder that exists when keep is called.",
            "Write the file first, and check the path; a relative one starts at the folder of the run.",
        )

"""Datasets stored on disk, which trial processes map into memory instead of each holding a copy.

A file may differ from what was written: a power cut may tear or zero it, and somebody may truncate or edit it. Sizes
and shapes are checked at every opening, which costs nothing; `store` checks all bytes once in each run.
What is not covered: bytes that change during a run without changing the size; the next run finds them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Arrays, Dataset, Leaf, RaggedArray, WindowArray
from autotune.data.stored.array_files import ArrayFile, Mismatch, check_size, open_array, sha256_of
from autotune.errors import DamagedStoreError

_GROUPS, _STRATA, _ABOUT = "groups.npy", "stratify.npy", "dataset.json"
_SMALL = (_GROUPS, _STRATA)
_PLAIN = {"x": {"file": "x.npy"}, "y": {"file": "y.npy"}, "sample_weight": None}  # of stores without `arrays`


def store(dataset: Dataset, folder: Path, tell: Callable[[str], None] = lambda text: None) -> Path:
    """Write a dataset to disk, unless an undamaged copy is there already.

    The files are written to a temporary folder, which is moved into place when it is complete. So nobody sees half a
    dataset, and two processes can store the same data at once. Damaged files are replaced one by one; processes that
    have them open keep the old ones.

    Args:
        dataset: The dataset; a subset is stored with its own rows only.
        folder: The parent folder; created if missing.
        tell: Called with a sentence or two about the damage, if some was found.

    Returns:
        `folder/NAME-DIGEST`, for `open_stored`. It holds dataset.json, and the arrays as x.npy and y.npy, or of a nest
        as x-0.npy, x-1.npy and so on; sample_weight.npy, groups.npy and stratify.npy if there are such.

    Raises:
        OSError: The disk is full or the folder cannot be written.

    Example:
        >>> import tempfile, numpy as np
        >>> data = Dataset(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
        >>> len(open_stored(store(data, Path(tempfile.mkdtemp()))))
        4
    """
    target = folder / f"{_as_file_name(dataset.name)}-{dataset.digest[:12]}"
    was_there = target.is_dir()
    damage = _damage(target, dataset) if was_there else ""
    if damage is None:
        _rename_columns(target, dataset)
        return target
    partial = folder / f".{target.name}.{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        _write(dataset, partial)
        if was_there:
            _replace_files(partial, target)
        else:
            _move(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if damage:
        tell(
            f"the stored rows in {target} had changed since they were written: {damage} They were written again from "
            "the dataset. Trials that trained on the damaged rows may be wrong. Check one with `autotune replay NAME "
            "--trial N`."
        )
    return target


def open_stored(path: Path, source: Callable[[], Dataset] | None = None) -> Dataset:
    """Open a stored dataset without reading its arrays into memory.

    Args:
        path: The folder that `store` returned.
        source: Returns the dataset itself, if its rows are read from a source each time.

    Returns:
        The dataset, its x and y mapped read-only, with name, number of classes, groups and digest as stored.

    Raises:
        DamagedStoreError: The files are missing, cannot be read, or have another size, dtype or shape than was written.
    """
    with _telling_damage(path):
        about = _read_about(path)
        files = about["files"]
        if about.get("is_source"):
            return _from_source(about, source)

        def opened(file: str) -> npt.NDArray[Any]:
            return open_array(path / file, files[file], mapped=file not in _SMALL)

        def leaf_of(form: Mapping[str, Any]) -> Leaf:
            values = opened(form["file"])
            if "length" in form:
                return WindowArray(values, opened(form["starts"]), int(form["length"]))
            return RaggedArray(values, opened(form["starts"])) if "starts" in form else values

        arrays = Arrays.of_structure(about.get("arrays", _PLAIN), leaf_of)
        return Dataset(
            arrays.x,
            arrays.y,
            sample_weight=arrays.sample_weight,
            name=about["name"],
            n_classes=about["n_classes"],
            groups=opened(_GROUPS) if _GROUPS in files else None,
            stratify=opened(_STRATA) if _STRATA in files else None,
            digest=about["digest"],
            feature_names=about.get("feature_names"),
        )


def facts_of_stored(path: Path) -> dict[str, Any]:
    """Return name, digest and number of rows of a stored dataset, and the version that its author gave it, if any.

    Raises:
        DamagedStoreError: As for `open_stored`.
    """
    with _telling_damage(path):
        about = _read_about(path)
        n_rows = about["n_rows"] if "n_rows" in about else len(open_stored(path))  # earlier versions did not store it
        facts = {"name": str(about["name"]), "digest": str(about["digest"]), "rows": int(n_rows)}
        return facts | ({"version": str(about["version"])} if about.get("version") is not None else {})


def _from_source(about: Mapping[str, Any], source: Callable[[], Dataset] | None) -> Dataset:
    if source is None:
        raise Mismatch("its rows are not stored but read from the study's own source.")
    data = source()
    if not data.is_read_each_time or len(data) != about["n_rows"]:
        raise Mismatch(f"the study's source has {len(data):,} rows now, and had {about['n_rows']:,}.")
    return data.with_digest(about["digest"])


def as_stored(dataset: Dataset, path: Path) -> Dataset:
    """Return a dataset with its stored rows: those that trials train on, in their order.

    A dataset with a `version` is not compared with what is stored, and its source may give rows in another order.
    """
    opened = open_stored(path, lambda: dataset)
    return opened.named_as(dataset)


def check_stored(path: Path) -> None:
    """Check the sizes of the files of a stored dataset, without reading them.

    Raises:
        DamagedStoreError: A file is missing or has another size than was written.
    """
    with _telling_damage(path):
        for file, form in _read_about(path)["files"].items():
            check_size(path / file, form)


@contextlib.contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # NumPy may raise any error on damaged bytes
        raise DamagedStoreError(
            f"the stored rows in {path} cannot be opened: {_why(error)}",
            "Expected the arrays and dataset.json as they were stored.",
            "Run the same command again: it writes them again from the dataset.",
        ) from error


def _damage(path: Path, dataset: Dataset) -> str | None:
    """Return a sentence on the damage of a stored dataset; None if it is undamaged.

    Earlier versions stored no checksums: then the result is "", and the files are written again without a message.
    """
    try:
        about = _read_about(path)
        if "files" not in about:
            return ""
        for file, form in about["files"].items():
            check_size(path / file, form)
            if sha256_of(path / file) != form["sha256"]:
                return f"{file} has other bytes than were written."
        if _identity(about["name"], about["n_classes"], about["digest"]) != _identity(
            dataset.name, dataset.n_classes, dataset.digest
        ):
            return f"{_ABOUT} describes other rows."
        open_stored(path, lambda: dataset)
    except DamagedStoreError as error:
        return error.happened.partition("cannot be opened: ")[2]
    except Exception as error:  # as in `_telling_damage`
        return _why(error)
    return None


def _identity(name: str, n_classes: int | None, digest: str) -> tuple[str, int | None, str]:
    """Return the values that are equal for two datasets exactly if they are stored in the same folder."""
    return _as_file_name(name), n_classes, digest


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _read_about(path: Path) -> Mapping[str, Any]:
    try:
        about = json.loads((path / _ABOUT).read_bytes())
    except (ValueError, RecursionError) as error:
        raise Mismatch(f"{_ABOUT} is not valid JSON.") from error
    if not isinstance(about, dict):
        raise Mismatch(f"{_ABOUT} holds {type(about).__name__}.")
    return about


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, Mismatch) else f"{type(error).__name__}: {error}."


def _write(dataset: Dataset, folder: Path) -> None:
    # In chunks, into plain files: writing to a mapped file on a full disk would end the process with SIGBUS.
    stems = _stems([name for name, _ in dataset.forms.leaves()])
    with contextlib.ExitStack() as stack:
        files: dict[str, ArrayFile] = {}

        def new(name: str, n: int, rows: npt.NDArray[Any]) -> ArrayFile:
            files[name] = stack.enter_context(contextlib.closing(ArrayFile(folder / name, n, rows)))
            return files[name]

        def write(name: str, column: npt.NDArray[Any]) -> None:
            new(name, len(column), column).write(column.tobytes())

        by_chunks: dict[str, ArrayFile] = {}
        for name, leaf in dataset.forms.leaves() if not dataset.is_read_each_time else ():
            file = f"{stems[name]}.npy"
            if isinstance(leaf, WindowArray):
                write(file, leaf.series)
                write(_starts(stems[name]), leaf.starts)
            elif isinstance(leaf, RaggedArray):
                by_chunks[name] = new(file, int(leaf.starts[-1]), leaf.values)
                write(_starts(stems[name]), leaf.starts)
            else:
                by_chunks[name] = new(file, len(dataset), leaf)
        for chunk in dataset.chunks() if by_chunks else ():
            for name, leaf in chunk.leaves():
                if name in by_chunks:
                    by_chunks[name].write(leaf.tobytes())
        for name, column in ((_GROUPS, dataset.groups), (_STRATA, dataset.stratify)):
            if column is not None:
                write(name, column)
        forms = {name: file.form() for name, file in files.items()}
    about = {"name": dataset.name, "n_classes": dataset.n_classes, "digest": dataset.digest, "files": forms}
    about |= {"n_rows": len(dataset), "version": dataset.version}
    if dataset.is_read_each_time:
        about["is_source"] = True
    elif (arrays := dataset.forms.structure(lambda name, leaf: _form_of(stems[name], leaf))) != _PLAIN:
        about["arrays"] = arrays
    _write_about({**about, "feature_names": dataset.feature_names}, folder / _ABOUT)


def _form_of(stem: str, leaf: Leaf) -> dict[str, Any]:
    form: dict[str, Any] = {"file": f"{stem}.npy"}
    if not isinstance(leaf, np.ndarray):
        form["starts"] = _starts(stem)
    return form | {"length": leaf.length} if isinstance(leaf, WindowArray) else form


def _starts(stem: str) -> str:
    return f"{stem}-starts.npy"


def _stems(names: list[str]) -> dict[str, str]:
    """Return the file name without ending for each leaf: "x" for x, "x-0" for the first leaf of a nest."""
    found: dict[str, str] = {}
    for name in names:
        part = name.partition("[")[0]
        number = sum(one.startswith(f"{part}[") for one in found)
        found[name] = part if part == name else f"{part}-{number}"
    return found


def _write_about(about: Mapping[str, Any], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())


def _rename_columns(target: Path, dataset: Dataset) -> None:
    """Replace the stored names of columns by those of the dataset; names do not change what a network learns."""
    about = _read_about(target)
    if about.get("feature_names") == (dataset.feature_names and list(dataset.feature_names)):
        return
    beside = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        _write_about({**about, "feature_names": dataset.feature_names}, beside)
        os.replace(beside, target / _ABOUT)
    finally:
        beside.unlink(missing_ok=True)


def _move(partial: Path, target: Path) -> None:
    try:
        os.replace(partial, target)
    except OSError:
        # A folder cannot replace one with files in it: another process has stored the same rows first.
        if not target.is_dir():
            raise


def _replace_files(partial: Path, target: Path) -> None:
    """Replace damaged files one by one; any mix of old and new files fits, as the same rows make the same files.

    The folder itself stays, because another process may be about to open it.
    """
    for file in partial.iterdir():
        os.replace(file, target / file.name)

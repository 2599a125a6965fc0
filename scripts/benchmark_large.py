"""Measure how much memory the processes of a study take whose rows do not fit into memory.

The rows are images in one sparse .npy file. They are given as a mapped array, which is stored in the run dir and takes
its whole size there, or as a source that is read by its numbers (`cache=False`). One trial trains on a part of them.

Usage: python scripts/benchmark_large.py [--gb 20] [--epochs-per-pass 20] [--kind array|source]
Prints the largest resident memory of the parent, of the process that stores and splits the rows, and of the trial:
all of it, and the part that is no page of a file. Exit code 1 if the parent takes 1 GB or more, or another process
2 GB or more without pages of files.

20 GB (101,725 rows of 256 x 256 x 3 bytes, sparse), 2 shared x86-64 cores beside other work, Python 3.11, at the commit
that added this line, once each:
array: parent 106 MB; the largest other process 1,472 MB, 1,138 MB without pages of files; 163 s.
source: parent 106 MB; the largest other process 3,234 MB, 1,340 MB without pages of files, as the source of the study
maps its own file; 63 s.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil

SHAPE = (256, 256, 3)
STUDY = """
import keras
import numpy as np
from autotune import Dataset, Holdout, StudySpec

X = np.load({path!r}, mmap_mode="r")
Y = np.arange(len(X)) % 2


class Source:
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], int(Y[index])


def dataset():
    if {kind!r} == "source":
        return Dataset(Source(), cache=False, version="1", n_classes=2, stratify=Y)
    return Dataset(X, Y)


def build(trial, data):
    model = keras.Sequential([
        keras.Input((256, 256, 3)), keras.layers.AveragePooling2D(32), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


study = StudySpec(name="large", dataset=dataset, folds=Holdout(0.02), build=build,
    fit=lambda trial: {{"batch_size": 64}},
    monitor="val_loss", direction="minimize", epochs=1, epochs_per_pass={epochs_per_pass}, n_trials=1, keep_models=1)
"""


def main() -> int:
    """Run the study, and print what its processes took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=20.0)
    parser.add_argument("--epochs-per-pass", type=int, default=20)
    parser.add_argument("--kind", choices=["array", "source"], default="array")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        n = int(options.gb * 1e9 / np.prod(SHAPE))
        np.lib.format.open_memmap(path, "w+", np.uint8, (n, *SHAPE)).flush()
        file = Path(folder) / "study.py"
        file.write_text(STUDY.format(path=str(path), kind=options.kind, epochs_per_pass=options.epochs_per_pass))
        started = time.monotonic()
        command = [sys.executable, "-m", "autotune", "run", str(file), "--run-dir", f"{folder}/runs", "--workers", "1"]
        peaks = watch(subprocess.Popen(command))
        on_disk = sum(one.stat().st_blocks * 512 for one in Path(folder).rglob("*") if one.is_file())
    print(f"{options.kind}: {n:,} rows, {n * np.prod(SHAPE) / 1e9:.1f} GB, {on_disk / 1e9:.2f} GB of them on the disk")
    print(f"{time.monotonic() - started:.0f} s; largest resident memory (without pages of files):")
    for role, (whole, own) in peaks.items():
        print(f"  {role:8} {whole / 1e6:6.0f} MB ({own / 1e6:.0f} MB)")
    return int(peaks["parent"][0] >= 1e9 or peaks["child"][1] >= 2e9)


def watch(parent: subprocess.Popen[bytes]) -> dict[str, tuple[int, int]]:
    """Return the largest resident memory of each kind of process, and what of it is no page of a file."""
    peaks: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    process = psutil.Process(parent.pid)
    while parent.poll() is None:
        for one, role in [(process, "parent"), *((child, "child") for child in children(process))]:
            try:
                memory = one.memory_info()
            except psutil.NoSuchProcess:
                continue
            own = memory.rss - memory.shared
            peaks[role] = max(peaks[role][0], memory.rss), max(peaks[role][1], own)
        time.sleep(0.05)
    return dict(peaks)


def children(process: psutil.Process) -> list[psutil.Process]:
    """Return the processes that a process has started, and those that these have started."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


if __name__ == "__main__":
    sys.exit(main())

"""One search by one method, in a process of its own: what scripts/benchmark_peers.py starts, measures and ends."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from peers.journal import Journal
from peers.methods import METHODS, Search
from peers.problems import PROBLEMS

NOT_HERE = 3  # exit status


def main() -> int:
    """Search until somebody ends the process; `NOT_HERE` where the method's package is not installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--data", choices=PROBLEMS, required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--earlier", default="", help="a study to learn from, URL#NAME")
    parser.add_argument("--began", type=float, required=True, help="as time.time() has it")
    options = parser.parse_args()
    method = METHODS[options.method]
    try:
        function = getattr(importlib.import_module(method.module), method.function)
    except ImportError as error:
        print(error, file=sys.stderr)
        return NOT_HERE
    journal = Journal(options.journal, options.began)
    problem = PROBLEMS[options.data]
    given = (options.data_dir, options.seed, method.slots, options.cores, options.folder, journal, options.earlier)
    function(Search(problem, *given))
    return 0


if __name__ == "__main__":
    sys.exit(main())

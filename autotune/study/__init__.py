"""What a study file declares: the record, its checks, and how a file becomes one.

Whoever has a `StudySpec` from here need not check it again.

checks   What a study may be: each mistake in a declaration is named when it is made, with the way out
record   What a study file declares
loading  A study file, parsed, run, and asked for the study that it declares
"""

from autotune.study.checks import Cost, Direction, EpochPolicy
from autotune.study.loading import check_study_file, imports_keras, load_study_file, refuse_while_loading
from autotune.study.record import Overrides, StudySpec

__all__ = [
    "Cost",
    "Direction",
    "EpochPolicy",
    "Overrides",
    "StudySpec",
    "check_study_file",
    "imports_keras",
    "load_study_file",
    "refuse_while_loading",
]

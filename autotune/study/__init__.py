"""The declaration of a study: the `StudySpec`, its checks, and the loading of study files.

A `StudySpec` checks itself when it is made, so other rooms need not check it again.

checks   Checks of a `StudySpec`: each mistake raises an error that says how to correct it
record   The `StudySpec` that a study file declares, and the options of the command line that override it
loading  Load a study file: parse it, run it, and return the study that it declares
"""

from autotune.study.checks import EVERY_STUDY, Cost, Direction, EpochPolicy
from autotune.study.loading import check_study_file, imports_keras, load_study_file, refuse_while_loading
from autotune.study.record import Overrides, StudySpec

__all__ = [
    "EVERY_STUDY",
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

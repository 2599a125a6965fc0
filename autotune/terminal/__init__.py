"""Printed results of commands, and questions to the user.

asking    Ask the user at the terminal whether to run a study file that the storage names
printing  Print the results of commands: status, best trial, candidates, data efficiency, explanation
checked   Print what a check of a study file has found out
"""

from autotune.terminal.asking import asking_for_trust
from autotune.terminal.checked import print_checked
from autotune.terminal.printing import (
    print_best,
    print_explanation,
    print_final,
    print_front,
    print_learning_curve,
    print_refinement,
    print_replay,
    print_result,
    print_statuses,
    print_stopped,
    print_watched,
)

__all__ = [
    "asking_for_trust",
    "print_best",
    "print_checked",
    "print_explanation",
    "print_final",
    "print_front",
    "print_learning_curve",
    "print_refinement",
    "print_replay",
    "print_result",
    "print_statuses",
    "print_stopped",
    "print_watched",
]

"""What commands print of a study, and what they ask whoever sits there.

asking    A question to whoever sits at the terminal: whether a study file that a storage names is to be run
printing  What commands print of a study when they are done with it
"""

from autotune.terminal.asking import asking_for_trust
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

"""What mattered in a search, and what to search next.

ranges      Where values lie in the range of a hyperparameter, and ranges that are wider or narrower
ped_anova   PED-ANOVA of the same trials over and over, with other results or drawn anew
importance  Which hyperparameters separate good trials from bad ones, and how sure that is
effects     Pairs of hyperparameters whose effects depend on each other
failing     Where in the search space trials fail
advice      What a search says about the next one: the checklist of the Deep Learning Tuning Playbook, computed
story       All that a report tells of, read once from finished records
refining    From a search to the next study file: narrower or wider ranges, what to fix, and the trials to begin with
"""

from autotune.results.advice.effects import strongest_interaction
from autotune.results.advice.importance import FEWEST, looked_at
from autotune.results.advice.ranges import short
from autotune.results.advice.refining import Refinement, refine
from autotune.results.advice.story import Story, note_advice, story_of

__all__ = [
    "FEWEST",
    "Refinement",
    "Story",
    "looked_at",
    "note_advice",
    "refine",
    "short",
    "story_of",
    "strongest_interaction",
]

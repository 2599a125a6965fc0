"""Importance of hyperparameters, and advice for the next search.

ranges      Positions of values in the range of a hyperparameter, and wider or narrower ranges
ped_anova   PED-ANOVA, made fast for many resamples of the same trials
importance  The importance of hyperparameters, with 95 % intervals
effects     Pairs of hyperparameters whose effects depend on each other
failing     The region of the search space where trials fail
advice      Advice for the next search, computed by the checklist of the Deep Learning Tuning Playbook
story       The `Story` of a study: all records that a report shows, read once
refining    The next study file: narrower, wider or fixed ranges, and the configurations of its first trials
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

"""Progress of a run: a live table on a terminal, plain lines elsewhere.

tally    Counts of a run's events: running trials, finished trials, best trial, remaining time
words    Short texts about a run, for a terminal or a log
view     The lines of the live table, which fit the size of the terminal
console  The console that commands print on, with its own colours and with text from others escaped
lines    Progress for files, pipes and simple terminals: one plain line for each finished trial
live     Progress for terminals: a table that is redrawn below the lines of ended trials
showing  The choice between live table and plain lines, and their common interface
"""

from autotune.progress.console import new_console
from autotune.progress.lines import LineProgress
from autotune.progress.live import LiveProgress
from autotune.progress.showing import Progress, new_progress
from autotune.progress.words import duration

__all__ = ["LineProgress", "LiveProgress", "Progress", "duration", "new_console", "new_progress"]

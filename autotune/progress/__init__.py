"""A run, shown while it goes on: live on a terminal, plain lines elsewhere.

tally    What has happened in a run so far, by its events
words    Numbers of a run in words that are short enough for a terminal or a log
view     What a terminal shows of a run at this moment: lines that fit, whatever its size
console  The console that commands print on: with colours of its own, and what others wrote escaped
lines    Progress for files, pipes and terminals that can only print: one plain line for each finished trial
live     Progress for terminals
showing  The way to show a run that fits a console, and what every such way can do
"""

from autotune.progress.console import new_console
from autotune.progress.lines import LineProgress
from autotune.progress.live import LiveProgress
from autotune.progress.showing import Progress, new_progress

__all__ = ["LineProgress", "LiveProgress", "Progress", "new_console", "new_progress"]

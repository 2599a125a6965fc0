"""The options of the command line, and the commands about results.

Each command imports slow modules when it needs them, so that `--help` answers at once.

options          The options of the command line
result_commands  The commands about results: each parses its options, calls one function, and prints the result
check_commands   The commands that try a study file before it runs: a check, and one trial in a debugger
"""

from autotune.commands.check_commands import check_command, debug_command
from autotune.commands.options import (
    DONE,
    FAILED,
    STOPPED,
    USAGE,
    parser_for,
    places_of,
    show_study_file,
    storage_of,
    study_of,
    taken_by,
    where,
)
from autotune.commands.result_commands import (
    explain_command,
    export_command,
    finalize_command,
    learning_curve_command,
    refine_command,
    replay_command,
    report_command,
)

__all__ = [
    "DONE",
    "FAILED",
    "STOPPED",
    "USAGE",
    "check_command",
    "debug_command",
    "explain_command",
    "export_command",
    "finalize_command",
    "learning_curve_command",
    "parser_for",
    "places_of",
    "refine_command",
    "replay_command",
    "report_command",
    "show_study_file",
    "storage_of",
    "study_of",
    "taken_by",
    "where",
]

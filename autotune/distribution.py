"""The distribution that this package is installed from: its name, its version, and how to install its extras.

On package indexes the name `autotune` belongs to another project. So nothing may tell a reader to install `autotune`,
nor our own distribution by its name alone: it comes from a checkout, a wheel or the URL of a repository.
"""

from __future__ import annotations

import re

DISTRIBUTION = "autotune-keras"  # `project.name` of pyproject.toml
VERSION = "0.1.0"  # pyproject.toml reads it here, so that a checkout that is not installed has a version, too


def install_command(extra: str) -> str:
    """Return the command that installs what an extra of this distribution needs, for any environment.

    It names the requirements themselves: who has installed a wheel has no checkout, and installing the distribution
    again might bring another version of it.

    Args:
        extra: The extra's name in pyproject.toml.

    Example:
        >>> install_command("postgres")
        'pip install "psycopg[binary]>=3.2.1"'
    """
    needed = _requirements(extra)
    if not needed:  # this package runs from a checkout that nobody has installed
        return f'pip install ".[{extra}]", in the checkout of autotune'
    return " ".join(["pip install", *(f'"{requirement}"' for requirement in needed)])


def _requirements(extra: str) -> list[str]:
    """Return what the extra needs, as the installed distribution says it; empty if none is installed."""
    from importlib.metadata import PackageNotFoundError, requires  # here: `import autotune` takes no time

    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    of_extra = re.compile(rf"""\bextra\s*==\s*(['"]){re.escape(extra)}\1""")
    parts = [line.partition(";") for line in lines]
    return [requirement.strip() for requirement, _, marker in parts if of_extra.search(marker)]

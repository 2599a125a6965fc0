"""The studies of a storage, read from the tables of Optuna's databases.

If one attribute of one study is invalid, Optuna cannot list any study. Here the other studies are listed.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from typing import Any

import sqlalchemy
from optuna.study import StudyDirection

from autotune.parsing import UNREADABLE
from autotune.running.storages.tables import (
    STUDIES,
    STUDY_DIRECTIONS,
    STUDY_SYSTEM_ATTRS,
    STUDY_USER_ATTRS,
    FrozenStudy,
)


def read_studies(connection: sqlalchemy.Connection) -> list[FrozenStudy]:
    """Return all studies with valid records, in the order of their creation.

    Args:
        connection: A connection to the database, in a transaction.
    """
    direction = sqlalchemy.type_coerce(STUDY_DIRECTIONS.c.direction, sqlalchemy.String)
    directions = _by_study(connection, STUDY_DIRECTIONS, STUDY_DIRECTIONS.c.objective, direction)
    user, system = (
        _by_study(connection, table, table.c.key, table.c.value_json)
        for table in (STUDY_USER_ATTRS, STUDY_SYSTEM_ATTRS)
    )
    found = []
    query = sqlalchemy.select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
    for study_id, name in connection.execute(query):
        with contextlib.suppress(*UNREADABLE):
            found.append(_study(study_id, name, directions[study_id], user[study_id], system[study_id]))
    return found


def _study(study_id: int, name: str, directions: dict[Any, Any], user: dict[Any, Any], system: dict[Any, Any]) -> Any:
    if not isinstance(name, str) or not directions:
        raise ValueError("it has no name or no direction")
    return FrozenStudy(
        study_name=name,
        direction=None,
        directions=[StudyDirection[directions[objective]] for objective in sorted(directions)],
        user_attrs={key: json.loads(text) for key, text in user.items()},
        system_attrs={key: json.loads(text) for key, text in system.items()},
        study_id=study_id,
    )


def _by_study(
    connection: sqlalchemy.Connection, table: sqlalchemy.Table, key: Any, value: Any
) -> defaultdict[int, dict[Any, Any]]:
    found: defaultdict[int, dict[Any, Any]] = defaultdict(dict)
    for study_id, name, one in connection.execute(sqlalchemy.select(table.c.study_id, key, value)):
        found[study_id][name] = one
    return found

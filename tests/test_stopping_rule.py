"""The rule that ends a flat search looks at trials in the order of their numbers."""

from __future__ import annotations

from typing import Any

import pytest

from autotune import stop_when_flat
from autotune.errors import StudyFileError


@pytest.mark.parametrize(
    ("values", "since"),
    [
        ([], None),
        ([0.5], None),
        ([0.5, 0.4], None),
        ([0.5, 0.4, 0.3], 0),
        ([0.5, 0.5, 0.5], 0),
        ([0.5, 0.4, 0.6, 0.5], None),
        ([0.5, 0.4, 0.6, 0.5, None], 2),
        ([None, None, None], None),
        ([None, 0.5, None, None], 1),
        ([0.5, None, None, 0.9], 0),
    ],
)
def test_so_many_trials_without_a_better_one_are_flat(values: list[float | None], since: int | None) -> None:
    assert stop_when_flat(2).flat_since(values, "maximize") == since
    assert stop_when_flat(2).flat_since([v and -v for v in values], "minimize") == since


def test_a_little_better_is_not_better() -> None:
    values = [0.5, 0.505, 0.509]
    assert stop_when_flat(2).flat_since(values, "maximize") is None
    assert stop_when_flat(2, min_delta=0.01).flat_since(values, "maximize") == 0
    assert stop_when_flat(2, min_delta=0.01).flat_since([0.5, 0.505, 0.511], "maximize") is None


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"patience": 1.5}, {"patience": 2, "min_delta": -1}])
def test_what_is_no_rule_is_refused(wrong: Any) -> None:
    with pytest.raises(StudyFileError, match="stop_when_flat"):
        stop_when_flat(**wrong)

"""A metric that a callback makes is not measured on test rows: the loss is, and what else the model was made with."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from autotune.parsing import parsed
from autotune.results.final import opening
from autotune.results.final import record as final
from autotune.results.final.finalizing import _test_score
from autotune.terminal.printing import _print_test


def _scored(metric: str) -> final.TestScore:
    found = opening.TestScores(100, (0.4, 0.5, 0.9, 0.9), None, metric, {"accuracy": (0.8, 0.6, 0.1, 0.1)})
    return _test_score(found, 2, "f1", "maximize", "today")


def test_the_loss_takes_its_place_and_is_better_where_it_is_smaller(capsys: pytest.CaptureFixture[str]) -> None:
    test = _scored("loss")
    assert (test.metric, test.unmeasured, test.others) == ("loss", "f1", {"accuracy": pytest.approx(0.7)})
    assert test.versus_baseline is not None
    assert test.versus_baseline.mean == pytest.approx(0.45)
    assert parsed(final.TestScore, json.loads(json.dumps(asdict(test)))) == test
    _print_test(test, 1)
    said = capsys.readouterr().out
    assert "f1 is not measured on the test rows, because it is computed by a callback; measured: accuracy 0.7" in said


def test_a_metric_of_the_model_is_measured_in_its_own_direction(capsys: pytest.CaptureFixture[str]) -> None:
    test = _scored("f1")
    assert test.unmeasured is None
    assert test.versus_baseline is not None
    assert test.versus_baseline.mean == pytest.approx(-0.45)
    _print_test(test, 1)
    assert "callback" not in capsys.readouterr().out

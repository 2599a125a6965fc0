"""What a model predicts, from its outputs: classes, confusions, mistakes and typical rows."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.training.outputs.predicting import (
    as_probabilities,
    confident_mistakes,
    confusion_matrix,
    counts_of_labels,
    intersection_over_union,
    largest_errors,
    mask_scores,
    predicted_classes,
    typical_hits,
)


def test_a_confusion_matrix_has_a_row_for_each_true_class() -> None:
    true, predicted = np.array([0, 0, 1, 1, 1, 3]), np.array([0, 2, 1, 1, 0, 3])
    assert confusion_matrix(true, predicted, 4).tolist() == [[1, 0, 1, 0], [1, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_probabilities_stay_as_they_are() -> None:
    softmax = np.array([[0.2, 0.8], [0.7, 0.3]], dtype=np.float32)
    assert as_probabilities(softmax) == pytest.approx(softmax)
    assert predicted_classes(softmax).tolist() == [1, 0]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_single_output_is_that_of_class_1(shape: tuple[int, ...]) -> None:
    outputs = np.array([0.2, 0.5, 0.9]).reshape(shape)
    assert as_probabilities(outputs) == pytest.approx(np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]]))
    assert predicted_classes(outputs).tolist() == [0, 0, 1]


def test_logits_become_probabilities() -> None:
    single = as_probabilities(np.array([[-2.0], [0.3], [800.0]]))
    assert single[:, 1] == pytest.approx([1 / (1 + np.exp(2.0)), 1 / (1 + np.exp(-0.3)), 1.0])
    several = as_probabilities(np.array([[0.0, 900.0], [1.0, 1.0]]))
    assert several == pytest.approx(np.array([[0.0, 1.0], [0.5, 0.5]]))


def test_the_surest_mistake_comes_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.99, 0.01], [0.2, 0.8]])
    true = np.array([1, 0, 1, 1])
    assert confident_mistakes(true, probabilities, 10).tolist() == [2, 0, 1]
    assert confident_mistakes(true, probabilities, 2).tolist() == [2, 0]
    assert confident_mistakes(np.array([0, 1, 0, 1]), probabilities, 2).tolist() == []


def test_typical_rows_are_right_of_many_classes_and_neither_the_plainest_nor_the_hardest() -> None:
    sureness = np.array([0.6, 0.8, 0.99, 0.7, 0.9, 0.95])
    true = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.stack(
        [np.where(true == 0, sureness, 1 - sureness), np.where(true == 1, sureness, 1 - sureness)], 1
    )
    assert typical_hits(true, probabilities, 2).tolist() == [1, 4]
    assert sorted(typical_hits(true, probabilities, 9).tolist()) == [0, 1, 2, 3, 4, 5]
    wrong = np.array([0, 0, 0, 1, 0, 1])
    assert 4 not in typical_hits(wrong, probabilities, 9)


def test_with_more_classes_than_rows_to_show_they_are_taken_from_all_over() -> None:
    true = np.arange(10)
    assert typical_hits(true, np.eye(10), 4).tolist() == [0, 3, 6, 9]


def test_the_largest_error_comes_first() -> None:
    assert largest_errors(np.array([1.0, 2.0, 3.0]), np.array([1.1, 0.0, 3.5]), 2).tolist() == [1, 2]


def test_a_column_on_a_large_scale_does_not_hide_the_others() -> None:
    true = np.array([[0.0, 0.0], [1.0, 1000.0], [2.0, 2000.0]])
    predicted = true + np.array([[0.0, 100.0], [1.0, 0.0], [0.0, 0.0]])
    assert largest_errors(true, predicted, 2).tolist() == [1, 0]
    assert largest_errors(np.tile(true, 5), np.tile(predicted, 5), 2).tolist() == [0, 1]  # parts of one thing


def test_a_class_that_no_pixel_has_has_no_intersection() -> None:
    found = intersection_over_union(np.array([[4, 0, 0], [2, 2, 0], [0, 0, 0]]))
    assert found[:2] == pytest.approx([4 / 6, 2 / 4])
    assert np.isnan(found[2])


def test_of_two_classes_the_background_does_not_count() -> None:
    true = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]])
    predicted = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]])
    assert mask_scores(true, predicted, 2).tolist() == [0.5, 1.0, 0.0]
    assert mask_scores(true, predicted, 3) == pytest.approx([(2 / 3 + 1 / 2) / 2, 1.0, (3 / 4 + 0) / 2])


def test_labels_are_found_missed_or_false() -> None:
    true, sure = np.array([[1, 0], [1, 0], [0, 0]]), np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.7]])
    assert counts_of_labels(true, sure).tolist() == [[1, 1, 0], [0, 0, 2]]

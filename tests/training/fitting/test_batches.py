"""Rows come in an order that is new in each epoch and the same in every run."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.seeds import derive_seed
from autotune.training.fitting.batches import Batches

ROWS = 23
DATA = Dataset(np.arange(100, 100 + 2 * ROWS).reshape(ROWS, 2).astype(np.float32), np.arange(ROWS))


def batches(seed: int | None = 0, data: Dataset = DATA, epochs_per_pass: int = 1) -> Batches:
    pass_seed = None if seed is None else lambda number: derive_seed(seed, "pass", number)
    return Batches(data, 5, pass_seed=pass_seed, epochs_per_pass=epochs_per_pass)


def order(of: Batches) -> list[int]:
    return [int(label) for index in range(len(of)) for label in of[index][1]]


def test_inputs_stay_with_their_targets() -> None:
    shuffled = batches()
    shuffled.start_epoch(3)
    for index in range(len(shuffled)):
        x, y = shuffled[index]
        np.testing.assert_array_equal(x[:, 0], 100 + 2 * y)


def test_only_the_last_batch_is_smaller() -> None:
    assert [len(batches()[index][1]) for index in range(len(batches()))] == [5, 5, 5, 5, 3]


def test_every_row_comes_once_an_epoch() -> None:
    shuffled = batches()
    for epoch in range(3):
        shuffled.start_epoch(epoch)
        assert sorted(order(shuffled)) == list(range(ROWS))


def test_each_epoch_has_an_order_of_its_own() -> None:
    shuffled = batches()
    orders = set()
    for epoch in range(5):
        shuffled.start_epoch(epoch)
        orders.add(tuple(order(shuffled)))
    assert len(orders) == 5


def test_the_order_of_an_epoch_does_not_depend_on_those_before() -> None:
    one, other = batches(), batches()
    for epoch in range(4):
        one.start_epoch(epoch)
    np.random.seed(1)
    other.start_epoch(3)
    assert order(one) == order(other)


def test_another_seed_orders_otherwise() -> None:
    one, other = batches(1), batches(2)
    one.start_epoch(0)
    other.start_epoch(0)
    assert order(one) != order(other)


def test_without_a_seed_rows_keep_their_order() -> None:
    plain = batches(None)
    plain.start_epoch(2)
    assert order(plain) == list(range(ROWS))


@pytest.mark.parametrize("seed", [None, 0])
def test_a_part_of_a_dataset_gives_its_own_rows_only(seed: int | None) -> None:
    part = batches(seed, DATA.subset([3, 5, 8, 13, 21, 1, 2]))
    part.start_epoch(1)
    assert sorted(order(part)) == [1, 2, 3, 5, 8, 13, 21]


@pytest.mark.parametrize("seed", [0, None])
def test_a_pass_of_several_epochs_takes_its_rows_in_the_order_of_one(seed: int | None) -> None:
    data = DATA.subset(range(20))
    whole, parts = batches(seed, data), batches(seed, data, epochs_per_pass=4)
    for number in range(2):
        whole.start_epoch(number)
        found = []
        for epoch in range(4 * number, 4 * number + 4):
            parts.start_epoch(epoch)
            found.append(order(parts))
        assert [len(part) for part in found] == [5, 5, 5, 5]
        assert [row for part in found for row in part] == order(whole)


@pytest.mark.parametrize("epochs_per_pass", [2, 3, 7, ROWS, 50])
def test_epochs_of_a_pass_have_as_many_rows_and_miss_none(epochs_per_pass: int) -> None:
    parts = batches(epochs_per_pass=epochs_per_pass)
    sizes, seen = set(), set()
    for epoch in range(epochs_per_pass):
        parts.start_epoch(epoch)
        sizes.add(len(order(parts)))
        seen |= set(order(parts))
    assert sizes == {-(-ROWS // epochs_per_pass)}
    assert seen == set(range(ROWS))

"""Sentence polarity: all sentences, no test rows, and the encoding it was published in."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.data.sources import has_test_rows, load_development, load_test
from autotune.data.stored import open_stored, store
from autotune.errors import DataError

NEGATIVE, POSITIVE = (
    ["simplistic , silly and tedious .", "na\u00efve"],
    ["a gem .", "caf\u00e9 life , \u0085 well told"],
)


@pytest.fixture(params=["utf-8", "latin-1"])
def data_dir(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "rt-polaritydata"
    folder.mkdir()
    for kind, sentences in (("neg", NEGATIVE), ("pos", POSITIVE)):
        (folder / f"rt-polarity.{kind}").write_bytes("".join(f"{line} \n" for line in sentences).encode(request.param))
    return tmp_path


def test_negative_sentences_are_0_and_positive_ones_1_in_either_encoding(data_dir: Path) -> None:
    data = load_development("sentence-polarity", data_dir)
    assert list(data.x) == NEGATIVE + POSITIVE
    assert list(data.y) == [0, 0, 1, 1]
    assert (data.input_shape, data.n_classes) == ((), 2)


def test_sentences_are_stored_and_read_again(data_dir: Path, tmp_path: Path) -> None:
    data = load_development("sentence-polarity", data_dir)
    again = open_stored(store(data, tmp_path / "stored"))
    assert list(again.x) == list(data.x)
    assert again.digest == data.digest


def test_there_are_no_test_rows(data_dir: Path) -> None:
    assert not has_test_rows("sentence-polarity")
    with pytest.raises(DataError, match="has no test rows"):
        load_test("sentence-polarity", data_dir)


@pytest.mark.parametrize("content", [b"", b"simplistic , silly and tedious .\n"])
def test_a_file_that_is_cut_off_is_not_taken_for_all(data_dir: Path, content: bytes) -> None:
    (data_dir / "rt-polaritydata" / "rt-polarity.neg").write_bytes(content)
    with pytest.raises(DataError, match="some are missing"):
        load_development("sentence-polarity", data_dir)


def test_a_byte_order_mark_is_no_part_of_the_first_word(data_dir: Path) -> None:
    path = data_dir / "rt-polaritydata" / "rt-polarity.neg"
    path.write_bytes("".join(f"{line} \n" for line in NEGATIVE).encode("utf-8-sig"))
    assert list(load_development("sentence-polarity", data_dir).x) == NEGATIVE + POSITIVE


def test_half_of_it_is_plain(data_dir: Path) -> None:
    (data_dir / "rt-polaritydata" / "rt-polarity.neg").unlink()
    with pytest.raises(DataError, match=r"(?s)rt-polarity\.neg cannot be read.*one sentence per line"):
        load_development("sentence-polarity", data_dir)

"""MATLAB files are read as SciPy writes them, and nothing in them can do more than be refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.labels import read_gestures
from surgical_ml.labels.mat import read_mat

JIGSAWS = Path(__file__).resolve().parents[4] / "shared" / "data" / "jigsaws-gestures"
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(name, shape, kind, *parts):
    """A matrix element written by hand: class, shape, name, then its parts."""
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name.encode()) + b"".join(parts))


def doubles(name, values):
    array = np.asarray(values, "<f8")
    return matrix(name, array.shape, 6, element(9, array.tobytes("F")))


def sequences(**cells):
    """Cells of row vectors; `S` of matrices."""
    return b"".join(
        matrix(key, (1, len(values)), 1, *(doubles("", np.atleast_2d(one)) for one in values))
        for key, values in cells.items()
    )


@pytest.fixture
def mat_file(tmp_path):
    def write(data, header=HEADER):
        path = tmp_path / "3.mat"
        path.write_bytes(header + data)
        return path

    return write


def test_numbers_text_and_cells_are_read_in_matlabs_order(mat_file):
    text = matrix("t", (1, 3), 4, element(4, "abc".encode("utf-16-le")))
    path = mat_file(
        doubles("a", [[1, 2], [3, 4]]) + text + matrix("c", (1, 2), 1, doubles("", [[5]]), doubles("", [[6]]))
    )
    found = read_mat(path)
    assert found["a"].tolist() == [[1, 2], [3, 4]]
    assert found["t"] == "abc"
    assert [one.tolist() for one in found["c"]] == [[[5]], [[6]]]


def test_compressed_and_big_endian_files_are_read_too(mat_file):
    packed = zlib.compress(doubles("a", [[1.5, 2.5]]))
    assert read_mat(mat_file(struct.pack("<II", 15, len(packed)) + packed))["a"].tolist() == [[1.5, 2.5]]
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy")
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, {"a": np.arange(6, dtype=np.int16).reshape(2, 3)})
    assert read_mat(mat_file(buffer.getvalue(), b""))["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("data", "header", "complaint"),
    [
        (b"", b"\x89HDF\r\n\x1a\n", "level 7.3; save it with -v7"),
        (b"", b"\x89PNG", "another format"),
        (b"", HEADER, "at least one variable"),
        (doubles("a", [[1, 2]])[:-4], HEADER, "the end inside"),
        (matrix("s", (1, 1), 2), HEADER, "s, a struct"),
        (matrix("s", (1, 1), 5), HEADER, "s, a sparse matrix"),
        (matrix("a", (1 << 20, 1 << 10), 6, element(9, b"\0" * 8)), HEADER, "a with 1 values for shape"),
        (matrix("c", (1, 1 << 30), 1), HEADER, "the end inside a tag"),
        (struct.pack("<II", 15, 4) + b"abcd", HEADER, "broken compression"),
        (element(14, element(6, b"\0" * 8)), HEADER, "the end inside a tag"),
        (element(99, b""), HEADER, "an element of type 99"),
        (element(15, zlib.compress(doubles("a", [[1, 2]]))[:-6]), HEADER, "compression that is cut short"),
        (matrix("a", (3,), 6, element(9, b"\0" * 24)), HEADER, r"a matrix of shape \[3\]"),
        (matrix("a", (1, -1), 6, element(9, b"")), HEADER, r"a matrix of shape \[1, -1\]"),
        (matrix("c", (1, 1), 1, element(9, b"\0" * 8)), HEADER, "a cell of type 9"),
        (matrix("a", (1, 1), 6, element(77, b"\0" * 8)), HEADER, "numbers of type 77"),
        (matrix("a", (1, 1), 6, element(9, b"\0" * 5)), HEADER, "5 bytes for numbers of 8"),
    ],
)
def test_what_is_no_whole_file_of_numbers_is_refused_by_what_is_wrong(mat_file, data, header, complaint):
    with pytest.raises(InputError, match=complaint):
        read_mat(mat_file(data, header))


def test_cells_in_cells_without_end_are_refused(mat_file):
    data = doubles("", [[1]])
    for _ in range(40):
        data = matrix("", (1, 1), 1, data)
    with pytest.raises(InputError, match="cells more than 8 deep"):
        read_mat(mat_file(data))


def test_gestures_keep_truth_prediction_and_scores_together(mat_file):
    data = sequences(Y=[[0, 0, 1], [2]], P=[[0, 1, 1], [2]], S=[np.eye(3), [[0, 0, 1]]])
    first, second = read_gestures(mat_file(data))
    assert (first.name, second.name) == ("3/0", "3/1")
    assert first.truth.tolist() == [0, 0, 1]
    assert first.prediction.tolist() == [0, 1, 1]
    assert first.scores.shape == (3, 3)


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ({"Y": [[0]]}, "P: expected a cell of sequences, found none"),
        ({"Y": [[0]], "P": [[0], [1]]}, "as many sequences in each cell"),
        ({"Y": [[0, 1]], "P": [[0]]}, "sequence 0: expected 2 predictions, found 1"),
        ({"Y": [[0.5]], "P": [[0]]}, "whole numbers from 0"),
        ({"Y": [[-1]], "P": [[0]]}, "whole numbers from 0"),
        ({"Y": [[np.nan]], "P": [[0]]}, "whole numbers from 0"),
        ({"Y": [[0, 1]], "P": [[0, 1]], "S": [[[1, 2]]]}, "a matrix of 2 rows"),
        ({"Y": [[]], "P": [[]]}, "sequence 0, Y: expected a row of gestures, found nothing"),
    ],
)
def test_gestures_that_do_not_fit_together_are_refused(mat_file, cells, complaint):
    with pytest.raises(InputError, match=complaint):
        read_gestures(mat_file(sequences(**cells)))


@pytest.mark.shared_data
@pytest.mark.skipif(not JIGSAWS.is_dir(), reason="../shared/data/jigsaws-gestures is not beside the project")
def test_the_39_suturing_sequences_of_both_models_are_read_as_scipy_reads_them():
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy")
    for model in ("sensors_ED-TCN_L2_C15", "video_ED-TCN_L2_C20"):
        count = 0
        for path in sorted((JIGSAWS / model).glob("*.mat")):
            expected = scipy_io.loadmat(path)
            for k, one in enumerate(read_gestures(path)):
                assert np.array_equal(one.truth, expected["Y"][0, k].ravel())
                assert np.array_equal(one.prediction, expected["P"][0, k].ravel())
                assert np.array_equal(one.scores, expected["S"][0, k].astype(float))
                count += 1
        assert count == 39


WHOLE = HEADER + sequences(Y=[[0, 1, 1]], P=[[0, 0, 1]])


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE)), st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=3))
def test_a_cut_or_changed_file_is_gestures_or_an_input_error(tmp_path_factory, length, changes):
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed.mat"
    path.write_bytes(bytes(data[:length]))
    try:
        assert all(len(one.truth) == len(one.prediction) for one in read_gestures(path))
    except InputError as error:
        assert "\n" not in str(error)

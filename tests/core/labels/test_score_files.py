"""Tool presence and triplets are read as the data sets write them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.labels import (
    CHOLEC80_TOOLS,
    read_cholect50,
    read_label_mapping,
    read_score_matrix,
    read_tool_text,
    read_triplet_prediction,
    take_apart,
)

TOOLS = CHOLEC80_TOOLS.classes
HEADER = "Frame\t" + "\t".join(TOOLS)


@pytest.fixture
def file(tmp_path):
    def write(content, name="video01-tool.txt"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_tools_are_found_by_name_whatever_their_order(file):
    turned = "Frame\t" + "\t".join(reversed(TOOLS))
    rows = "\n0\t1\t0\t0\t0\t0\t0\t0\n25\t0\t0\t0\t0\t0\t0\t1\n"
    straight = read_tool_text(file(HEADER + rows), CHOLEC80_TOOLS, "video01")
    assert straight.as_truth().argmax(axis=1).tolist() == [0, 6]
    assert read_tool_text(file(turned + rows), CHOLEC80_TOOLS, "x").as_truth().argmax(axis=1).tolist() == [6, 0]
    assert straight.frames.tolist() == [0, 25]


def test_the_tools_of_our_own_protocol_are_those_of_cholec80(file):
    header = "Frame grasper bipolar hook scissors clipper irrigator specimen_bag"
    assert read_tool_text(file(header + "\n0 0 0 1 0 0 0 0\n"), CHOLEC80_TOOLS, "x").scores[0, 2] == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0\t1\t0\t0\t0\t0\t0\t0\n", "line 1: expected a header: Frame and Grasper"),
        ("Frame\tGrasper\n0\t1\n", "each of Grasper, .* once"),
        (HEADER + "\tGrasper\n0\t1\t0\t0\t0\t0\t0\t0\t0\n", "each of Grasper, .* once"),
        (HEADER.replace("Hook", "Knife") + "\n", "found Knife"),
        (HEADER + "\n", "at least one sample"),
        (HEADER + "\n0\t1\t0\n", "line 2: expected a frame number and 7 values, found 3 fields"),
        (HEADER + "\n0\t1\t0\t0\t0\t0\t0\tnan\n", "line 2: expected numbers, found 'nan'"),
        (HEADER + "\nx\t1\t0\t0\t0\t0\t0\t0\n", "line 2: expected a frame number"),
    ],
)
def test_a_bad_tool_file_is_one_line_that_names_the_place(file, text, complaint):
    with pytest.raises(InputError, match=complaint):
        read_tool_text(file(text), CHOLEC80_TOOLS, "video01")


def test_scores_are_no_truth(file):
    track = read_tool_text(file(HEADER + "\n0\t0.5\t0\t0\t0\t0\t0\t0\n"), CHOLEC80_TOOLS, "video01")
    with pytest.raises(InputError, match=r"expected 0 or 1, found 0\.5 for Grasper in frame 0"):
        track.as_truth()


def test_a_matrix_has_a_frame_number_and_a_value_for_each_class(file):
    track = read_score_matrix(file("0,0,1\n1,1,0\n"), ("a", "b"), "VID01")
    assert track.as_truth().tolist() == [[False, True], [True, False]]
    with pytest.raises(InputError, match="line 1: expected a frame number and 3 values, found 3 fields"):
        read_score_matrix(file("0,0,1\n1,1,0\n"), ("a", "b", "c"), "VID01")


def categories():
    sizes = {"triplet": 3, "instrument": 2, "verb": 2, "target": 2, "phase": 7}
    return {key: {str(k): f"{key} {k}" for k in range(n)} for key, n in sizes.items()}


def video(annotations, **changes):
    values = {"video": 1, "fps": 1, "num_frames": len(annotations), "categories": categories()}
    return values | {"annotations": annotations} | changes


def instance(triplet=0, tool=0, score=1, verb=0, target=0, phase=0, box=(0.1, 0.2, 0.3, 0.4)):
    return [triplet, tool, score, *box, verb, target, -1, -1, -1, -1, -1, phase]


def test_a_frame_of_cholect50_has_what_its_instances_have(file):
    annotations = {"10": [instance(2, 1), instance(0, 0)], "2": [], "0": [instance(-1, -1, -1, -1, -1, 3)]}
    found = read_cholect50(file(video(annotations)), "VID01")
    assert found.frames.tolist() == [0, 2, 10]
    assert found.presence("triplet").scores.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert found.presence("instrument").scores.tolist() == [[0, 0], [0, 0], [1, 1]]
    assert found.presence("phase").scores.argmax(axis=1).tolist() == [3, 0, 0]
    assert found.instance_frames.tolist() == [0, 2, 2]


def test_a_prediction_in_cholect50s_form_keeps_the_larger_score(file):
    found = read_cholect50(file(video({"0": [instance(tool=1, score=0.25), instance(tool=1, score=0.75)]})), "VID01")
    assert found.presence("instrument").scores.tolist() == [[0, 0.75]]


def test_categories_may_be_a_list_of_objects(file):
    listed = [{key: value} for key, value in categories().items()]
    assert read_cholect50(file(video({"0": []}, categories=listed)), "VID01").categories["verb"] == ("verb 0", "verb 1")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (video({"0": [[1, 2]]}), "frame 0: expected 15 numbers an instance, found 2"),
        (video({"0": [instance(3)]}), "a triplet from -1 to 2, found 3"),
        (video({"0": [instance(tool=-2)]}), "an instrument from -1 to 1|a instrument from -1 to 1, found -2"),
        (video({"x": []}), "expected frame numbers, found 'x'"),
        (video({"0": []}, num_frames=2), "annotations of 2 frames, as num_frames says, found 1"),
        (video({"0": []}, categories=categories() | {"verb": {"1": "cut"}}), "verb: expected ids 0, 1, 2"),
        ({"fps": 1}, "a member num_frames"),
        ([], "an object with fps"),
    ],
)
def test_a_bad_cholect50_file_is_one_line_that_names_the_place(file, values, complaint):
    with pytest.raises(InputError, match=complaint):
        read_cholect50(file(values), "VID01")


def test_a_challenge_prediction_has_scores_and_detections(file):
    values = {
        "1": {"recognition": [0.1, 0.9], "detection": [{"triplet": 1, "instrument": [0, 0.8, 0.1, 0.2, 0.3, 0.4]}]},
        "0": {"recognition": [0.5, 0.0]},
    }
    found = read_triplet_prediction(file(values), ("a", "b"), "VID01")
    assert found.recognition.scores.tolist() == [[0.5, 0.0], [0.1, 0.9]]
    assert found.detections.tolist() == [[1, 1, 0, 0.8, 0.1, 0.2, 0.3, 0.4]]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "an object of frames"),
        ({"0": {"recognition": [0.1]}}, "frame 0: expected 2 scores from 0 to 1, found 1"),
        ({"0": {"recognition": [0.1, 1.5]}}, "2 scores from 0 to 1"),
        ({"0": {"recognition": [0, 0], "detection": [{"triplet": 1, "instrument": [1]}]}}, "id, score and box"),
    ],
)
def test_a_bad_challenge_prediction_is_refused(file, values, complaint):
    with pytest.raises(InputError, match=complaint):
        read_triplet_prediction(file(values), ("a", "b"), "VID01")


def test_triplets_are_taken_apart_by_the_largest_score_of_those_that_share_a_part(file):
    mapping = read_label_mapping(file("# ivt,i,v,t,iv,it\n0,0,2,1,0,0\n1,0,2,0,0,1\n2,1,0,0,1,2\n", "maps.txt"))
    scores = np.array([[0.2, 0.6, 0.1], [0.3, 0.0, 0.9]])
    assert take_apart(scores, mapping, "i").tolist() == [[0.6, 0.1], [0.3, 0.9]]
    assert take_apart(scores, mapping, "t").tolist() == [[0.6, 0.2], [0.9, 0.3]]
    assert take_apart(scores, mapping, "ivt").tolist() == scores.tolist()
    with pytest.raises(InputError, match="one of"):
        take_apart(scores, mapping, "x")
    with pytest.raises(InputError, match=r"\(n, 3\)"):
        take_apart(scores[:, :2], mapping, "i")


@pytest.mark.parametrize("text", ["0,0,0\n", "1,0,0,0,0,0\n", "0,a,0,0,0,0\n", "# nothing\n"])
def test_a_bad_table_of_triplets_is_refused(file, text):
    with pytest.raises(InputError, match=r"6 ids|triplets 0, 1, 2"):
        read_label_mapping(file(text))


KEYS = ["fps", "num_frames", "categories", "annotations", "triplet", "recognition", "detection", "instrument", "0"]
JSON = st.recursive(
    st.none() | st.integers(-2, 20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON)
def test_any_json_is_triplets_or_an_input_error(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_text(json.dumps(values))
    for read in (lambda: read_cholect50(path, "x"), lambda: read_triplet_prediction(path, ("a",), "x")):
        try:
            read()
        except InputError as error:
            assert "\n" not in str(error)


@settings(max_examples=60)
@given(st.text(st.sampled_from("0123,. \t\n-nae"), max_size=40))
def test_any_text_is_scores_or_an_input_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    path.write_text(text)
    for read in (
        lambda: read_score_matrix(path, ("a", "b"), "x"),
        lambda: read_tool_text(path, CHOLEC80_TOOLS, "x"),
        lambda: read_label_mapping(path),
    ):
        try:
            read()
        except InputError as error:
            assert "\n" not in str(error)

"""Phase labels of the field's layouts are read exactly, and what is wrong with them is said in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics import UNDEFINED as UNDEFINED_IN_METRICS
from surgical_ml.labels import (
    PHASES,
    UNDEFINED,
    check_even,
    check_rate,
    pair_tracks,
    read_multibypass140,
    read_phase_folder,
    read_phase_text,
    read_phase_text_as_script,
    sample,
    sampled_phases,
)

CHOLEC80, M2CAI16, BYPASS = PHASES["cholec80"], PHASES["m2cai16"], PHASES["multibypass140"]
BERN = Path(__file__).resolve().parents[4] / "shared" / "data" / "multibypass140-bern"


@pytest.fixture
def phase_file(tmp_path):
    def write(text, name="video01-phase.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def labels(path, vocabulary=CHOLEC80):
    return list(read_phase_text(path, vocabulary, "video01").labels)


def test_labels_and_metrics_mean_the_same_by_undefined():
    assert UNDEFINED == UNDEFINED_IN_METRICS


@pytest.mark.parametrize(
    "text",
    [
        "Frame\tPhase\n0\tPreparation\n1\tCalotTriangleDissection\n2\tGallbladderRetraction\n",
        "0\tPreparation\n1\tCalotTriangleDissection\n2\tGallbladderRetraction\n",
        "Frame Phase\r\n0 0\r\n1 1\r\n2 6\r\n",
        "0\t0\n1\t1\n2\t6",
        "\ufeffFrame\tPhase\n0\tpreparation\n1\tcalot-triangle-dissection\n2\tgallbladder_retraction\n\n",
    ],
)
def test_names_and_ids_with_and_without_header_are_the_same_labels(phase_file, text):
    track = read_phase_text(phase_file(text), CHOLEC80, "video01")
    assert list(track.labels) == [0, 1, 6]
    assert list(track.frames) == [0, 1, 2]


def test_m2cai16_counts_from_trocar_placement(phase_file):
    path = phase_file("Frame\tPhase\n0\tTrocarPlacement\n1\tPreparation\n2\t7\n")
    assert labels(path, M2CAI16) == [0, 1, 7]


def test_minus_one_is_undefined(phase_file):
    assert labels(phase_file("0\t-1\n1\t0\n")) == [UNDEFINED, 0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0\tPreparation\n1\tSuturing\n", r"line 2: expected a label of cholec80: Preparation.*found Suturing"),
        ("Frame\tPhase\n0\t0\n1\t7\n", r"line 3: .*an id from 0 to 6, or -1.*found 7"),
        ("0\t0\n1\n", r"line 2: expected a frame number and a label, found '1'"),
        ("0\t0\n\n2\t0\n", r"line 2: expected a frame number and a label"),
        ("0\t0\nx\t0\n", r"line 2: expected a frame number"),
        ("0\t0\n-1\t0\n", r"line 2: expected a frame number"),
        ("", "an empty file"),
        (" \n", "an empty file"),
        ("Frame\tPhase\n", "at least one sample, found none"),
        (b"0\t\xff\xfe\n", "UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "UTF-8"),
    ],
)
def test_a_bad_phase_file_is_one_line_that_names_the_place(phase_file, text, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        labels(phase_file(text))
    assert "\n" not in str(caught.value)
    assert "video01-phase.txt" in caught.value.thing


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no-such-file"):
        labels(tmp_path / "no-such-file")


def test_the_script_drops_the_first_line_even_if_it_is_a_label(phase_file):
    track = read_phase_text_as_script(phase_file("0\t3\n1\t4\n2\t5\n"), CHOLEC80, "video01")
    assert list(track.labels) == [4, 5]
    assert track.dropped == "0\t3"


def test_the_script_takes_only_exact_names_and_ids_and_counts_the_rest(phase_file):
    text = "Frame\tPhase\n0\tPreparation\n1\tpreparation\n2\t07\n3\t6\n4\t7\n5\t-1\n6\tpreparation\n"
    track = read_phase_text_as_script(phase_file(text), CHOLEC80, "video01")
    assert list(track.labels) == [0, -1, -1, 6, -1, -1, -1]
    assert track.unmatched == {"07": 1, "7": 1, "preparation": 2}


# --- the time base ----------------------------------------------------------------------------------------------------


def frames(step, n=100, start=0):
    return np.arange(n, dtype=np.int64) * step + start


@pytest.mark.parametrize(("step", "fps"), [(1, 25), (1, 1), (1, 2), (25, 1), (5, 5), (30, 1), (12, 2), (125, 0.2)])
def test_frame_numbers_of_a_plausible_video_fit_the_declared_rate(step, fps):
    check_rate(frames(step), fps, Path("video"))


@pytest.mark.parametrize(("step", "fps", "video"), [(25, 25, 625), (5, 1, 5), (25, 5, 125)])
def test_frame_numbers_that_need_an_impossible_video_contradict_the_rate(step, fps, video):
    with pytest.raises(InputError, match=rf"declared {fps}/s, found every {step}th frame .* {video} frames/s"):
        check_rate(frames(step), fps, Path("video"))


def test_labels_at_25_a_second_read_at_one_a_second_make_an_impossibly_long_case():
    with pytest.raises(InputError, match=r"expected a case of at most 12 hours at 1 samples/s, found 57000 samples"):
        check_rate(frames(1, 57_000), 1, Path("video"))


def test_one_sample_a_second_of_ntsc_video_may_alternate_its_step():
    numbers = np.round(np.arange(100) * 29.97).astype(np.int64)
    check_rate(numbers, 1, Path("video"))
    check_even(numbers, Path("video"))


@pytest.mark.parametrize("numbers", [[0, 1, 1], [0, 2, 1], [0, 25, 75, 100, 125], [0, 1, 3, 4, 5]])
def test_frame_numbers_that_repeat_fall_or_skip_are_refused(numbers):
    with pytest.raises(InputError, match="frame numbers that rise by"):
        check_even(np.array(numbers), Path("video"))


def test_the_script_does_not_mind_a_gap(tmp_path):
    folder = write_folder(tmp_path / "folder", {"video01": [(0, 0), (25, 0), (50, 0), (99, 0)]})
    assert len(read_phase_folder(folder, CHOLEC80, 1, as_script=True)["video01"].labels) == 4
    with pytest.raises(InputError, match="frame numbers that rise by 25, found 99 after 50"):
        read_phase_folder(folder, CHOLEC80, 1)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_must_be_a_number_above_zero(fps):
    with pytest.raises(InputError, match="above 0"):
        check_rate(frames(1), fps, Path("video"))


# --- folders ----------------------------------------------------------------------------------------------------------


def write_folder(folder, cases, pattern="{}-phase.txt"):
    for case, rows in cases.items():
        path = folder / pattern.format(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Frame\tPhase\n" + "".join(f"{frame}\t{label}\n" for frame, label in rows))
    return folder


@pytest.mark.parametrize(
    ("pattern", "case"),
    [
        ("{}-phase.txt", "video9"),
        ("{}.txt", "workflow_video_09"),
        ("{}_pred.txt", "test_workflow_video_09"),
        ("{}/video-phase.txt", "case00009"),
    ],
)
def test_each_layout_gives_the_same_case_names_for_truth_and_prediction(tmp_path, pattern, case):
    folder = write_folder(tmp_path / "folder", {case: [(0, 0), (1, 1)]}, pattern)
    assert list(read_phase_folder(folder, CHOLEC80, 1)) == [case]


def test_cases_come_in_the_order_of_their_numbers(tmp_path):
    folder = write_folder(tmp_path / "folder", {f"video{k}": [(0, 0)] for k in (80, 9, 10)})
    assert list(read_phase_folder(folder, CHOLEC80, 1)) == ["video9", "video10", "video80"]


def test_decisions_of_a_replay_are_predictions_and_a_withheld_frame_is_undefined(tmp_path):
    path = tmp_path / "folder" / "video01" / "decisions.jsonl"
    path.parent.mkdir(parents=True)
    lines = [{"schema": 1, "event": "operator-action", "index": None, "stamp_ns": 0, "phase": None}]
    for k, phase in enumerate((None, {"committed": None}, {"committed": "Preparation"})):
        lines.append({"schema": 1, "event": "frame", "index": k, "stamp_ns": k * 40_000_000, "phase": phase})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    track = read_phase_folder(tmp_path / "folder", CHOLEC80, 25)["video01"]
    assert list(track.labels) == [-1, -1, 0]
    assert list(track.frames) == [0, 1, 2]
    with pytest.raises(InputError, match=r"decisions at the declared 1/s, found one every 0\.04 s"):
        read_phase_folder(tmp_path / "folder", CHOLEC80, 1)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"schema": 1, "event": "fra', "line 1: expected one decision in JSON"),
        ('{"schema": 2, "event": "frame", "stamp_ns": 0}', "expected schema 1, found schema 2"),
        ('{"event": "frame"}', "a member schema"),
        ('{"schema": 1, "event": "frame", "stamp_ns": 0, "index": null}', "index: expected int"),
        (
            '{"schema": 1, "event": "frame", "stamp_ns": 0, "index": 0, "phase": {"committed": "Suturing"}}',
            "found Suturing",
        ),
        ('{"schema": 1, "event": "tick", "stamp_ns": 0}', "at least one judged frame"),
    ],
)
def test_a_bad_decision_file_is_one_line_that_names_the_place(tmp_path, line, complaint):
    path = tmp_path / "video01" / "decisions.jsonl"
    path.parent.mkdir()
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=complaint):
        read_phase_folder(tmp_path, CHOLEC80, 25)


def test_a_folder_that_is_none_empty_or_mixed_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a folder, found none"):
        read_phase_folder(tmp_path / "none", CHOLEC80, 1)
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(InputError, match="files laid out as Cholec80 text"):
        read_phase_folder(tmp_path, CHOLEC80, 1)
    write_folder(tmp_path, {"video01": [(0, 0)]})
    write_folder(tmp_path, {"workflow_video_01": [(0, 0)]}, "{}.txt")
    with pytest.raises(InputError, match="files of one layout"):
        read_phase_folder(tmp_path, CHOLEC80, 1)


def pair(tmp_path, truth, prediction):
    folders = write_folder(tmp_path / "labels", truth), write_folder(tmp_path / "predictions", prediction)
    return pair_tracks(*(read_phase_folder(folder, CHOLEC80, 1) for folder in folders), folders[1])


def test_missing_and_extra_cases_are_named(tmp_path):
    one = [(0, 0), (1, 1)]
    truth = {f"video{k}": one for k in range(41, 47)}
    with pytest.raises(InputError) as caught:
        pair(tmp_path, truth, {"video41": one, "video4": one})
    assert caught.value.expected == "a prediction for each of the 6 cases and no other"
    assert caught.value.found == "none for video42, video43, video44 and 2 more, video4 without a truth"


def test_unequal_lengths_say_how_many_times(tmp_path):
    truth = {"video01": [(k, 0) for k in range(100)]}
    with pytest.raises(InputError, match=r"expected 100 samples, as .*found 4: 25 times as many, as at another rate"):
        pair(tmp_path, truth, {"video01": [(k, 0) for k in range(4)]})


def test_unequal_frame_numbers_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"the frame numbers of .*found 1 instead of 25"):
        pair(tmp_path, {"video01": [(0, 0), (25, 0)]}, {"video01": [(0, 0), (1, 0)]})


# --- intervals --------------------------------------------------------------------------------------------------------


def interval(start, end, label, name=None):
    names = (*BYPASS.classes, "out_of_body", "severe_index")
    return {"start": start, "end": end, "label_id": label, "label_name": name or names[label]}


def bypass(tmp_path, phases, steps=()):
    path = tmp_path / "BBP01.mp4.json"
    path.write_text(json.dumps({"phases": phases, "steps": list(steps)}))
    return read_multibypass140(path, "BBP01")


def test_intervals_become_samples_and_overlays_stand_apart(tmp_path):
    found = bypass(tmp_path, [interval(1000, 3000, 0), interval(1500, 2500, 12), interval(3000, 4500, 2)])
    assert list(sampled_phases(found, 1).labels) == [-1, 0, 0, 2, 2]
    assert list(sampled_phases(found, 2).labels) == [-1, -1, 0, 0, 0, 0, 2, 2, 2]
    assert [one.name for one in found.overlays] == ["out_of_body"]


@pytest.mark.parametrize(
    ("phases", "steps", "complaint"),
    [
        ([interval(0, 0, 0)], [], "a start before its end"),
        ([interval(-5, 10, 0)], [], "a start before its end"),
        ([interval(0, 20, 0), interval(10, 30, 1)], [], "intervals that do not overlap"),
        ([interval(0, 20, 0, "omentum_division")], [], "expected 0 to be preparation, found 0 omentum_division"),
        ([interval(0, 20, 77, "anything")], [], "ids from 0 to 13, found 77"),
        ([interval(0, 20, 12)], [], "at least one phase"),
        ([interval(0, 20, 0)], [interval(0, 5, 3, "s4_crura_dissection")], "begins with s3_"),
        ([{"start": 0}], [], "a member end"),
        (
            [{"start": 0.5, "end": 1, "label_id": 0, "label_name": "preparation"}],
            [],
            "start: expected int, found float",
        ),
    ],
)
def test_intervals_that_cannot_be_are_refused(tmp_path, phases, steps, complaint):
    with pytest.raises(InputError, match=complaint):
        bypass(tmp_path, phases, steps)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_intervals_are_sampled_at_a_rate_above_0(tmp_path, fps):
    with pytest.raises(InputError, match="fps: expected samples per second, above 0"):
        sampled_phases(bypass(tmp_path, [interval(0, 2000, 0)]), fps)


def test_interval_labels_are_of_multibypass140_only(tmp_path):
    bypass(tmp_path, [interval(0, 2000, 0)])
    assert list(read_phase_folder(tmp_path, BYPASS, 1)) == ["BBP01"]
    with pytest.raises(InputError, match="labels of cholec80"):
        read_phase_folder(tmp_path, CHOLEC80, 1)


@pytest.mark.shared_data
@pytest.mark.skipif(not BERN.is_dir(), reason="../shared/data/multibypass140-bern is not beside the project")
def test_the_seventy_operations_of_bern_are_read_and_their_durations_kept():
    tracks = read_phase_folder(BERN, BYPASS, 1)
    assert len(tracks) == 70
    first = read_multibypass140(BERN / "BBP01.mp4.json", "BBP01")
    seconds = {name: 0.0 for name in BYPASS.classes}
    for one in first.phases:
        seconds[one.name] += (one.end_ms - one.start_ms) / 1000
    counted = np.bincount(sample(first.phases, 10)[sample(first.phases, 10) >= 0], minlength=12) / 10
    assert np.abs(counted - list(seconds.values())).max() < 1


# --- whatever the bytes -----------------------------------------------------------------------------------------------

LINES = st.lists(
    st.tuples(st.sampled_from(["0", "1", "25", "-1", "x", ""]), st.sampled_from(["\t", " ", ""]), st.text(max_size=6)),
    max_size=5,
).map(lambda rows: "\n".join("".join(row) for row in rows).encode("utf-8", "surrogatepass"))


@settings(max_examples=60)
@given(st.binary(max_size=60) | LINES)
def test_any_bytes_are_a_track_or_an_input_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed-phase.txt"
    path.write_bytes(data)
    for read in (read_phase_text, read_phase_text_as_script):
        try:
            track = read(path, CHOLEC80, "fuzzed")
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert len(track.frames) == len(track.labels) > 0
            assert set(track.labels) <= set(range(-1, 7))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["phases", "steps", "start", "end", "label_id", "label_name"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON)
def test_any_json_is_intervals_or_an_input_error(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "fuzzed.mp4.json"
    path.write_text(json.dumps(values))
    try:
        found = read_multibypass140(path, "fuzzed")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found.phases


RUNS = st.lists(st.tuples(st.sampled_from(range(7)), st.integers(1, 40)), min_size=1, max_size=8)


@given(RUNS, st.booleans(), st.booleans())
def test_what_is_written_in_any_form_is_read_again(tmp_path_factory, runs, names, header):
    ids = [label for label, n in runs for _ in range(n)]
    path = tmp_path_factory.getbasetemp() / "written-phase.txt"
    rows = [f"{k}\t{CHOLEC80.classes[label] if names else label}" for k, label in enumerate(ids)]
    path.write_text("\n".join((["Frame\tPhase"] if header else []) + rows) + "\n")
    assert labels(path) == ids
    if header:
        assert list(read_phase_text_as_script(path, CHOLEC80, "x").labels) == ids

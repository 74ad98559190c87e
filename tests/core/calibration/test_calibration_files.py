"""What is written is read again as it was; what was changed, or is wrong, is refused by its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_cameras import FISHEYE, KNOWN, RATIONAL, RIGHT, RIGHT_FROM_LEFT

from surgical_ml.calibration import davinci, files, opencv_yaml, ros_camera_info
from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import (
    CameraCalibration,
    Provenance,
    RigidTransform,
    StereoCalibration,
    Validity,
    require_camera,
)
from surgical_ml.calibration.synthetic import ENDOSCOPE
from surgical_ml.errors import InputError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "dvrk-camera" / "camera_calibration.yaml"
MADE = Provenance(made_by="test")
STEREO = StereoCalibration(
    schema="surgical_ml/stereo@1",
    left=ENDOSCOPE,
    right=RIGHT,
    right_from_left=RigidTransform.of("right_optical", "left_optical", RIGHT_FROM_LEFT),
    provenance=MADE,
)
ENDOVIS = """Width: 1280
Height: 1024
Camera-0-F: 1084.21 1084.05 // focal length
Camera-0-C: 580.02 506.79
Camera-0-K: 0.0 -0.0002 0.0 0.0 0.0 trailing words
Camera-1-F: 1084.2 1084.0
Camera-1-C: 680.1 506.8
Extrinsic-Omega: 0.0 0.01 0.0
Extrinsic-T: -4.35 0.01 0.02
"""
INI = """[StereoLeft]
res_x=1280
res_y=1024
fc_x=1084.2
fc_y=1084.0
cc_x=580
cc_y=506
kc_0=0.01
kc_1=0
kc_2=0
kc_3=0
kc_4=0
R_0=1
R_1=0
R_2=0
R_3=0
R_4=1
R_5=0
R_6=0
R_7=0
R_8=1
T_0=0
T_1=0
T_2=0
"""
PAIR_INI = INI + "\n" + INI.replace("StereoLeft", "StereoRight").replace("T_0=0", "T_0=-4.5")


def camera(lens, **more):
    return CameraCalibration(schema="surgical_ml/camera@1", lens=lens, provenance=MADE, **more)


@pytest.mark.parametrize("ending", [".yaml", ".json"])
@pytest.mark.parametrize("made", [camera(ENDOSCOPE), camera(FISHEYE), STEREO], ids=["pinhole", "fisheye", "stereo"])
def test_a_calibration_is_read_again_as_it_was_written(made, ending, tmp_path):
    identity = files.write(made, tmp_path / f"c{ending}")
    assert files.read(tmp_path / f"c{ending}") == made
    assert files.digest(made) == identity


def test_a_number_changed_by_hand_is_noticed(tmp_path):
    path = tmp_path / "c.yaml"
    identity = files.write(camera(ENDOSCOPE), path)
    path.write_text(path.read_text().replace("fx: 1320.0", "fx: 1321.0"))
    with pytest.raises(InputError, match=rf"c.yaml, line 1, digest: expected the digest .*, found {identity}"):
        files.read(path)


def test_a_file_without_its_digest_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    files.write(camera(ENDOSCOPE), path)
    path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(InputError, match=r"the digest of the content, .*found none"):
        files.read(path)


@pytest.mark.parametrize("model", KNOWN)
def test_camera_info_keeps_a_lens_of_every_model(model, tmp_path):
    ros_camera_info.write_camera(camera(KNOWN[model]), tmp_path / "c.yaml", "scope")
    read = files.read_any(tmp_path / "c.yaml")
    assert read.lens == KNOWN[model]
    assert read.validity.camera == "scope"


@pytest.mark.parametrize(("lens", "other"), [(ENDOSCOPE, RIGHT), (FISHEYE, FISHEYE)], ids=["pinhole", "fisheye"])
def test_two_camera_infos_keep_a_pair(lens, other, tmp_path):
    left, right = tmp_path / "left.yaml", tmp_path / "right.yaml"
    pair = STEREO.model_copy(update={"left": lens, "right": other})
    ros_camera_info.write_pair(pair, left, right, "scope")
    read = ros_camera_info.read_pair(left, right)
    assert (read.left, read.right) == (lens, other)
    assert read.right_from_left.matrix == pytest.approx(RIGHT_FROM_LEFT, abs=1e-7)


@pytest.mark.parametrize("lens", [ENDOSCOPE, RATIONAL, FISHEYE], ids=["pinhole", "rational", "fisheye"])
def test_opencv_yaml_keeps_a_lens_of_every_model(lens, tmp_path):
    opencv_yaml.write(camera(lens), tmp_path / "c.yaml")
    assert files.read_any(tmp_path / "c.yaml").lens == lens


def test_opencv_yaml_keeps_a_pair(tmp_path):
    opencv_yaml.write(STEREO, tmp_path / "c.yaml")
    read = files.read_any(tmp_path / "c.yaml")
    assert (read.left, read.right) == (ENDOSCOPE, RIGHT)
    assert read.right_from_left.matrix == pytest.approx(RIGHT_FROM_LEFT, abs=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("plumb_bob", "brown", "line 8, distortion_model: expected one of plumb_bob"),
        ("image_width: 1920", "image_width: 0", "line 1, image_width: expected image_width as a positive whole number"),
        ("camera_matrix", "camera_matrx", "expected camera_matrix, found no such key; camera_matrx in line"),
        ("1320.0, 0.0, 951.3", "1320.0, 3.0, 951.3", "camera_matrix: expected 0 in row 1, column 2, found 3"),
        ("1320.0", "'wide'", "camera_matrix: expected numbers, found 'wide'"),
        ("image_height", "image_width", "line 2.*image_width stated twice"),
    ],
)
def test_a_camera_info_that_is_wrong_is_refused_by_its_line(old, new, message, tmp_path):
    path = tmp_path / "c.yaml"
    ros_camera_info.write_camera(camera(ENDOSCOPE), path, "scope")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        files.read_any(path)


def test_endovis_text_is_read_with_its_irregularities():
    read = davinci.of_text("c.txt", ENDOVIS)
    assert (read.left.fx, read.left.cy, read.left.image_size) == (1084.21, 506.79, (1280, 1024))
    assert read.right.distortion == (0.0,) * 5
    assert read.baseline_m == pytest.approx(0.00435, abs=1e-5)
    notes = " / ".join(read.provenance.notes)
    for part in ("line 5: text behind the numbers", "no Camera-1-K: distortion taken as zero", "taken as millimetres"):
        assert part in notes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Height: 1024\n", "", "a line Height, found only the other one, in line 1"),
        ("Camera-0-C: 580.02 506.79\n", "", r"a line Camera-0-C \(principal point\), found none"),
        ("1084.21 1084.05", "1084.21", "line 3, Camera-0-F: expected 2 numbers, found 1"),
        ("1084.21 1084.05", "1084.21 x84.05", "line 3, Camera-0-F: expected 2 numbers, found 1 before `x84.05"),
        ("1084.21 1084.05", "-3 4", "line 3, Camera-0-F: expected positive focal lengths"),
        ("Extrinsic-T: -4.35 0.01 0.02\n", "", "a line Extrinsic-T, found only the other half of the pose, in line 8"),
        ("-4.35 0.01", "-4350 0.01", "line 9, Extrinsic-T: expected a baseline of 0.5 to 50 mm"),
        ("Camera-1-F", "Camera-0-F: 1 1\nCamera-1-F", "line 6, Camera-0-F: expected the numbers of line 3"),
        (ENDOVIS, "hello\n", "EndoVis lines such as .* found 'hello'"),
    ],
)
def test_endovis_text_that_is_wrong_is_refused_by_its_line(old, new, message):
    assert old in ENDOVIS
    with pytest.raises(InputError, match=message):
        davinci.of_text("c.txt", ENDOVIS.replace(old, new, 1))


def test_a_stereo_ini_is_read_with_its_pose():
    read = davinci.of_text("c.ini", PAIR_INI)
    assert read.baseline_m == pytest.approx(0.0045)
    assert read.left.distortion[0] == 0.01


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fc_x=1084.2\n", "", r"fc_x in \[StereoLeft\], found none"),
        ("[StereoLeft]", "[StereoLft]", r"a section \[StereoLeft\]"),
        ("fc_x=1084.2", "fc_x=wide", "line 4, fc_x: expected one number, found wide"),
        ("R_0=1", "R_0=2", "a rotation matrix"),
    ],
)
def test_a_stereo_ini_that_is_wrong_is_refused(old, new, message):
    with pytest.raises(InputError, match=message):
        davinci.of_text("c.ini", PAIR_INI.replace(old, new, 1))


def test_camcal_json_is_read_or_its_entry_named(tmp_path):
    one = '{"f": [1084, 1084], "c": [580, 506], "k": [0, 0, 0, 0, 0]}'
    path = tmp_path / "c.json"
    path.write_text(f'{{"data": {{"width": 1280, "height": 1024, "intrinsics": [{one}, {one}], '
                    '"extrinsics": [{"om": [0, 0, 0], "T": [-4.3, 0, 0]}]}}')  # fmt: skip
    assert files.read_any(path).baseline_m == pytest.approx(0.0043)
    path.write_text(path.read_text().replace('"c": [580, 506], ', "", 1))
    with pytest.raises(InputError, match="intrinsics 0, c: expected 2 numbers, found no such entry"):
        files.read_any(path)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/dvrk-camera")
def test_a_real_dvrk_calibration_is_read():
    read = files.read_any(SHARED, (800, 480))
    assert read.lens.fx == pytest.approx(827.892, abs=1e-3)
    assert read.lens.distortion[4] == pytest.approx(-0.917562, abs=1e-6)
    assert "no image size stated" in read.provenance.notes


@given(st.lists(st.sampled_from(ENDOVIS.splitlines()) | st.text(max_size=30), max_size=14), st.booleans())
def test_any_text_is_a_calibration_or_refused(lines, ini):
    text = "\n".join(([*PAIR_INI.splitlines()[: len(lines) * 3]] if ini else []) + lines)
    try:
        read = davinci.of_text("c.txt", text)
    except InputError as error:
        assert error.thing.startswith("c.txt")
        return
    assert all(isinstance(lens, Lens) for lens in read.lenses)


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from([".yaml", ".json", ".txt", ".ini"])
)
def test_any_file_is_a_calibration_or_refused(tmp_path_factory, content, ending):
    path = tmp_path_factory.getbasetemp() / f"any{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="any"):
        files.read_any(path)


def test_a_calibration_of_other_pictures_or_another_camera_is_refused():
    made = camera(ENDOSCOPE, validity=Validity(camera="head 7"))
    require_camera("c.yaml", made, (1920, 1080), "head 7")
    require_camera("c.yaml", made, (1920, 1080), None)
    with pytest.raises(InputError, match="calibration for 1280x720 pictures, found one for 1920x1080"):
        require_camera("c.yaml", made, (1280, 720), None)
    with pytest.raises(InputError, match="calibration of camera head 8, found one of camera head 7"):
        require_camera("c.yaml", made, (1920, 1080), "head 8")
    example = made.model_copy(update={"provenance": Provenance(made_by="test", example=True)})
    with pytest.raises(InputError, match="a measured calibration"):
        require_camera("c.yaml", example, (1920, 1080), None)
    require_camera("c.yaml", example, (1920, 1080), None, allow_example=True)
    nameless = camera(ENDOSCOPE.model_copy(update={"image_size": None}))
    with pytest.raises(InputError, match="no image size stated"):
        require_camera("c.yaml", nameless, (1920, 1080), None)

"""Masks are read to the pixel, and a picture that is none is refused by name."""

import json
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.labels import (
    IGNORED,
    read_cholecseg8k,
    read_coco,
    read_colour_map,
    read_colours,
    read_endovis17,
    read_endovis18,
    read_label_map,
)

IDS = np.array([[0, 1, 2], [3, 250, 255]], np.uint8)


def save(path, picture, rgb=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1] if rgb else picture)
    return path


def save_palette(path, indices, palette):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = indices.shape
    rows = b"".join(b"\0" + row.tobytes() for row in indices.astype(np.uint8))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", np.array(palette, np.uint8).tobytes())
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def test_grey_of_8_and_16_bits_and_grey_stored_as_colour_are_label_maps(tmp_path):
    wide = IDS.astype(np.uint16) * 200
    assert read_label_map(save(tmp_path / "8.png", IDS)).tolist() == IDS.tolist()
    assert read_label_map(save(tmp_path / "16.png", wide)).tolist() == wide.tolist()
    assert read_label_map(save(tmp_path / "rgb.png", np.dstack([IDS] * 3))).tolist() == IDS.tolist()


def test_a_palette_picture_gives_indices_not_colours(tmp_path):
    palette = [(0, 0, 0), (255, 0, 0), (0, 128, 255)]
    path = save_palette(tmp_path / "p.png", np.array([[0, 1], [2, 1]]), palette)
    assert read_label_map(path).tolist() == [[0, 1], [2, 1]]


def test_a_palette_padded_with_black_still_has_black_as_index_0(tmp_path):
    path = save_palette(tmp_path / "p.png", np.array([[0, 1]]), [(0, 0, 0), (9, 9, 9), (0, 0, 0), (0, 0, 0)])
    assert read_label_map(path).tolist() == [[0, 1]]


def test_a_palette_that_uses_one_colour_for_two_indices_is_refused(tmp_path):
    path = save_palette(tmp_path / "p.png", np.array([[0, 1]]), [(9, 9, 9), (9, 9, 9), (1, 2, 3)])
    with pytest.raises(InputError, match="a palette of different colours"):
        read_label_map(path)


def test_a_picture_in_colours_is_no_label_map(tmp_path):
    path = save(tmp_path / "c.png", np.array([[[1, 2, 3]]], np.uint8))
    with pytest.raises(InputError, match="one value a pixel, found a picture in colours"):
        read_label_map(path)


@pytest.mark.parametrize("data", [b"../videos/VID01.jpg\n", b"\x89PNG\r\n\x1a\nxxxxxxxxxxxxxxx", b""])
def test_a_link_that_was_copied_as_text_or_a_cut_picture_is_refused(tmp_path, data):
    path = tmp_path / "broken.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"broken\.png: expected a (whole )?picture"):
        read_label_map(path)


def test_a_picture_that_claims_more_pixels_than_anyone_has_is_refused(tmp_path):
    path = save(tmp_path / "mask.png", np.zeros((4, 4), np.uint8))
    header = b"IHDR" + struct.pack(">II", 1 << 16, 1 << 15) + path.read_bytes()[24:29]
    path.write_bytes(path.read_bytes()[:12] + header + struct.pack(">I", zlib.crc32(header)) + path.read_bytes()[33:])
    with pytest.raises(InputError, match=r"expected a whole picture, found .* bytes that are none"):
        read_label_map(path)


def test_a_scene_of_endovis18_is_read_by_its_colours(tmp_path):
    picture = np.array([[[0, 0, 0], [0, 255, 255]], [[125, 255, 12], [12, 255, 141]]], np.uint8)
    assert read_endovis18(save(tmp_path / "frame000.png", picture, rgb=True)).tolist() == [[0, 2], [3, 11]]
    picture[0, 0] = (1, 2, 3)
    with pytest.raises(InputError, match=r"colours of known classes, found \(1, 2, 3\)"):
        read_endovis18(save(tmp_path / "frame001.png", picture, rgb=True))


def test_the_colours_of_a_labels_json_are_used(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps([{"name": "thread", "color": [9, 8, 7], "classid": 6}]))
    picture = save(tmp_path / "frame.png", np.array([[[9, 8, 7]]], np.uint8), rgb=True)
    assert read_colour_map(picture, read_colours(path)).tolist() == [[6]]
    for bad, complaint in (([1, 2], "red, green and blue"), ([0, 0, 256], "red, green and blue")):
        path.write_text(json.dumps([{"name": "x", "color": bad, "classid": 0}]))
        with pytest.raises(InputError, match=complaint):
            read_colours(path)
    path.write_text(json.dumps([{"color": [0, 0, 0], "classid": k} for k in range(2)]))
    with pytest.raises(InputError, match="a colour of its own"):
        read_colours(path)


def test_the_instruments_of_endovis17_come_from_a_folder_each(tmp_path):
    for name, mask in {
        "Left_Prograsp_Forceps": [[10, 20, 0]],
        "Large_Needle_Driver_Right": [[0, 30, 0]],
        "Maryland_Bipolar_Forceps": [[0, 0, 30]],
    }.items():
        save(tmp_path / f"{name}_labels" / "frame000.png", np.array(mask, np.uint8))
    # folders come in the order of the alphabet: Large_Needle_Driver_Right is beneath Left_Prograsp_Forceps
    assert read_endovis17(tmp_path, "frame000.png").tolist() == [[2, 2, 1]]
    with pytest.raises(InputError, match=r"frame001\.png"):
        read_endovis17(tmp_path, "frame001.png")
    save(tmp_path / "Stapler_labels" / "frame000.png", np.array([[0, 0, 1]], np.uint8))
    with pytest.raises(InputError, match="found Stapler"):
        read_endovis17(tmp_path, "frame000.png")


def test_an_endovis17_folder_without_instruments_or_with_two_sizes_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder \\*_labels"):
        read_endovis17(tmp_path, "frame000.png")
    save(tmp_path / "Left_Prograsp_Forceps_labels" / "frame000.png", np.zeros((2, 3), np.uint8))
    save(tmp_path / "Other_labels" / "frame000.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match="expected 3x2, found 3x3"):
        read_endovis17(tmp_path, "frame000.png")


def test_watershed_values_of_cholecseg8k_are_classes_and_its_two_undocumented_ones_are_ignored(tmp_path):
    values = np.array([[0x50, 0x11, 0x21, 0x31], [0x32, 0x05, 0x00, 0xFF]], np.uint8)
    path = save(tmp_path / "frame_80_endo_watershed_mask.png", np.dstack([values] * 3))
    assert read_cholecseg8k(path).tolist() == [[0, 1, 2, 5], [9, 12, IGNORED, IGNORED]]
    with pytest.raises(InputError, match="watershed values of CholecSeg8k, found 0x7f"):
        read_cholecseg8k(save(tmp_path / "colour.png", np.full((1, 1), 0x7F, np.uint8)))


# --- COCO -------------------------------------------------------------------------------------------------------------


def coco(tmp_path, *annotations, **changes):
    values = {
        "images": [{"id": 7, "file_name": "a.png", "width": 6, "height": 4}],
        "categories": [{"id": 1, "name": "hook"}, {"id": 2, "name": "grasper"}],
        "annotations": list(annotations),
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(values | changes))
    return read_coco(path)


def annotation(number=1, segmentation=None, box=(1, 1, 2, 2), **changes):
    values = {"id": number, "image_id": 7, "category_id": 1, "bbox": list(box), "segmentation": segmentation}
    return values | changes


def test_polygons_runs_and_compressed_runs_are_the_same_mask(tmp_path):
    # columns 1 and 2, rows 1 and 2 of a 4 x 6 picture
    runs = {"size": [4, 6], "counts": [5, 2, 2, 2, 13]}
    packed = {"size": [4, 6], "counts": "522" + chr(48 + 0) + ";"}
    polygon = [[1, 1, 3, 1, 3, 3, 1, 3]]
    found = coco(tmp_path, annotation(1, polygon), annotation(2, runs), annotation(3, packed))
    expected = np.zeros((4, 6), bool)
    expected[1:3, 1:3] = True
    assert all(np.array_equal(found.mask(one), expected) for one in found.instances)


@given(st.lists(st.tuples(st.integers(-8, 56), st.integers(-8, 40)), min_size=3, max_size=7))
def test_a_polygon_holds_the_pixels_whose_centre_lies_inside(tmp_path_factory, corners):
    points = [(x / 8 + 0.03, y / 8 + 0.01) for x, y in corners]
    found = coco(tmp_path_factory.getbasetemp(), annotation(1, [[part for point in points for part in point]]))
    mask = found.mask(found.instances[0])
    for row in range(4):
        for column in range(6):
            x, y = column + 0.5, row + 0.5
            crossed = 0
            for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
                if (y0 <= y) != (y1 <= y):
                    crossed += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
            assert mask[row, column] == crossed % 2


def test_a_category_0_cannot_be_told_from_background_in_a_label_map(tmp_path):
    found = coco(
        tmp_path, annotation(segmentation=[[1, 1, 3, 1, 3, 3]], category_id=0), categories=[{"id": 0, "name": "x"}]
    )
    with pytest.raises(InputError, match="expected categories from 1 in a label map, where 0 is background, found 0"):
        found.label_map(next(iter(found.images)))


def test_a_label_map_puts_later_instances_on_top(tmp_path):
    whole = {"size": [4, 6], "counts": [0, 24]}
    corner = {"size": [4, 6], "counts": [0, 1, 23]}
    found = coco(tmp_path, annotation(1, whole), annotation(2, corner, category_id=2))
    labels = found.label_map(7)
    assert labels[0, 0] == 2
    assert labels.sum() == 25
    with pytest.raises(InputError, match="the id of a picture, found 8"):
        found.label_map(8)


@pytest.mark.parametrize(
    ("annotations", "changes", "complaint"),
    [
        ([annotation(box=(-1, -1, -1, -1))], {}, r"a box inside 6x4, found \[-1, -1, -1, -1\]"),
        ([annotation(box=(3, 1, 5, 1))], {}, "a box inside 6x4"),
        ([annotation(box=(1, 1, 2))], {}, "a box of 4 numbers"),
        ([annotation(image_id=8)], {}, "the id of a picture, found 8"),
        ([annotation(category_id=3)], {}, r"a category of \[1, 2\], found 3"),
        ([annotation(), annotation()], {}, "an id of its own, found 1"),
        ([], {"images": [{"id": 1, "file_name": "a", "width": 0, "height": 1}]}, "an id of its own and a size"),
        ([], {"categories": [{"id": 1, "name": "a"}] * 2}, "an id of its own"),
        ([], {"images": None}, "images: expected list"),
    ],
)
def test_a_bad_coco_file_is_one_line_that_names_the_place(tmp_path, annotations, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        coco(tmp_path, *annotations, **changes)


@pytest.mark.parametrize(
    ("segmentation", "complaint"),
    [
        (None, "polygons or a run-length mask"),
        ([[0, 0, 1, 1]], "polygons of three points"),
        ({"size": [6, 4], "counts": [24]}, "a mask of 4x6"),
        ({"size": [4, 6], "counts": [5]}, "runs over 24 pixels"),
        ({"size": [4, 6], "counts": "P"}, "cut short"),
        ({"size": [4, 6], "counts": "\u00ff"}, "compressed runs"),
    ],
)
def test_a_mask_that_does_not_fit_its_picture_is_refused(tmp_path, segmentation, complaint):
    found = coco(tmp_path, annotation(1, segmentation))
    with pytest.raises(InputError, match=complaint):
        found.mask(found.instances[0])


@given(st.lists(st.booleans(), min_size=24, max_size=24))
def test_runs_give_back_every_mask(tmp_path_factory, pixels):
    mask = np.array(pixels).reshape(4, 6)
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate(([0], edges, [24]))).tolist()
    counts = [0, *counts] if flat[0] else counts
    found = coco(tmp_path_factory.getbasetemp(), annotation(1, {"size": [4, 6], "counts": counts}))
    assert np.array_equal(found.mask(found.instances[0]), mask)


@settings(max_examples=50)
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_a_mask_or_an_input_error(tmp_path_factory, data, as_png):
    path = tmp_path_factory.getbasetemp() / "fuzzed.png"
    path.write_bytes((b"\x89PNG\r\n\x1a\n" if as_png else b"") + data)
    for read in (read_label_map, read_endovis18, read_cholecseg8k, read_coco, read_colours):
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error)

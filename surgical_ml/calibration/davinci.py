"""The layouts in which da Vinci calibrations are handed on: EndoVis text, stereo INI, dVRK YAML, camcal JSON.

They are read with their irregularities: comments and text behind the numbers, keys in any case and order, missing
distortion, missing size, one camera only. What had to be assumed is noted; what cannot be assumed is refused.
"""

import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from surgical_ml.calibration.files import build
from surgical_ml.calibration.lines import LinedMapping, flatten
from surgical_ml.calibration.model import CameraCalibration, Provenance, RigidTransform, StereoCalibration
from surgical_ml.calibration.opencv_yaml import lens_of, metres, transform
from surgical_ml.calibration.rigid import Floats, inverse, rigid
from surgical_ml.errors import InputError

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
COMMENT = re.compile(r"//|#|%|;")
KEY = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s*[:=]?\s*(.*)")
COUNTS: dict[str, tuple[int, ...]] = {
    "width": (1,), "height": (1,), "extrinsic-omega": (3, 9), "extrinsic-t": (3,),
    **{f"camera-{n}-{key}": counts for n in (0, 1)
       for key, counts in (("f", (2,)), ("c", (2,)), ("alpha", (1,)), ("k", (4, 5, 8)))},
}  # fmt: skip
SKEW_PX = 0.5  # a skew that moves no pixel by more than this is noted and left out
INI_INTRINSICS = ("fc_x", "fc_y", "cc_x", "cc_y")


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    values: list[float]


def of_text(name: str, text: str) -> CameraCalibration | StereoCalibration:
    """A calibration from text: EndoVis lines (`Camera-0-F: 1084 1084 // comment`) or an INI file of two cameras.

    Raises:
        InputError: it is neither, or a line of it is wrong; with the line.
    """
    if re.search(r"^\s*\[\s*Stereo(Left|Right)\s*\]", text, re.MULTILINE | re.IGNORECASE):
        return _of_ini(name, text)
    notes: list[str] = []
    found = _entries(name, text, notes)
    if not any(key.startswith("camera-") for key in found):
        wanted = "EndoVis lines such as `Camera-0-F: 1084.2 1084.0`, or an INI file with [StereoLeft]"
        raise InputError(name, wanted, _first_line(text))
    size = _text_size(name, found, notes)
    left = _text_lens(name, found, 0, size, notes)
    if not any(key.startswith("camera-1-") for key in found):
        notes.append("one camera only")
        return _mono(name, left, "read from EndoVis text", notes)
    right = _text_lens(name, found, 1, size, notes)
    keys = [key for key in ("extrinsic-omega", "extrinsic-t") if key in found]
    pose = None
    if not keys:
        notes.append("no Extrinsic-Omega and Extrinsic-T: the cameras' relation is not stated")
    elif len(keys) == 1:
        missing = "Extrinsic-T" if keys == ["extrinsic-omega"] else "Extrinsic-Omega"
        raise InputError(name, f"a line {missing}", f"only the other half of the pose, in line {found[keys[0]].line}")
    else:
        omega, shift = found["extrinsic-omega"], found["extrinsic-t"]
        place = f"{name}, line {shift.line}, Extrinsic-T"
        pose = transform(
            f"{name}, line {omega.line}, Extrinsic-Omega", omega.values, metres(place, shift.values, notes)
        )
    return _stereo(name, left, right, pose, "read from EndoVis text", notes)


def is_dvrk_yaml(values: dict[str, Any]) -> bool:
    """Whether a mapping is laid out as dVRK hand-eye programs do: `intrinsic` and `distortion`, nested lists."""
    return isinstance(values.get("intrinsic"), list)


def of_dvrk_yaml(mapping: LinedMapping) -> CameraCalibration:
    """One camera from `intrinsic` (3x3) and `distortion`; the layout has no image size.

    Raises:
        InputError: a key is wrong; with its line.
    """
    notes = ["no image size stated"]
    distortion = "distortion" if "distortion" in mapping.values else None
    lens = lens_of(mapping, "intrinsic", distortion, None, notes)
    return _mono(mapping.name, lens, "read from dVRK YAML", notes)


def is_camcal_json(values: dict[str, Any]) -> bool:
    """Whether a mapping holds a list of `intrinsics`, as the da Vinci's JSON export has it, perhaps under `data`."""
    inner = values.get("data", values)
    return isinstance(inner, dict) and isinstance(inner.get("intrinsics"), list)


def of_camcal_json(mapping: LinedMapping) -> CameraCalibration | StereoCalibration:
    """One or two cameras from the JSON export: `intrinsics` with f, c, k and `extrinsics` with om, T.

    Raises:
        InputError: an entry is missing or wrong.
    """
    data = mapping.values.get("data", mapping.values)
    notes: list[str] = []
    size = None
    if "width" in data and "height" in data:
        width, height = (int(flatten(f"{mapping.name}, {key}", data[key])[0]) for key in ("width", "height"))
        size = (width, height)
    else:
        notes.append("no image size stated")
    lenses = []
    for index, camera in enumerate(data["intrinsics"][:2]):
        found = {}
        for key, counts in (("f", (2,)), ("c", (2,)), ("k", (4, 5, 8))):
            place = f"{mapping.name}, intrinsics {index}, {key}"
            if not isinstance(camera, dict) or key not in camera:
                raise InputError(place, f"{counts[0]} numbers", "no such entry")
            found[key] = flatten(place, camera[key])
            if len(found[key]) not in counts:
                raise InputError(place, f"{' or '.join(map(str, counts))} numbers", f"{len(found[key])}")
        lenses.append(_lens(found["f"], found["c"], found["k"], size))
    if not lenses:
        raise InputError(f"{mapping.name}, intrinsics", "at least one camera", "none")
    if len(lenses) == 1:
        return _mono(mapping.name, lenses[0], "read from camcal JSON", notes)
    pose, outer = None, data.get("extrinsics")
    outer = outer[0] if isinstance(outer, list) and outer else outer
    if isinstance(outer, dict) and "om" in outer and "T" in outer:
        place = f"{mapping.name}, extrinsics"
        turn, shift = flatten(f"{place}, om", outer["om"]), flatten(f"{place}, T", outer["T"])
        if len(turn) not in (3, 9) or len(shift) != 3:
            raise InputError(place, "om of 3 or 9 and T of 3 numbers", f"{len(turn)} and {len(shift)}")
        pose = transform(f"{place}, om", turn, metres(f"{place}, T", shift, notes))
    else:
        notes.append("no extrinsics with om and T: the cameras' relation is not stated")
    return _stereo(mapping.name, lenses[0], lenses[1], pose, "read from camcal JSON", notes)


def _entries(name: str, text: str, notes: list[str]) -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = COMMENT.split(raw, maxsplit=1)[0].strip()
        if not line:
            continue
        match = KEY.fullmatch(line)
        key = match[1].lower() if match else ""
        if match is None or key not in COUNTS:
            notes.append(f"line {number} not understood and left out: {raw.strip()[:40]}")
            continue
        place = f"{name}, line {number}, {match[1]}"
        values, rest = _leading_numbers(match[2])
        counts = COUNTS[key]
        if len(values) not in counts:
            found_text = f"{len(values)}" + (f" before `{rest[:30]}`" if rest else "")
            raise InputError(place, f"{' or '.join(map(str, counts))} numbers", found_text)
        if rest:
            notes.append(f"line {number}: text behind the numbers left out: {rest[:40]}")
        if key in found and found[key].values != values:
            raise InputError(place, f"the numbers of line {found[key].line}, or {match[1]} once", "other numbers")
        found[key] = _Entry(number, values)
    return found


def _leading_numbers(text: str) -> tuple[list[float], str]:
    values: list[float] = []
    position = 0
    while True:
        gap = re.compile(r"[\s,\[\](){}]*").match(text, position)
        start = gap.end() if gap else position
        match = NUMBER.match(text, start)
        ends = match is not None and (match.end() == len(text) or text[match.end()] in " \t,[](){}")
        if match is None or not ends:
            return values, text[start:].strip()
        values.append(float(match[0]))
        position = match.end()


def _text_size(name: str, found: dict[str, _Entry], notes: list[str]) -> tuple[int, int] | None:
    keys = [key for key in ("width", "height") if key in found]
    if not keys:
        notes.append("no Width and Height stated")
        return None
    if len(keys) == 1:
        missing = "Height" if keys == ["width"] else "Width"
        raise InputError(name, f"a line {missing}", f"only the other one, in line {found[keys[0]].line}")
    for key in keys:
        value = found[key].values[0]
        if value != int(value) or not 16 <= value <= 16384:
            raise InputError(f"{name}, line {found[key].line}, {key.title()}", "16 to 16384 pixels", f"{value:g}")
    return int(found["width"].values[0]), int(found["height"].values[0])


def _text_lens(
    name: str, found: dict[str, _Entry], index: int, size: tuple[int, int] | None, notes: list[str]
) -> dict[str, Any]:
    for key, meaning in (("f", "focal length"), ("c", "principal point")):
        if f"camera-{index}-{key}" not in found:
            raise InputError(name, f"a line Camera-{index}-{key.upper()} ({meaning})", "none")
    focal, centre = found[f"camera-{index}-f"], found[f"camera-{index}-c"]
    if min(focal.values) <= 0:
        raise InputError(
            f"{name}, line {focal.line}, Camera-{index}-F", "positive focal lengths", f"{min(focal.values):g}"
        )
    alpha = found.get(f"camera-{index}-alpha")
    if alpha is not None and alpha.values[0] != 0:
        half = size[1] / 2 if size else centre.values[1]
        moved = abs(alpha.values[0]) * focal.values[0] * half / focal.values[1]
        place = f"line {alpha.line}, Camera-{index}-Alpha"
        if moved > SKEW_PX:
            raise InputError(f"{name}, {place}", "no skew", f"{alpha.values[0]:g}, which moves pixels by {moved:.1f}")
        notes.append(f"{place}: skew left out; it moves pixels by at most {moved:.2f}")
    distortion = found.get(f"camera-{index}-k")
    if distortion is None:
        notes.append(f"no Camera-{index}-K: distortion taken as zero")
    return _lens(focal.values, centre.values, distortion.values if distortion else [0.0] * 5, size)


def _of_ini(name: str, text: str) -> StereoCalibration:
    notes: list[str] = []
    sections: dict[str, dict[str, _Entry]] = {}
    current: dict[str, _Entry] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = COMMENT.split(raw, maxsplit=1)[0].strip()
        if not line:
            continue
        heading = re.fullmatch(r"\[\s*(.+?)\s*\]", line)
        if heading:
            current = sections.setdefault(heading[1].lower(), {})
            continue
        key, sign, value = line.partition("=")
        values, rest = _leading_numbers(value)
        if current is None or not sign or not key.strip():
            raise InputError(f"{name}, line {number}", "`key = number` below a [section]", raw.strip()[:40])
        name_of_key = key.strip().lower()
        if name_of_key in current and current[name_of_key].values != values:
            raise InputError(f"{name}, line {number}, {key.strip()}", "each key once", "another value above")
        if len(values) == 1:
            current[name_of_key] = _Entry(number, values)
            if rest:
                notes.append(f"line {number}: text behind the number left out: {rest[:40]}")
        elif name_of_key in INI_INTRINSICS:
            raise InputError(f"{name}, line {number}, {key.strip()}", "one number", value.strip()[:40] or "nothing")
    missing = [side for side in ("stereoleft", "stereoright") if side not in sections]
    if missing:
        wanted = {"stereoleft": "[StereoLeft]", "stereoright": "[StereoRight]"}[missing[0]]
        raise InputError(name, f"a section {wanted}", "none")
    lenses, motions = [], []
    for title, section in (("StereoLeft", sections["stereoleft"]), ("StereoRight", sections["stereoright"])):
        lenses.append(_ini_lens(name, title, section, notes))
        motions.append(_ini_motion(name, title, section, notes))
    pose = None
    if motions[0] is not None and motions[1] is not None:
        pose = RigidTransform.of("right_optical", "left_optical", motions[1] @ inverse(motions[0]))
    else:
        notes.append("no R_0 to R_8 and T_0 to T_2 in both sections: the cameras' relation is not stated")
    return _stereo(name, lenses[0], lenses[1], pose, "read from a stereo INI file", notes)


def _ini_lens(name: str, title: str, section: dict[str, _Entry], notes: list[str]) -> dict[str, Any]:
    for key in INI_INTRINSICS:
        if key not in section:
            raise InputError(name, f"{key} in [{title}]", "none")
    size = None
    if "res_x" in section and "res_y" in section:
        size = (int(section["res_x"].values[0]), int(section["res_y"].values[0]))
    else:
        notes.append(f"no res_x and res_y in [{title}]")
    k = [section[f"kc_{index}"].values[0] for index in range(5) if f"kc_{index}" in section]
    if len(k) not in (0, 4, 5):
        raise InputError(name, f"kc_0 to kc_4 in [{title}]", f"{len(k)} of them")
    if not k:
        notes.append(f"no kc_0 to kc_4 in [{title}]: distortion taken as zero")
    fx, fy, cx, cy = (section[key].values[0] for key in INI_INTRINSICS)
    return _lens([fx, fy], [cx, cy], k or [0.0] * 5, size)


def _ini_motion(name: str, title: str, section: dict[str, _Entry], notes: list[str]) -> Floats | None:
    turn = [section[f"r_{index}"].values[0] for index in range(9) if f"r_{index}" in section]
    shift = [section[f"t_{index}"].values[0] for index in range(3) if f"t_{index}" in section]
    if len(turn) != 9 or len(shift) != 3:
        return None
    place = f"{name}, line {section['t_0'].line}, [{title}] T"
    if not any(shift):
        return transform(f"{place} and R", turn, np.zeros(3)).matrix
    checked = transform(f"{place} and R", turn, metres(place, shift, notes))
    return rigid(np.array(turn).reshape(3, 3), np.array(checked.translation_m))


def _lens(
    focal: list[float], centre: list[float], distortion: list[float], size: tuple[int, int] | None
) -> dict[str, Any]:
    whole = [*distortion, 0.0] if len(distortion) == 4 else distortion
    return {
        "model": "rational" if len(whole) == 8 else "pinhole",
        "fx": focal[0], "fy": focal[1], "cx": centre[0], "cy": centre[1],
        "distortion": whole,
        "image_size": size,
    }  # fmt: skip


def _mono(name: str, lens: dict[str, Any], made_by: str, notes: list[str]) -> CameraCalibration:
    provenance = Provenance(made_by=made_by, notes=tuple(notes))
    return cast(CameraCalibration, build(CameraCalibration, name, lens=lens, provenance=provenance))


def _stereo(
    name: str, left: dict[str, Any], right: dict[str, Any], pose: RigidTransform | None, made_by: str, notes: list[str]
) -> StereoCalibration:
    if pose is not None and pose.translation_m[0] > 0:
        notes.append("the right camera lies to the left of the left one: the cameras may be swapped")
    found = build(
        StereoCalibration,
        name,
        left=left,
        right=right,
        right_from_left=pose,
        provenance=Provenance(made_by=made_by, notes=tuple(dict.fromkeys(notes))),
    )
    return cast(StereoCalibration, found)


def _first_line(text: str) -> str:
    return repr(next((line.strip() for line in text.splitlines() if line.strip()), "")[:40])

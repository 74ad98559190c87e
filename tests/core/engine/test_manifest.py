"""A model is what its manifest says, byte for byte, or it is refused."""

import json
from pathlib import Path

import pytest

from surgical_ml.engine import load_model
from surgical_ml.errors import InputError
from surgical_ml.places import shared_folder


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A private copy of the shipped model."""
    shipped = load_model("cholecystectomy").folder
    copy = tmp_path / "model"
    copy.mkdir()
    for file in shipped.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_shipped_model_loads_and_is_named_by_its_digest() -> None:
    model = load_model("cholecystectomy")
    assert model.manifest.name == "cholecystectomy"
    assert len(model.sha256) == 64
    assert model.file("frame").is_file()


def test_name_with_version_and_folder_mean_the_same_model() -> None:
    by_name = load_model("cholecystectomy")
    assert load_model(f"cholecystectomy/{by_name.manifest.version}") == by_name
    assert load_model(by_name.folder).sha256 == by_name.sha256


@pytest.mark.parametrize("network", ["frame", "phase"])
def test_a_changed_byte_is_refused_by_name_with_both_digests(model_folder: Path, network: str) -> None:
    manifest = json.loads((model_folder / "manifest.json").read_text())
    file = model_folder / manifest["files"][network]["path"]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_model(model_folder)
    assert file.name in caught.value.thing
    assert manifest["files"][network]["sha256"] in caught.value.expected
    assert "sha256 " in caught.value.found
    assert caught.value.expected != caught.value.found


def test_a_missing_file_is_refused_by_name(model_folder: Path) -> None:
    manifest = json.loads((model_folder / "manifest.json").read_text())
    (model_folder / manifest["files"]["phase"]["path"]).unlink()
    with pytest.raises(InputError, match=r"phase\.onnx.*found no file"):
        load_model(model_folder)


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match="cholecystectomy/1"):
        load_model("appendectomy")


def test_a_path_outside_the_models_folder_is_no_name() -> None:
    with pytest.raises(InputError, match="model folder"):
        load_model("../launch")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schema": 2}, "schema"),
        ({"surprise": 1}, "surprise"),
        ({"phases": ["only one"]}, "phases"),
        ({"tools": ["grasper", "grasper"]}, "background, then the tools"),
        ({"input": {"width": 321, "height": 192, "mean": [0, 0, 0], "std": [1, 1, 1]}}, "input.width"),
        ({"files": {"frame": {"path": "../x", "sha256": "0" * 64}}}, "files.frame.path"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    model_folder: Path, changes: dict[str, object], complaint: str
) -> None:
    edit(model_folder, **changes)
    with pytest.raises(InputError, match=complaint):
        load_model(model_folder)


def test_a_manifest_that_is_not_json_is_refused(model_folder: Path) -> None:
    (model_folder / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="expected JSON"):
        load_model(model_folder)


def test_the_shared_folder_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("SURGICAL_ML_SHARE", str(tmp_path))
    assert shared_folder("models") == tmp_path / "models"
    with pytest.raises(InputError, match="shared folder launch"):
        shared_folder("launch")

"""`surgical-ml model`: other precisions, whether they agree, signatures and cards."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.engine import load_model
from surgical_ml.errors import InputError
from surgical_ml.evaluation import agreement
from surgical_ml.evaluation.variants import make_variant

FEW, TWO = 24, range(4400, 4402)
SHIPPED = load_model("cholecystectomy")


@pytest.fixture(autouse=True)
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command compares on takes its time; these tests look at what it makes of it."""
    monkeypatch.setattr(agreement, "FRAMES", FEW)
    monkeypatch.setattr(agreement, "OPERATIONS", TWO)


@pytest.fixture(scope="module")
def half_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="needs the extra train")
    out = tmp_path_factory.mktemp("variants") / "half"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "FRAMES", FEW)
        patch.setattr(agreement, "OPERATIONS", TWO)
        assert make_variant(SHIPPED, "fp16", out).passed
    return out


@pytest.fixture
def half(half_once: Path, tmp_path: Path) -> Path:
    """A private copy of the shipped model in half precision."""
    shutil.copytree(half_once, tmp_path / "half")
    return tmp_path / "half"


def test_export_writes_a_whole_model_that_names_its_parent(cli, half_once: Path, tmp_path: Path) -> None:
    done = cli("model", "export", "cholecystectomy", "--out", tmp_path / "new", "--json")
    assert done.status == 0, done
    said = json.loads(done.out)
    made = load_model(tmp_path / "new")
    assert (made.manifest.precision, made.manifest.parent) == ("fp16", SHIPPED.sha256)
    assert made.manifest.name == "cholecystectomy-fp16"
    assert said["model"] == made.sha256
    assert said["agreement"]["passed"]
    assert said["agreement"]["mask_iou_ppm"] >= 995_000
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        *("card.md", "frame.onnx", "manifest.json", "phase.onnx", "results.json")
    }
    # The same network is the same file, so that its digest can be found again.
    assert made.sha256 == load_model(half_once).sha256


def test_quantise_takes_its_ranges_from_what_it_is_given(cli, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra train")
    done = cli("model", "quantise", "cholecystectomy", "--out", tmp_path / "int8", "--data", pictures, "--json")
    # Ranges of pictures of noise need not be those of an operation: then it says so, and is written all the same.
    said = json.loads(done.out)
    assert done.status == (0 if said["agreement"]["passed"] else 1), done
    made = load_model(tmp_path / "int8")
    assert (made.manifest.precision, made.manifest.parent) == ("int8", SHIPPED.sha256)
    assert made.file("phase").read_bytes() == SHIPPED.file("phase").read_bytes()
    assert ("may be signed" if done.status == 0 else "must not be used") in (tmp_path / "int8" / "card.md").read_text()


def test_a_model_with_the_ranges_of_a_black_picture_says_that_it_must_not_be_used_and_is_not_signed(
    cli, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="needs the extra train")
    black = tmp_path / "black"
    black.mkdir()
    cv2.imwrite(str(black / "0.png"), np.zeros((180, 320, 3), np.uint8))
    out = tmp_path / "int8"
    assert cli("model", "quantise", "cholecystectomy", "--out", out, "--data", black).status == 1
    assert "must not be used" in (out / "card.md").read_text()
    assert cli("model", "sign", out, "--against", "cholecystectomy", "--new-key", tmp_path / "key").status == 1
    assert not (tmp_path / "key").exists()
    assert not (out / "manifest.sig").exists()


def test_nothing_is_left_where_a_variant_could_not_be_made(cli, half: Path, tmp_path: Path) -> None:
    assert "found fp16" in cli("model", "export", half, "--out", tmp_path / "again").line
    assert "expected no such folder yet" in cli("model", "export", "cholecystectomy", "--out", half).line
    line = cli("model", "quantise", "cholecystectomy", "--out", tmp_path / "no", "--data", tmp_path / "no.mp4").line
    assert "no.mp4" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half"]


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_check_compares_an_engine_with_onnx_runtime(cli, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(engine, reason=f"needs the extra of {engine}")
    monkeypatch.setattr(agreement, "FRAMES", 8)
    done = cli("model", "check", "cholecystectomy", "--engine", engine)
    assert done.status == 0, done
    assert f"fp32 on {engine} and cholecystectomy/2 fp32 on onnxruntime over 8 frames: agree" in done.out
    assert "phase: the same on 100.00 % of the frames" in done.out


def test_check_compares_a_model_with_the_one_it_was_made_from_and_shows_the_worst_frame(
    cli, half: Path, tmp_path: Path
) -> None:
    out = tmp_path / "worst" / "frame.png"
    done = cli("model", "check", half, "--against", "cholecystectomy", "--out", out, "--json")
    assert done.status == 0, done
    said = json.loads(done.out)
    assert 0 <= said["worst_index"] < FEW
    assert cv2.imread(str(out)).shape == (270, 3 * 480, 3)


def test_check_is_1_for_models_that_differ_too_much(cli, half: Path, tmp_path: Path) -> None:
    """A network that answers something else, though its manifest is in order."""
    onnx = pytest.importorskip("onnx", reason="needs the extra train")
    graph = onnx.load(half / "frame.onnx")
    bias = next(one for one in graph.graph.initializer if one.name.startswith("net.segmentation.bias"))
    values = onnx.numpy_helper.to_array(bias).copy()
    values[1] += 3
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(graph, half / "frame.onnx")
    digest = hashlib.sha256((half / "frame.onnx").read_bytes()).hexdigest()
    manifest = json.loads((half / "manifest.json").read_text())
    manifest["files"]["frame"]["sha256"] = digest
    (half / "manifest.json").write_text(json.dumps(manifest))
    done = cli("model", "check", half, "--against", "cholecystectomy")
    assert done.status == 1
    assert "DIFFER TOO MUCH" in done.out
    signed = cli("model", "sign", half, "--against", "cholecystectomy", "--new-key", tmp_path / "key")
    assert signed.status == 1
    assert "NOT signed" in signed.out
    assert not (half / "manifest.sig").exists()


def test_each_operation_is_compared_as_if_it_were_the_only_one(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def over(seeds: range) -> agreement.Agreement:
        monkeypatch.setattr(agreement, "OPERATIONS", seeds)
        monkeypatch.setattr(agreement, "FRAMES", 4 * len(seeds))
        return agreement.compare(agreement.Side(load_model(half)), agreement.Side(SHIPPED))

    both, first, second = over(range(4400, 4402)), over(range(4400, 4401)), over(range(4401, 4402))
    assert both.frames == 8
    assert both.mask_iou_ppm == (first.mask_iou_ppm + second.mask_iou_ppm) // 2
    assert both.lowest_case == min(first.lowest_case, second.lowest_case, key=lambda one: one[1])
    assert both.worst_iou_ppm == min(first.worst_iou_ppm, second.worst_iou_ppm)


def test_check_needs_two_things_to_compare(cli, half: Path) -> None:
    assert "the same" in cli("model", "check", "cholecystectomy", "--against", "onnxruntime").line
    assert SHIPPED.sha256 in cli("model", "check", half).line
    assert "expected a model folder" in cli("model", "check", "cholecystectomy", "--against", "abacus").line


def test_models_that_see_other_things_are_not_compared(cli, half: Path, tmp_path: Path) -> None:
    manifest = json.loads((half / "manifest.json").read_text())
    manifest["phases"][0] = "SomethingElse"
    (half / "manifest.json").write_text(json.dumps(manifest))
    assert "phases" in cli("model", "check", half, "--against", "cholecystectomy").line


def test_a_video_without_a_frame_that_counts_proves_nothing(cli, half: Path, tmp_path: Path) -> None:
    black = tmp_path / "black"
    black.mkdir()
    for k in range(3):
        cv2.imwrite(str(black / f"{k}.png"), np.zeros((180, 320, 3), np.uint8))
    line = cli("model", "check", half, "--against", "cholecystectomy", "--video", black).line
    assert "expected a frame that either admits, found none" in line


def test_what_is_signed_with_a_new_key_is_signed_again_with_it(cli, half: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    first = cli("model", "sign", half, "--against", "cholecystectomy", "--new-key", key, "--json")
    assert first.status == 0, first
    name = json.loads(first.out)["signed_by"]
    assert load_model(half, key=name).sha256 == load_model(half).sha256
    again = cli("model", "sign", half, "--against", "cholecystectomy", "--key", key)
    assert f"signed by {name}" in again.out
    assert f"signed by {name}" in cli("model", "card", half).out


def test_sign_wants_one_key_and_the_parent_of_a_variant(cli, half: Path, tmp_path: Path) -> None:
    assert "found neither" in cli("model", "sign", half).line
    both = cli("model", "sign", half, "--key", tmp_path / "a", "--new-key", tmp_path / "b")
    assert "found both" in both.line
    assert "found no file" in cli("model", "sign", half, "--against", "cholecystectomy", "--key", tmp_path / "a").line
    # Two engines that agree on a variant say nothing of what became of it.
    assert SHIPPED.sha256 in cli("model", "sign", half, "--new-key", tmp_path / "b", "--against", "openvino").line


def test_a_card_whose_numbers_are_those_recorded_passes(cli, half: Path) -> None:
    done = cli("model", "card", half)
    assert done.status == 0, done
    assert "every number is as recorded" in done.out
    assert "must not be used on one" in done.out


def test_a_card_that_says_more_less_or_other_than_was_recorded_does_not(cli, half: Path) -> None:
    card = half / "card.md"
    text = card.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| agreement_mask_iou"))
    card.write_text(text.replace(row, "| agreement_mask_iou | 0.5 |\n| praise | 1 |"))
    done = cli("model", "card", half, "--json")
    assert done.status == 1
    assert [line.partition(":")[0] for line in json.loads(done.out)["wrong"]] == ["agreement_mask_iou", "praise"]
    card.write_text(text.replace(row + "\n", ""))
    assert "WRONG agreement_mask_iou: not in the card" in cli("model", "card", half).out


def test_results_of_another_model_or_none_are_refused(cli, half: Path) -> None:
    results = half / "results.json"
    values = json.loads(results.read_text())
    results.write_text(json.dumps(values | {"model": "0" * 64}))
    assert f"found of {'0' * 64}" in cli("model", "card", half).line
    results.write_text("[]")
    assert "results.json" in cli("model", "card", half).line
    results.unlink()
    assert "found no file" in cli("model", "card", half).line


def test_the_card_of_the_shipped_model_says_what_was_recorded(cli) -> None:
    done = cli("model", "card", "cholecystectomy")
    assert done.status == 0, done
    assert "iou_gallbladder" in done.out


def test_the_shipped_model_is_signed_by_the_key_whose_public_part_lies_beside_it(cli) -> None:
    said = json.loads(cli("model", "card", "cholecystectomy", "--json").out)
    assert load_model("cholecystectomy", key=said["signed_by"]).sha256 == SHIPPED.sha256
    with pytest.raises(InputError, match=f"found one by {said['signed_by']}"):
        load_model("cholecystectomy", key="0" * 64)

"""Build, key, load, bind, enqueue and replay over a strict double: interface-tested, not run on TensorRT.

The double computes with ONNX Runtime and refuses what a GPU would answer with a crash or a wrong number.
"""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tensorrt_behaviour import Behaviour, silent, some

from surgical_ml.cli.model_build import build
from surgical_ml.config import CaseConfig
from surgical_ml.engine import EngineFault, load_model, open_engine, tensorrt
from surgical_ml.engine.plan_builder import Steps, build_plan
from surgical_ml.engine.signature import fingerprint, make_key
from surgical_ml.engine.tensorrt import TensorRtEngine
from surgical_ml.errors import InputError
from surgical_ml.session import Assets

REASON = "needs the package onnx: pip install 'surgical_ml[train]'"
onnx = pytest.importorskip("onnx", reason=REASON)
double = pytest.importorskip("tensorrt_double", reason=REASON)
Driver, Misuse = double.Driver, double.Misuse

NOTHING = {"memory": 0, "streams": 0, "graphs": 0, "contexts": 0}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return double.install(monkeypatch)


class TestOverTheDouble(Behaviour):
    tolerance = 1e-4


@pytest.mark.parametrize("version", ["10.16.1.11", "11.4.0.106"])
def test_either_version_runs_on_the_same_path_to_the_bit_and_gives_everything_back(
    monkeypatch: pytest.MonkeyPatch, networks: dict[str, Path], version: str
) -> None:
    machine = double.install(monkeypatch, version=version)
    build_plan(networks["phase"], silent)
    engine = open_engine("tensorrt", networks["phase"])
    reference = open_engine("onnxruntime", networks["phase"], threads=1)
    assert (engine.inputs, engine.outputs) == (reference.inputs, reference.outputs)
    for seed in range(3):
        given = some(engine, seed)
        ours, theirs = engine.run(given), reference.run(given)
        assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert machine.launches == 3
    engine.close()
    assert machine.left() == NOTHING


def test_a_network_without_a_picture_cannot_be_folded(machine: Driver, networks: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"phase\.onnx: expected input image, found only \['dt', "):
        build_plan(networks["phase"], silent, fold=load_model("cholecystectomy").manifest.input)
    assert machine.contexts == 0


# What does not fit is refused, with both values.


def test_a_plan_of_another_network_is_refused_with_both_digests(phase: Path) -> None:
    described = json.loads(phase.with_name("phase.plan.json").read_text())
    model = onnx.load(phase)
    model.doc_string = "not the one that was built from"
    onnx.save(model, phase)
    with pytest.raises(InputError, match=r"a plan for onnx [0-9a-f]{64}, found one for onnx ") as caught:
        open_engine("tensorrt", phase)
    assert described["key"]["onnx"] in caught.value.found


@pytest.mark.parametrize(
    ("other", "version", "expected", "found"),
    [
        (Driver(name="Other GPU"), "10.16.1.11", "gpu Other GPU", "gpu Double GPU"),
        (Driver(capability=(8, 7)), "10.16.1.11", "compute capability 8.7", "compute capability 9.0"),
        (Driver(version=13010), "10.16.1.11", "driver CUDA 13.1", "driver CUDA 13.0"),
        (Driver(), "10.13.0.35", "tensorrt 10.13.0.35", "tensorrt 10.16.1.11"),
    ],
)
def test_a_plan_for_another_machine_is_refused_with_both_values(
    monkeypatch: pytest.MonkeyPatch, phase: Path, other: Driver, version: str, expected: str, found: str
) -> None:
    double.install(monkeypatch, other, version)
    with pytest.raises(InputError) as caught:
        open_engine("tensorrt", phase)
    assert caught.value.expected == f"a plan for {expected}"
    assert caught.value.found.startswith(f"one for {found}; build it anew: surgical-ml model build ")
    assert other.left() == NOTHING


def test_every_difference_is_named_at_once(monkeypatch: pytest.MonkeyPatch, phase: Path) -> None:
    double.install(monkeypatch, Driver(name="Other GPU", capability=(8, 7)), "11.4.0.106")
    with pytest.raises(InputError) as caught:
        open_engine("tensorrt", phase)
    assert caught.value.expected == "a plan for tensorrt 11.4.0.106, gpu Other GPU, compute capability 8.7"


def test_without_a_plan_the_command_that_builds_it_is_named(networks: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"frame\.plan: expected a plan, built before by: surgical-ml model build"):
        open_engine("tensorrt", networks["frame"])


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 2}'])
def test_a_description_that_cannot_be_read_is_refused_by_name(phase: Path, text: str) -> None:
    phase.with_name("phase.plan.json").write_text(text)
    with pytest.raises(InputError, match=r"phase\.plan\.json: expected a valid description of a plan"):
        open_engine("tensorrt", phase)


def test_what_tensorrt_says_of_a_plan_that_it_does_not_take_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, machine: Driver, phase: Path
) -> None:
    monkeypatch.setattr(double, "_head", lambda: b"from tomorrow")
    with pytest.raises(InputError, match=r"found the plan was made by another version; build it anew: surgical-ml"):
        open_engine("tensorrt", phase)
    assert machine.left()["contexts"] == 0


def test_without_a_driver_it_is_one_sane_line(monkeypatch: pytest.MonkeyPatch, phase: Path) -> None:
    def nothing() -> object:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr("surgical_ml.engine.cuda._library", nothing)
    with pytest.raises(
        InputError, match=r"^engine tensorrt: expected an NVIDIA driver .* found libcuda\.so\.1: cannot"
    ):
        open_engine("tensorrt", phase)
    with pytest.raises(InputError, match="an NVIDIA driver"):
        build_plan(phase, silent)


def test_a_driver_without_a_gpu_is_one_sane_line(monkeypatch: pytest.MonkeyPatch, machine: Driver, phase: Path) -> None:
    monkeypatch.setattr(machine, "_cuInit", lambda flags: double.NO_DEVICE)
    machine.__dict__.pop("cuInit", None)
    with pytest.raises(
        InputError, match=r"an NVIDIA GPU that CUDA can use, found 0 devices \(cuda: cuInit: .*NO_DEVICE"
    ):
        open_engine("tensorrt", phase)


def test_without_tensorrt_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch, phase: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(InputError, match="the package tensorrt \\(pip install tensorrt-cu13, "):
        open_engine("tensorrt", phase)


def test_a_tensorrt_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, phase: Path) -> None:
    double.install(monkeypatch, version="10.9.0.34")
    with pytest.raises(InputError, match=r"expected TensorRT 10\.12 or newer, found 10\.9\.0\.34"):
        build_plan(phase, silent)


def test_what_tensorrt_cannot_read_is_one_clear_line(machine: Driver, networks: dict[str, Path]) -> None:
    model = onnx.load(networks["phase"])
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, networks["phase"])
    with pytest.raises(
        InputError, match=r"phase\.onnx: expected a network that TensorRT .* can read, found .*NoSuchOp"
    ):
        build_plan(networks["phase"], silent)
    assert not networks["phase"].with_suffix(".plan").exists()


def test_a_builder_that_is_not_made_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, machine: Driver, networks: dict[str, Path]
) -> None:
    def nothing(logger: object) -> None:
        raise TypeError("factory function returned nullptr")

    monkeypatch.setattr(double.module, "Builder", nothing)
    with pytest.raises(InputError, match=r"expected a builder of TensorRT .*, found factory function returned nullptr"):
        build_plan(networks["phase"], silent)
    assert machine.left() == NOTHING


def test_a_network_of_no_static_shape_is_refused_when_it_is_built(machine: Driver, networks: dict[str, Path]) -> None:
    loosen(networks["phase"])
    with pytest.raises(InputError, match=r"tensor features with a static shape, found \(-1, 131\)"):
        build_plan(networks["phase"], silent)


def loosen(path: Path) -> None:
    model = onnx.load(path)
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_param = "any"
    del model.graph.value_info[:]
    onnx.save(model, path)


def test_a_device_that_fails_while_it_runs_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, machine: Driver, engine: TensorRtEngine
) -> None:
    monkeypatch.setattr(machine.cuGraphLaunch, "answer", lambda *_: double.INVALID_VALUE)
    with pytest.raises(EngineFault, match=r"^cuda: cuGraphLaunch: CUDA_ERROR_INVALID_VALUE \(1\)$"):
        engine.run(some(engine))


# Signed plans.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private copy of the shipped model."""
    return Path(shutil.copytree(load_model("cholecystectomy").folder, tmp_path / "model"))


@pytest.fixture
def signed(machine: Driver, networks: dict[str, Path]) -> tuple[Path, str]:
    """The phase network with a signed plan, and the fingerprint of its key."""
    key = Ed25519PrivateKey.generate()
    build_plan(networks["phase"], silent, signing=key)
    return networks["phase"], fingerprint(key.public_key())


def test_a_plan_of_another_signer_is_refused_with_both_fingerprints(signed: tuple[Path, str]) -> None:
    path, key = signed
    with pytest.raises(InputError) as caught:
        open_engine("tensorrt", path, plan_key="0" * 64)
    assert (caught.value.expected, caught.value.found) == (f"a signature by the key {'0' * 64}", f"one by {key}")


def test_a_plan_without_a_signature_is_refused_where_one_is_asked_for(phase: Path) -> None:
    with pytest.raises(InputError, match=r"phase\.plan\.json: expected a signature by the key f+, found none"):
        open_engine("tensorrt", phase, plan_key="f" * 64)


@pytest.mark.parametrize("field", ["sha256", "folded", "signature", "signer", "key"])
def test_whatever_is_changed_in_a_signed_description_is_found(signed: tuple[Path, str], field: str) -> None:
    path, key = signed
    description = path.with_name("phase.plan.json")
    values = json.loads(description.read_text())
    other = {"folded": True, "key": values["key"] | {"driver": "another"}}
    values[field] = other.get(field, "1" * len(str(values[field])))
    description.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"phase\.plan\.json: expected a signature of it by the key"):
        open_engine("tensorrt", path, plan_key=key)


@pytest.mark.parametrize("field", ["signature", "signer"])
def test_half_a_signature_is_none(signed: tuple[Path, str], field: str) -> None:
    path, _ = signed
    description = path.with_name("phase.plan.json")
    values = json.loads(description.read_text())
    del values[field]
    description.write_text(json.dumps(values))
    with pytest.raises(InputError, match="expected a signature of it by the key"):
        open_engine("tensorrt", path)


def test_a_case_runs_on_the_plan_that_its_site_signed_and_on_no_other(machine: Driver, folder: Path) -> None:
    key = Ed25519PrivateKey.generate()
    build_plan(folder / "frame.onnx", silent, signing=key)
    case = {"model": str(folder), "engine": "tensorrt", "plan_key": fingerprint(key.public_key())}
    assets = Assets.load(CaseConfig.of(case))
    assert machine.launches == 3
    assert assets.model.folder == folder
    with pytest.raises(InputError, match=f"expected a signature by the key {'2' * 64}, found one by"):
        Assets.load(CaseConfig.of(case | {"plan_key": "2" * 64}))


def test_only_tensorrt_has_plans_to_sign(networks: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="plan_key: expected the engine tensorrt, found onnxruntime"):
        open_engine("onnxruntime", networks["phase"], plan_key="0" * 64)


# Building.


def test_a_build_says_how_far_it_is(machine: Driver, networks: dict[str, Path]) -> None:
    said: list[tuple[int, int | None]] = []
    build_plan(networks["phase"], lambda done, total: said.append((done, total)))
    assert said[-1] == (5, 5)
    assert [done for done, _ in said] == sorted(done for done, _ in said)


def test_who_interrupts_a_build_stops_it_and_nothing_is_written(machine: Driver, networks: dict[str, Path]) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(networks["phase"], interrupt)
    assert not list(networks["phase"].parent.glob("phase.plan*"))
    assert machine.contexts == 0


def test_steps_of_a_phase_that_is_not_known_count_for_nothing() -> None:
    said: list[tuple[int, int | None]] = []
    steps = Steps(lambda done, total: said.append((done, total)))
    assert steps.step("unknown", 3)
    steps.start("known", 4)
    steps.step("known", 9)
    steps.finish("known")
    assert said == [(0, 0), (0, 4), (4, 4), (4, 4)]


def test_what_was_measured_is_used_again_but_never_that_of_another_machine(
    monkeypatch: pytest.MonkeyPatch, machine: Driver, networks: dict[str, Path]
) -> None:
    build_plan(networks["phase"], silent)
    cache = networks["phase"].with_name("tensorrt.cache")
    first = cache.read_bytes()
    build_plan(networks["phase"], silent)
    assert cache.read_bytes() == first
    double.install(monkeypatch, Driver(name="Other GPU"))
    build_plan(networks["phase"], silent)
    assert b"Other GPU" in cache.read_bytes()


def test_the_command_builds_the_frame_network_and_runs_it_once(
    machine: Driver, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(str(folder))
    assert capsys.readouterr().out == f"{folder / 'frame.plan'}: built, and runs\n"
    assert machine.launches == 3
    assert machine.left() == NOTHING
    assert sorted(path.name for path in folder.glob("*.plan*")) == ["frame.plan", "frame.plan.json"]
    assert load_model(folder).manifest.name == "cholecystectomy"


def test_the_command_folds_and_signs_where_that_is_asked_for(
    machine: Driver, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = fingerprint(make_key(tmp_path / "site.key").public_key())
    build(str(folder), fold=True, key=tmp_path / "site.key", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"plan": str(folder / "frame.plan")}
    engine = open_engine("tensorrt", folder / "frame.onnx", plan_key=signer)
    assert engine.inputs[0].dtype == "uint8"
    engine.close()


def test_the_phase_network_has_nothing_to_fold(machine: Driver, folder: Path) -> None:
    with pytest.raises(InputError, match="--fold: expected the network frame, which sees the picture, found phase"):
        build(str(folder), network="phase", fold=True)


def test_the_command_that_a_refusal_names_builds_what_was_refused(machine: Driver, folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_engine("tensorrt", folder / "phase.onnx")
    _, _, command = caught.value.expected.partition("built before by: ")
    program, model, verb, given, *options = command.split()
    assert (program, model, verb, given) == ("surgical-ml", "model", "build", str(folder))
    assert options == ["--engine", "tensorrt", "--network", "phase"]
    build(given, engine="tensorrt", network="phase")
    open_engine("tensorrt", folder / "phase.onnx").close()


# Planted misuses: a copy of the adapter with one mistake in it, which the double must find.

WARM = "        self._enqueue()\n        self._cuda.wait(self._stream)\n        graph"
UPLOADS = """        for buffer in (self._buffers[spec.name] for spec in self.inputs):
            self._cuda.upload(buffer.device, buffer.host, buffer.size, self._stream)
"""
STATIC = """    if any(size < 0 for size in shape):
        raise _Refused(f"tensor {name} of no static shape: {shape}")
    return TensorSpec(name, shape, DTYPES[dtype])"""
LOOSE = "    return TensorSpec(name, tuple(max(1, size) for size in shape), DTYPES[dtype])"

MISUSES = {
    "an address beside the buffer": ("(name, buffer.device)", "(name, buffer.device + 4)", "wrong address"),
    "an address of the host": ("(name, buffer.device)", "(name, buffer.host)", "wrong address"),
    "a tensor of another dtype": ('"FLOAT": "float32"', '"FLOAT": "float16"', "wrong dtype"),
    "downloads before the network ran": (
        UPLOADS + "        self._enqueue()\n",
        UPLOADS.replace("inputs", "outputs").replace(
            "upload(buffer.device, buffer.host", "download(buffer.host, buffer.device"
        )
        + UPLOADS
        + "        self._enqueue()\n",
        "wrong order",
    ),
    "a capture before anything ran": (WARM, "        graph", "wrong order"),
    "a reuse before anybody waited": (
        "self._turns[self._turn], self._stream)\n        self._cuda.wait(self._stream)\n",
        "self._turns[self._turn], self._stream)\n",
        "unsynchronised reuse",
    ),
    "the default stream": ("execute_async_v3(self._stream)", "execute_async_v3(0)", "wrong stream"),
    "a stream of its own": (
        "execute_async_v3(self._stream)",
        "execute_async_v3(self._cuda.open_stream())",
        "wrong stream",
    ),
}


def planted(monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> type[TensorRtEngine]:
    """The adapter of a copy of its source in which some text is another."""
    source = Path(tensorrt.__file__).read_text("utf-8")
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    copy = ModuleType("planted_tensorrt")
    monkeypatch.setitem(sys.modules, copy.__name__, copy)
    exec(compile(source, "planted", "exec"), copy.__dict__)
    engine: type[TensorRtEngine] = copy.TensorRtEngine
    return engine


@pytest.mark.parametrize("name", MISUSES)
def test_the_double_finds_a_planted_misuse(monkeypatch: pytest.MonkeyPatch, phase: Path, name: str) -> None:
    old, new, said = MISUSES[name]
    kind = planted(monkeypatch, (old, new))
    with pytest.raises(Misuse):
        engine = kind(phase)
        for seed in range(2):
            engine.run(some(engine, seed))
    assert Misuse.found[0].startswith(said)


def test_the_double_finds_a_planted_missing_shape(
    monkeypatch: pytest.MonkeyPatch, machine: Driver, networks: dict[str, Path]
) -> None:
    loosen(networks["phase"])
    monkeypatch.setattr("surgical_ml.engine.plan_builder._require_static", lambda *_: None)
    build_plan(networks["phase"], silent)
    with pytest.raises(InputError, match="tensor features of no static shape"):
        TensorRtEngine(networks["phase"])
    kind = planted(monkeypatch, (STATIC, LOOSE), ("        if missing:", "        if not missing:"))
    with pytest.raises(Misuse):
        kind(networks["phase"])
    assert Misuse.found[0].startswith("missing shape")


def test_the_double_finds_a_runtime_that_is_made_before_the_driver_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    double.install(monkeypatch)
    with pytest.raises(Misuse, match="without a driver"):
        double.Runtime(tensorrt.open_log(double.module, []))


def test_a_copy_without_a_change_runs(monkeypatch: pytest.MonkeyPatch, phase: Path) -> None:
    """So that what is found above is the change."""
    engine = planted(monkeypatch)(phase)
    for seed in range(2):
        engine.run(some(engine, seed))
    engine.close()

"""Build, key, load, bind, enqueue and replay over a strict double: interface-tested, not run on TensorRT.

The double computes with ONNX Runtime and refuses what a GPU would answer with a crash or a wrong number.
"""

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from surgical_ml.engine import EngineFault, InputSpec, Tensor, load_model, open_engine, tensorrt, warm_up
from surgical_ml.engine.plan_builder import Steps, build_plan
from surgical_ml.engine.tensorrt import TensorRtEngine
from surgical_ml.errors import InputError

REASON = "needs the package onnx: pip install 'surgical_ml[train]'"
onnx = pytest.importorskip("onnx", reason=REASON)
double = pytest.importorskip("tensorrt_double", reason=REASON)
Driver, Misuse = double.Driver, double.Misuse


def silent(done: int, total: int | None) -> None:
    """Nobody watches."""


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return double.install(monkeypatch)


@pytest.fixture
def networks(tmp_path: Path) -> dict[str, Path]:
    """The shipped networks, where plans may be put beside them."""
    model = load_model("cholecystectomy")
    return {name: Path(shutil.copy(model.file(name), tmp_path)) for name in ("frame", "phase")}


@pytest.fixture
def phase(driver: Driver, networks: dict[str, Path]) -> Path:
    """The phase network, with its plan."""
    build_plan(networks["phase"], silent)
    return networks["phase"]


@pytest.fixture
def engine(phase: Path) -> Iterator[TensorRtEngine]:
    engine = TensorRtEngine(phase)
    yield engine
    engine.close()


def some(engine: TensorRtEngine, seed: int = 1) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return {spec.name: rng.random(spec.shape).astype(spec.dtype) for spec in engine.inputs}


@pytest.mark.parametrize("version", ["10.16.1.11", "11.4.0.106"])
@pytest.mark.parametrize("network", ["frame", "phase"])
def test_a_plan_is_built_opened_and_gives_what_its_network_gives(
    monkeypatch: pytest.MonkeyPatch, networks: dict[str, Path], network: str, version: str
) -> None:
    driver = double.install(monkeypatch, version=version)
    build_plan(networks[network], silent)
    engine = open_engine("tensorrt", networks[network])
    reference = open_engine("onnxruntime", networks[network], threads=1)
    assert (engine.inputs, engine.outputs) == (reference.inputs, reference.outputs)
    warm_up(engine, 1)
    for seed in range(3):
        given = some(engine, seed)
        ours, theirs = engine.run(given), reference.run(given)
        assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert driver.launches == 4
    engine.close()
    assert driver.left() == {"memory": 0, "streams": 0, "graphs": 0, "contexts": 0}


def test_what_a_run_gave_is_not_changed_by_the_next(engine: TensorRtEngine) -> None:
    first = engine.run(some(engine, 1))
    kept = {name: value.copy() for name, value in first.items()}
    engine.run(some(engine, 2))
    assert all((first[name] == kept[name]).all() for name in first)


def test_a_run_never_changes_its_inputs(engine: TensorRtEngine) -> None:
    given = some(engine)
    before = {name: value.tobytes() for name, value in given.items()}
    engine.run(given)
    assert {name: value.tobytes() for name, value in given.items()} == before


def test_a_wrong_shape_is_refused_before_it_runs(engine: TensorRtEngine) -> None:
    with pytest.raises(ValueError, match=r"input: state: expected \(1, 128\)"):
        engine.run(some(engine) | {"state": np.zeros((1, 4), np.float32)})


def test_another_thread_may_run_what_configure_opened(engine: TensorRtEngine) -> None:
    given = some(engine)
    found: list[dict[str, Tensor]] = []
    worker = threading.Thread(target=lambda: found.append(engine.run(given)))
    worker.start()
    worker.join()
    expected = engine.run(given)
    assert all((found[0][name] == expected[name]).all() for name in expected)


def test_a_bound_state_steps_as_a_state_that_is_handed_back(engine: TensorRtEngine, phase: Path) -> None:
    reference = open_engine("onnxruntime", phase, threads=1)
    engine.bind_state("state", "new_state")
    assert "state" not in {spec.name for spec in engine.inputs}
    assert "new_state" not in {spec.name for spec in engine.outputs}
    state = np.zeros((1, 128), np.float32)
    for seed in range(7):
        given = some(engine, seed)
        expected = reference.run(given | {"state": state})
        state = expected.pop("new_state")
        found = engine.run(given)
        assert all((found[name] == expected[name]).all() for name in expected)
        assert (engine.read_state() == state).all()


def test_a_bound_state_can_be_put_back(engine: TensorRtEngine) -> None:
    engine.bind_state("state", "new_state")
    engine.run(some(engine, 1))
    kept = engine.read_state()
    expected = engine.run(some(engine, 2))
    engine.write_state(kept)
    again = engine.run(some(engine, 2))
    assert all((again[name] == expected[name]).all() for name in expected)
    with pytest.raises(ValueError, match=r"state: (new_)?state: expected"):
        engine.write_state(kept[:, :4])


@pytest.mark.parametrize(
    "pair", [("dt", "new_state"), ("state", "phase"), ("new_state", "state"), ("state", "nothing")]
)
def test_only_an_input_and_an_output_alike_are_a_state(engine: TensorRtEngine, pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="state: expected"):
        engine.bind_state(*pair)


def test_a_folded_plan_takes_the_picture_and_gives_labels(driver: Driver, networks: dict[str, Path]) -> None:
    spec = load_model("cholecystectomy").manifest.input
    build_plan(networks["frame"], silent, fold=spec)
    folded = open_engine("tensorrt", networks["frame"])
    assert [(one.name, one.shape, one.dtype) for one in folded.inputs] == [
        ("image", (1, spec.height, spec.width, 3), "uint8")
    ]
    picture = np.random.default_rng(3).integers(0, 256, (spec.height, spec.width, 3), np.uint8)
    found = folded.run({"image": picture[None]})
    expected = open_engine("onnxruntime", networks["frame"], threads=1).run({"image": normalised(picture, spec)})
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)
    scores = found["segmentation"][0]
    assert (found["labels"][0, 0] == scores.argmax(axis=0)).all()
    peak = 1 / np.exp(scores - scores.max(axis=0)).sum(axis=0)
    np.testing.assert_allclose(found["probability"][0, 0], peak, rtol=1e-4)
    folded.close()


def normalised(picture: Tensor, spec: InputSpec) -> Tensor:
    red_first = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    return ((red_first - spec.mean) / spec.std).transpose(2, 0, 1)[None].astype(np.float32)


def test_a_network_without_a_picture_cannot_be_folded(driver: Driver, networks: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"phase\.onnx: expected input image, found only \['dt', "):
        build_plan(networks["phase"], silent, fold=load_model("cholecystectomy").manifest.input)
    assert driver.contexts == 0


# What does not fit is refused, with both values.


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
    assert other.left() == {"memory": 0, "streams": 0, "graphs": 0, "contexts": 0}


def test_a_plan_of_another_network_is_refused_with_both_digests(phase: Path) -> None:
    described = json.loads(phase.with_name("phase.plan.json").read_text())
    model = onnx.load(phase)
    model.doc_string = "not the one that was built from"
    onnx.save(model, phase)
    with pytest.raises(InputError, match=r"a plan for onnx [0-9a-f]{64}, found one for onnx ") as caught:
        open_engine("tensorrt", phase)
    assert described["key"]["onnx"] in caught.value.found


def test_every_difference_is_named_at_once(monkeypatch: pytest.MonkeyPatch, phase: Path) -> None:
    double.install(monkeypatch, Driver(name="Other GPU", capability=(8, 7)), "11.4.0.106")
    with pytest.raises(InputError) as caught:
        open_engine("tensorrt", phase)
    assert caught.value.expected == "a plan for tensorrt 11.4.0.106, gpu Other GPU, compute capability 8.7"


def test_without_a_plan_the_command_that_builds_it_is_named(networks: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"frame\.plan: expected a plan, built before by: surgical-ml model build"):
        open_engine("tensorrt", networks["frame"])


def test_a_plan_that_changed_is_never_given_to_tensorrt(phase: Path) -> None:
    plan = phase.with_name("phase.plan")
    plan.write_bytes(plan.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"phase\.plan: expected sha256 [0-9a-f]{64}, found sha256 "):
        open_engine("tensorrt", phase)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 2}'])
def test_a_description_that_cannot_be_read_is_refused_by_name(phase: Path, text: str) -> None:
    phase.with_name("phase.plan.json").write_text(text)
    with pytest.raises(InputError, match=r"phase\.plan\.json: expected a valid description of a plan"):
        open_engine("tensorrt", phase)


def test_what_tensorrt_says_of_a_plan_that_it_does_not_take_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, phase: Path
) -> None:
    monkeypatch.setattr(double, "_head", lambda: b"from tomorrow")
    with pytest.raises(InputError, match=r"found the plan was made by another version; build it anew: surgical-ml"):
        open_engine("tensorrt", phase)
    assert driver.left()["contexts"] == 0


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


def test_a_driver_without_a_gpu_is_one_sane_line(monkeypatch: pytest.MonkeyPatch, driver: Driver, phase: Path) -> None:
    monkeypatch.setattr(driver, "_cuInit", lambda flags: double.NO_DEVICE)
    driver.__dict__.pop("cuInit", None)
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


def test_what_tensorrt_cannot_read_is_one_clear_line(driver: Driver, networks: dict[str, Path]) -> None:
    model = onnx.load(networks["phase"])
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, networks["phase"])
    with pytest.raises(
        InputError, match=r"phase\.onnx: expected a network that TensorRT .* can read, found .*NoSuchOp"
    ):
        build_plan(networks["phase"], silent)
    assert not networks["phase"].with_suffix(".plan").exists()


def test_a_network_of_no_static_shape_is_refused_when_it_is_built(driver: Driver, networks: dict[str, Path]) -> None:
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
    monkeypatch: pytest.MonkeyPatch, driver: Driver, engine: TensorRtEngine
) -> None:
    monkeypatch.setattr(driver.cuGraphLaunch, "answer", lambda *_: double.INVALID_VALUE)
    with pytest.raises(EngineFault, match=r"^cuda: cuGraphLaunch: CUDA_ERROR_INVALID_VALUE \(1\)$"):
        engine.run(some(engine))


# Building.


def test_a_build_says_how_far_it_is(driver: Driver, networks: dict[str, Path]) -> None:
    said: list[tuple[int, int | None]] = []
    build_plan(networks["phase"], lambda done, total: said.append((done, total)))
    assert said[-1] == (5, 5)
    assert [done for done, _ in said] == sorted(done for done, _ in said)


def test_who_interrupts_a_build_stops_it_and_nothing_is_written(driver: Driver, networks: dict[str, Path]) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(networks["phase"], interrupt)
    assert not list(networks["phase"].parent.glob("phase.plan*"))
    assert driver.contexts == 0


def test_steps_of_a_phase_that_is_not_known_count_for_nothing() -> None:
    said: list[tuple[int, int | None]] = []
    steps = Steps(lambda done, total: said.append((done, total)))
    assert steps.step("unknown", 3)
    steps.start("known", 4)
    steps.step("known", 9)
    steps.finish("known")
    assert said == [(0, 0), (0, 4), (4, 4), (4, 4)]


def test_what_was_measured_is_used_again_but_never_that_of_another_machine(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, networks: dict[str, Path]
) -> None:
    build_plan(networks["phase"], silent)
    cache = networks["phase"].with_name("tensorrt.cache")
    first = cache.read_bytes()
    build_plan(networks["phase"], silent)
    assert cache.read_bytes() == first
    double.install(monkeypatch, Driver(name="Other GPU"))
    build_plan(networks["phase"], silent)
    assert b"Other GPU" in cache.read_bytes()


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
    monkeypatch: pytest.MonkeyPatch, driver: Driver, networks: dict[str, Path]
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

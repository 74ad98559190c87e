"""Every name and signature of TensorRT that the adapter uses is there in the bindings of both versions.

Interface-tested against the real bindings, not run on TensorRT: that needs a GPU (`test_tensorrt_on_a_gpu.py`).
"""

import inspect
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tensorrt_names import Bindings, Check, load, make_stubs, run

from surgical_ml.engine import plan_builder, tensorrt

FOLDER = Path(sys.prefix) / "tensorrt"
VERSIONS = {"10": "10.16.1.11", "11": "11.4.0.106"}
SOURCES = {module.__name__: Path(module.__file__).read_text("utf-8") for module in (tensorrt, plan_builder)}

OURS = {
    *("name", "shape", "dtype", "append", "start", "finish", "step", "inputs", "close", "device", "run"),
    *("size", "allocate", "clear", "itemsize"),
}
"""Words that other objects of the adapter have as well."""


@pytest.fixture(scope="session")
def bindings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bindings]:
    lacking = [str(FOLDER / major) for major in VERSIONS if not (FOLDER / major / "tensorrt_bindings").is_dir()]
    if lacking:
        pytest.skip(f"needs TensorRT's bindings in {lacking}, which make test installs")
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    return {major: load(FOLDER / major, make_stubs(tmp_path_factory.mktemp(major), int(major))) for major in VERSIONS}


@pytest.fixture
def double() -> ModuleType:
    module: ModuleType = pytest.importorskip("tensorrt_double", reason="needs the package onnx, of the extra train")
    return module


def complaints(bindings: Bindings, sources: dict[str, str]) -> list[str]:
    return Check(bindings).run(sources).complaints


def planted(old: str, new: str) -> dict[str, str]:
    """A copy of the adapter with one change."""
    found = {name: source.replace(old, new) for name, source in SOURCES.items()}
    assert found != SOURCES
    return found


@pytest.mark.parametrize("major", VERSIONS)
def test_the_adapter_uses_only_what_the_bindings_have(bindings: dict[str, Bindings], major: str) -> None:
    assert bindings[major].version == VERSIONS[major]
    assert complaints(bindings[major], SOURCES) == []


@pytest.mark.parametrize("major", VERSIONS)
def test_no_object_of_tensorrt_is_lost_on_the_way(bindings: dict[str, Bindings], major: str) -> None:
    check = Check(bindings[major]).run(SOURCES)
    assert check.lost(SOURCES, OURS) == set()
    assert len(check.followed) > 70


IN_THE_REAL_ONE = """
import json, sys
import numpy as np
import tensorrt_bindings as trt
sys.modules["tensorrt"] = trt
from surgical_ml.engine.plan_builder import Steps, _monitor
from surgical_ml.engine.tensorrt import DTYPES, load_tensorrt, open_log

assert load_tensorrt() is trt
lines, said = [], []
log = open_log(trt, lines)
log.log(trt.ILogger.Severity.ERROR, "two\\nlines")
log.log(trt.ILogger.Severity.WARNING, "not kept")
monitor = _monitor(trt, Steps(lambda done, total: said.append((done, total))))
monitor.phase_start("a", None, 2)
going = monitor.step_complete("a", 0)
monitor.phase_finish("a")
try:
    trt.Builder(log)
    refused = ""
except TypeError as error:
    refused = str(error)
print(json.dumps({
    "lines": lines, "said": said, "going": going, "refused": refused,
    "strong": int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED),
    "weights": [trt.Weights(np.array([2, 1, 0], kind)).dtype.name for kind in (np.int32, np.float32)],
    "dtypes": sorted(name for name in DTYPES if not hasattr(trt.DataType, name)),
    "shape": list(trt.Dims((1, 3, 4))),
}))
"""


@pytest.mark.parametrize("major", VERSIONS)
def test_what_needs_no_gpu_runs_in_the_real_bindings(bindings: dict[str, Bindings], major: str) -> None:
    answer = json.loads(run(IN_THE_REAL_ONE, FOLDER / major, bindings[major].stubs))
    assert answer == {
        "lines": ["two lines"],
        "said": [[0, 2], [1, 2], [2, 2]],
        "going": True,
        "refused": "pybind11::init(): factory function returned nullptr",
        "strong": {"10": 1, "11": 0}[major],
        "weights": ["INT32", "FLOAT"],
        "dtypes": [],
        "shape": [1, 3, 4],
    }


TF32 = "config.clear_flag(trt.BuilderFlag.TF32)"
STRONG = "trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED"


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (TF32, "config.set_flag(trt.BuilderFlag.FP16)", "BuilderFlag.FP16"),
        (TF32, "config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)", "OBEY_PRECISION_CONSTRAINTS"),
        (TF32, "config.int8_calibrator = None", "IBuilderConfig.int8_calibrator"),
        (TF32, "builder.platform_has_fast_fp16", "Builder.platform_has_fast_fp16"),
        (STRONG, "trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "EXPLICIT_BATCH"),
        ("self._engine.num_io_tensors", "self._engine.device_memory_size", "ICudaEngine.device_memory_size"),
    ],
)
def test_what_11_removed_passes_on_10_and_is_found_on_11(
    bindings: dict[str, Bindings], old: str, new: str, name: str
) -> None:
    copy = planted(old, new)
    assert complaints(bindings["10"], copy) == []
    found = complaints(bindings["11"], copy)
    assert found
    assert all(name in complaint and "11.4.0.106" in complaint for complaint in found)


def test_what_10_had_already_removed_is_found_on_both(bindings: dict[str, Bindings]) -> None:
    copy = planted("execute_async_v3", "execute_async_v2")
    for major in VERSIONS:
        assert any("IExecutionContext.execute_async_v2" in one for one in complaints(bindings[major], copy))


@pytest.mark.parametrize("major", VERSIONS)
@pytest.mark.parametrize(
    "name",
    [
        *("create_builder_config", "set_timing_cache", "build_serialized_network", "parse", "get_error", "desc"),
        *("add_cast", "first_transpose", "set_input", "remove_tensor", "mark_output", "step_complete", "WORKSPACE"),
        *("deserialize_cuda_engine", "get_tensor_mode", "set_tensor_address", "infer_shapes", "INTERNAL_ERROR"),
        *("progress_monitor", "IProgressMonitor", "serialize", "phase_start", "Permutation"),
    ],
)
def test_a_misspelt_name_is_found(bindings: dict[str, Bindings], major: str, name: str) -> None:
    misspelt = name[:-1] + "x"
    assert any(misspelt in one for one in complaints(bindings[major], planted(name, misspelt)))


@pytest.mark.parametrize("major", VERSIONS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("builder.build_serialized_network(network, config)", "builder.build_serialized_network(network)"),
        ("builder.build_serialized_network(network, config)", "builder.build_serialized_network(config, network)"),
        ("network.add_cast(picture, image.dtype)", "network.add_cast(picture, to=image.dtype)"),
        ("network.add_cast(picture, image.dtype)", "network.add_cast(picture, trt.TopKOperation.MAX)"),
        ("self._context.execute_async_v3(self._stream)", "self._context.execute_async_v3()"),
        ("def phase_finish(self, phase_name: str)", "def phase_finish(self)"),
        ("trt.OnnxParser(network, log)", "trt.OnnxParser(network)"),
        ("self._runtime = trt.Runtime(self._log)", "self._runtime = trt.Runtime(trt.TensorIOMode.INPUT)"),
        ("picture.name = ", "picture.is_network_input = "),
    ],
)
def test_wrong_arguments_are_found(bindings: dict[str, Bindings], major: str, old: str, new: str) -> None:
    assert complaints(bindings[major], planted(old, new))


@pytest.mark.parametrize("major", VERSIONS)
def test_the_double_offers_only_what_the_bindings_have(
    bindings: dict[str, Bindings], double: ModuleType, major: str
) -> None:
    real = bindings[major]
    wrong = []
    for kind, offered in double.OFFERED.items():
        if kind not in real.classes:
            wrong.append(kind)
            continue
        for name, value in inspect.getmembers(offered):
            if name.startswith("_") or name in dir(int):
                continue
            member = real.member(kind, name)
            if member is None:
                wrong.append(f"{kind}.{name}")
            elif inspect.isfunction(value):
                names = [*inspect.signature(value).parameters][1:]
                if not any(
                    [one for one, _, _ in s.parameters][: len(names)] == names for s in real.signatures(kind, name)
                ):
                    wrong.append(f"{kind}.{name}{tuple(names)}")
    assert wrong == []


def test_the_double_offers_all_that_the_adapter_uses(bindings: dict[str, Bindings], double: ModuleType) -> None:
    """And no more: whatever the adapter does with TensorRT, it does with the double as well."""
    used = {name for _, _, name in Check(bindings["10"]).run(SOURCES).followed} - {"__version__"}
    offered = {name for kind in (*double.OFFERED.values(), double.Severity) for name in dir(kind)}
    assert used <= offered | set(double.OFFERED)

"""`surgical-ml doctor`: one line a thing, and exit 1 only where no case could be judged."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from surgical_ml.cli import environment
from surgical_ml.cli.environment import Finding, State
from surgical_ml.engine.signature import signed_by
from surgical_ml.places import shared_folder


def found(name: str, findings: Iterator[Finding]) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def test_here_the_main_job_runs_and_everything_is_a_line(cli) -> None:
    done = cli("doctor")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[-1].startswith("The main job runs here")
    assert all(line.split()[0] in ("ok", "missing", "wrong") for line in lines[:-1])
    for name in ("python", "numpy", "main job", "model cholecystectomy/2", "records", "gstreamer", "clock", "tensorrt"):
        assert any(f" {name}:" in line for line in lines)


def test_what_is_not_there_says_what_needs_it_and_what_brings_it(cli) -> None:
    done = cli("doctor", "--json")
    assert done.status == 0
    values = json.loads(done.out)
    assert values["ok"]
    for finding in values["findings"]:
        assert finding["need"]
        assert finding["remedy"] or finding["state"] == "ok"


def test_a_changed_model_is_named_and_the_main_job_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli
) -> None:
    shutil.copytree(shared_folder("models"), tmp_path / "models")
    with (tmp_path / "models" / "cholecystectomy" / "1" / "frame.onnx").open("ab") as file:
        file.write(b"!")
    monkeypatch.setenv("SURGICAL_ML_SHARE", str(tmp_path))
    done = cli("doctor")
    assert done.status == 1
    assert "THE MAIN JOB CANNOT RUN HERE" in done.out
    assert any(line.startswith("wrong") and "frame.onnx" in line for line in done.out.splitlines())


def test_a_model_says_by_which_key_it_is_signed_if_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shared_folder("models"), tmp_path / "models")
    monkeypatch.setenv("SURGICAL_ML_SHARE", str(tmp_path))
    folder = tmp_path / "models" / "cholecystectomy" / "2"

    def finding() -> Finding:
        return found("signature of model cholecystectomy/2", environment._models())

    assert finding().state is State.OK
    assert finding().found == f"by {signed_by(folder, (folder / 'manifest.json').read_bytes())}"
    (folder / "manifest.sig").write_bytes(bytes(64))
    assert finding().state is State.WRONG
    assert "manifest.sig" in finding().found
    (folder / "manifest.sig").unlink()
    (folder / "signer.pem").unlink()
    assert (finding().state, finding().found) == (State.MISSING, "none")


def test_models_that_are_nowhere_are_vital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGICAL_ML_SHARE", str(tmp_path))
    finding = found("models", environment._models())
    assert finding.state is State.MISSING
    assert finding.vital


def test_a_package_of_another_version_is_wrong_and_none_is_vital(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "numpy":
            return "1.0"
        if package in ("onnxruntime", "mcap"):
            raise metadata.PackageNotFoundError
        return real(package)

    real = metadata.version
    monkeypatch.setattr("surgical_ml.cli.environment.metadata.version", version)
    findings = {finding.name: finding for finding in environment._packages()}
    assert findings["numpy"].state is State.WRONG
    assert "1.0" in findings["numpy"].found
    assert not findings["numpy"].vital
    assert findings["onnxruntime"].state is State.MISSING
    assert findings["onnxruntime"].vital
    assert findings["extra ros"].state is State.MISSING
    assert "mcap not there" in findings["extra ros"].found
    assert findings["pydantic"].state is State.OK


def test_outside_of_a_checkout_the_pins_are_those_of_the_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = environment._requirements()
    monkeypatch.setattr("surgical_ml.__file__", str(tmp_path / "surgical_ml" / "__init__.py"))
    installed = environment._requirements()
    assert installed[""] == here[""]
    assert set(installed) >= {"", "ros", "train", "openvino"}


def test_what_depends_on_a_missing_package_does_not_stop_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        raise ModuleNotFoundError("No module named 'pydantic'", name="pydantic")

    monkeypatch.setattr(environment, "_models", broken)
    findings = {finding.name: finding for finding in environment.look()}
    assert findings["pydantic"].state is State.MISSING
    assert findings["pydantic"].vital
    assert "clock" in findings


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("ROS_DISTRO", "humble", "sourced ROS"),
        ("PYTHONPATH", "/opt/ros/jazzy/lib/python3.99/site-packages", "PYTHONPATH"),
        ("RMW_IMPLEMENTATION", "rmw_imaginary_cpp", "RMW_IMPLEMENTATION"),
    ],
)
def test_a_sourced_ros_that_does_not_fit_is_named(
    variable: str, value: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("ROS_DISTRO", "PYTHONPATH", "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(other, raising=False)
    assert {finding.state for finding in environment._sourced()} == {State.OK}
    monkeypatch.setenv(variable, value)
    finding = found(name, environment._sourced())
    assert finding.state is State.WRONG
    assert value in finding.found
    assert finding.remedy


def test_records_need_a_folder_that_can_be_made(tmp_path: Path) -> None:
    assert found("records", environment._records(tmp_path / "new" / "records")).state is State.OK
    (tmp_path / "file").touch()
    finding = found("records", environment._records(tmp_path / "file" / "records"))
    assert finding.state is State.WRONG
    assert str(tmp_path / "file") in finding.found
    assert not (tmp_path / "new").exists()


def test_shared_memory_of_processes_that_are_gone_is_told_from_that_of_the_living(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_SHM", tmp_path)
    monkeypatch.setattr(environment, "_LEAST_SHM_BYTES", 1)
    for name in ("fastrtps_0123456789abcdef", "fastrtps_fedcba9876543210", "fastrtps_port7410", "others"):
        (tmp_path / name).write_bytes(bytes(1 << 20))
        (tmp_path / f"{name}_el").touch()
    alive = os.open(tmp_path / "fastrtps_0123456789abcdef_el", os.O_RDWR)
    fcntl.flock(alive, fcntl.LOCK_EX)
    finding = found("fastrtps segments", environment._shared_memory())
    assert "1 segments" in finding.found
    assert "fastrtps_fedcba9876543210" in finding.remedy
    os.close(alive)
    assert "2 segments" in found("fastrtps segments", environment._shared_memory()).found


def test_a_library_that_takes_its_process_with_it_is_a_finding() -> None:
    works, said = environment._in_child("import os; os.abort()")
    assert not works
    assert said

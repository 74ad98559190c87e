"""`surgical-ml learn protocol`, `adapt` and `show`: the protocol of a procedure, from accumulated cases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surgical_ml.cli.output import Json, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.workflow import Protocol
    from surgical_ml.workflow.protocol_course import CaseCourse

Labels = Annotated[
    Path,
    typer.Argument(help="Folder of cases: Cholec80 or MultiBypass140, simulated, replayed, or a case store."),
]
Out = Annotated[Path, typer.Option(help="Protocol file to write, .yaml; it must not exist.")]
Fps = Annotated[float | None, typer.Option(help="Samples/s of phase text files that do not say it.")]
Version = Annotated[str | None, typer.Option(help="Of the new protocol; from its cases otherwise.")]
Cases = Annotated[
    str | None, typer.Option(help="Only these cases, by number in their order: 1-50, or 1-9,12.", metavar="RANGE")
]
Procedure = Annotated[str, typer.Argument(metavar="PROTOCOL", help="Shipped protocol by name, or protocol file.")]


def protocol(
    labels: Labels,
    out: Out,
    procedure: Annotated[
        str | None,
        typer.Option(help="Protocol to start from; gastric_bypass for MultiBypass140, cholecystectomy otherwise."),
    ] = None,
    fps: Fps = None,
    cases: Cases = None,
    name: Annotated[str | None, typer.Option(help="Of the new protocol; the procedure's otherwise.")] = None,
    version: Version = None,
    key: Annotated[Path | None, typer.Option(help="Ed25519 private key in PEM that signs it.")] = None,
    as_json: Json = False,
) -> None:
    """Learn a protocol from cases: the same cases, in any order, give the same file.

    Example: surgical-ml learn protocol multibypass140 --out hospital.yaml
    """
    from surgical_ml.engine.signature import read_key
    from surgical_ml.workflow import load_protocol
    from surgical_ml.workflow.protocol_file import write_protocol
    from surgical_ml.workflow.protocol_learning import learn_protocol

    template = load_protocol(procedure or _procedure_of(labels))
    signing = None if key is None else read_key(key)
    learned = learn_protocol(template, _chosen(labels, template, fps, cases), name=name, version=version)
    assert learned.learned is not None
    head = f"Learned by `surgical-ml learn protocol` from {learned.learned.cases} cases; say `surgical-ml learn show`."
    signer = write_protocol(out, learned, head, signing)
    _report(learned, out, signer, as_json)


def adapt(
    procedure: Procedure,
    labels: Labels,
    out: Out,
    key: Annotated[Path, typer.Option(help="Ed25519 private key in PEM that signs it.")],
    fps: Fps = None,
    cases: Cases = None,
    version: Version = None,
    weight: Annotated[float, typer.Option(help="For how many of the site's cases the protocol counts.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Move a protocol toward a site by its cases, as a new signed version; the old one stays as it is.

    Example: surgical-ml learn adapt gastric_bypass ours --out ours.yaml --key site.key
    """
    from surgical_ml.engine.signature import read_key
    from surgical_ml.workflow import load_protocol
    from surgical_ml.workflow.protocol_adapting import adapt_protocol
    from surgical_ml.workflow.protocol_file import write_protocol

    before = load_protocol(procedure)
    signing = read_key(key)
    courses = _chosen(labels, before, fps, cases)
    adapted = adapt_protocol(before, courses, version=version, weight=weight)
    head = f"Adapted by `surgical-ml learn adapt` from version {before.version}, by {len(courses)} cases."
    signer = write_protocol(out, adapted, head, signing)
    _report(adapted, out, signer, as_json)


def show(procedure: Procedure, as_json: Json = False) -> None:
    """Check a protocol file, and say what it holds, from how many cases, and who signed it.

    Example: surgical-ml learn show cholecystectomy
    """
    from surgical_ml.workflow import load_protocol
    from surgical_ml.workflow.protocol_file import protocol_path, protocol_signer

    path = protocol_path(procedure)
    _report(load_protocol(path), path, protocol_signer(path), as_json)


def _procedure_of(labels: Path) -> str:
    """The shipped protocol whose phases a folder's labels have."""
    intervals = any(next(labels.glob(sign), None) for sign in ("*.mp4.json", "labels/*/labels_by70"))
    return "gastric_bypass" if intervals else "cholecystectomy"


def _chosen(labels: Path, protocol: "Protocol", fps: float | None, cases: str | None) -> "tuple[CaseCourse, ...]":
    from surgical_ml.workflow.protocol_course import read_courses

    courses = read_courses(labels, protocol, fps)
    if cases is None:
        return courses
    chosen = []
    for part in cases.split(","):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise InputError("--cases", "numbers and ranges: 1-50, or 1-9,12", cases)
        numbers = range(int(first), int(last or first) + 1)
        if not numbers or numbers[0] < 1 or numbers[-1] > len(courses):
            raise InputError("--cases", f"numbers from 1 to {len(courses)}, rising", part)
        chosen += [courses[number - 1] for number in numbers]
    return tuple(chosen)


def _report(protocol: "Protocol", path: Path, signer: str | None, as_json: bool) -> None:
    if as_json:
        values = protocol.model_dump(mode="json", by_alias=True, exclude_none=True)
        say_json({"file": str(path), "sha256": protocol.digest, "signed_by": signer, "protocol": values})
        return
    learned = protocol.learned
    origin = "" if learned is None else f"; {learned.cases} cases, from version {learned.origin.version}"
    lines = [f"{protocol.name} {protocol.version}, sha256 {protocol.digest}{origin}"]
    width = max(map(len, protocol.phase_names))
    for phase in protocol.phases:
        length = "not stated"
        if phase.duration is not None:
            low, high = (phase.duration.quantile_s(share) for share in (0.1, 0.9))
            length = f"{_time(phase.duration.median_s)} ({_time(low)} to {_time(high)})"
        steps = ", ".join(f"{name} {share:.2f}" for name, share in phase.next.items())
        rare = f"; rare: {', '.join(phase.rare)}" if phase.rare else ""
        seen = "" if phase.evidence is None else f"  [{phase.evidence.cases} cases]"
        lines.append(f"{phase.name:{width}}  {length:25}  then {steps}{rare}{seen}")
        lines += [f"{'':{width}}  {line}" for line in _remarks(phase.evidence)]
    lines.append(f"{path}: signed by {signer}" if signer else f"{path}: not signed")
    say("\n".join(lines))


def _remarks(evidence: Any) -> list[str]:
    """What was refused to be said, and what the cases contradict."""
    if evidence is None:
        return []
    lines = []
    if evidence.not_learned:
        lines.append(f"too few cases for: {', '.join(evidence.not_learned)}")
    if evidence.contradicted:
        lines.append(f"no prerequisite any more, cases contradict it: {', '.join(evidence.contradicted)}")
    return lines


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"

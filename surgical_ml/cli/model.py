"""`surgical-ml model`: other precisions of a model, whether they agree, signatures, and model cards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from surgical_ml.cli.model_build import build
from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.engine import Model
    from surgical_ml.evaluation.agreement import Agreement, Side

model = typer.Typer(no_args_is_help=True, help="Export, quantise, build, check and sign models; show their cards.")
model.command("build")(build)

Given = Annotated[str, typer.Argument(metavar="MODEL", help="Shipped model by name or name/version, or model folder.")]
Out = Annotated[Path, typer.Option(help="Model folder to write; it must not exist.")]
Video = Annotated[
    str | None, typer.Option(help="Case to compare on; eight rendered operations of 30 frames otherwise.")
]
Against = Annotated[
    str | None,
    typer.Option(help="Engine, or model, to compare with; onnxruntime, or torch for that, otherwise."),
]


@model.command("export")
def export(
    given: Given,
    out: Out,
    precision: Annotated[Literal["fp16"], typer.Option(help="What its products are computed in.")] = "fp16",
    video: Video = None,
    as_json: Json = False,
) -> None:
    """Write a model in half precision, and compare it with what it was made from; exit 1 if it agrees too little.

    Example: surgical-ml model export cholecystectomy --precision fp16 --out half
    """
    _make(given, precision, out, None, video, as_json)


@model.command("quantise")
def quantise(
    given: Given,
    out: Out,
    precision: Annotated[Literal["int8"], typer.Option(help="What its feature pyramid is computed in.")] = "int8",
    data: Annotated[str | None, typer.Option(help="Video to take ranges from; rendered operations otherwise.")] = None,
    video: Video = None,
    as_json: Json = False,
) -> None:
    """Write a model in int8, and compare it with what it was made from; exit 1 if it agrees too little.

    Example: surgical-ml model quantise cholecystectomy --out quick
    """
    _make(given, precision, out, data, video, as_json)


@model.command("check")
def check(
    given: Given,
    engine: Annotated[str, typer.Option(help="Engine that the model runs on.")] = "onnxruntime",
    against: Against = None,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Let openvino, as the first engine, compute in bfloat16.")
    ] = False,
    video: Video = None,
    out: Annotated[Path | None, typer.Option(help="Picture of the worst frame to write (PNG).")] = None,
    as_json: Json = False,
) -> None:
    """Compare two engines, or two models: masks and phases; exit 1 if they agree too little.

    Without a video that is over 240 frames of 8 rendered operations, which takes 10 to 60 seconds.

    Example: surgical-ml model check cholecystectomy --engine openvino --against onnxruntime
    """
    from surgical_ml.engine import load_model

    agreement = _compare(load_model(given), engine, against, bf16, video, out, quiet=as_json)
    if as_json:
        say_json(agreement.to_json())
    else:
        say(_told(agreement) + (f"\nworst frame: {out}" if out else ""))
    raise typer.Exit(0 if agreement.passed else 1)


@model.command("sign")
def sign(
    given: Given,
    key: Annotated[Path | None, typer.Option(help="Signing key: an Ed25519 private key in PEM.")] = None,
    new_key: Annotated[Path | None, typer.Option(help="File to write a new signing key to, which then signs.")] = None,
    engine: Annotated[str, typer.Option(help="Engine that the model is checked on.")] = "onnxruntime",
    against: Against = None,
    video: Video = None,
    as_json: Json = False,
) -> None:
    """Check a model and sign it; one that fails the check is not signed, and exit is 1.

    Keep the key where only a build can read it; the public part lies beside the signature, and its fingerprint goes into
    the configuration of a case as `model_key`.

    Example: surgical-ml model sign half --new-key release.key --against cholecystectomy
    """
    from surgical_ml.engine import ENGINES, load_model
    from surgical_ml.engine.signature import make_key, read_key
    from surgical_ml.engine.signature import sign as write_signature

    if (key is None) == (new_key is None):
        raise InputError("key", "--key FILE or --new-key FILE", "neither" if key is None else "both")
    chosen = load_model(given)
    signing = None if key is None else read_key(key)
    parent = chosen.manifest.parent
    if parent is not None and (against in (None, *ENGINES) or load_model(str(against)).sha256 != parent):
        # Two engines that agree on it say nothing of what the other precision did to it.
        raise InputError("--against", f"the model {parent} that this one was made from", against or "nothing")
    agreement = _compare(chosen, engine, against, False, video, None, quiet=as_json)
    name = None
    if agreement.passed:
        name = write_signature(chosen.folder, signing or make_key(new_key or Path()))
    if as_json:
        say_json({"signed_by": name, "agreement": agreement.to_json()})
    else:
        say(f"{_told(agreement)}\n{chosen.folder}: " + (f"signed by {name}" if name else "NOT signed"))
    raise typer.Exit(0 if name else 1)


@model.command("card")
def card(given: Given, as_json: Json = False) -> None:
    """Print a model's card; exit 1 if a number in it is not what the recorded results say.

    Example: surgical-ml model card cholecystectomy
    """
    from surgical_ml.engine import load_model
    from surgical_ml.engine.signature import signed_by
    from surgical_ml.evaluation.variants import read_card

    chosen = load_model(given)
    text, wrong = read_card(chosen.folder)
    signer = signed_by(chosen.folder, (chosen.folder / "manifest.json").read_bytes())
    if as_json:
        say_json({"model": chosen.sha256, "signed_by": signer, "card": text, "wrong": wrong})
    else:
        state = f"signed by {signer}" if signer else "not signed"
        said = [f"WRONG {line}" for line in wrong] or ["every number is as recorded"]
        say("\n".join([text, f"{chosen.sha256}, {state}", *said]))
    raise typer.Exit(1 if wrong else 0)


def _make(
    given: str, precision: Literal["fp16", "int8"], out: Path, data: str | None, video: str | None, as_json: bool
) -> None:
    from surgical_ml.engine import load_model
    from surgical_ml.evaluation.variants import make_variant

    with progress_bar(precision, "frames", quiet=as_json) as update:
        agreement = make_variant(load_model(given), precision, out, data=data, video=video, progress=update)
    if as_json:
        say_json({"folder": str(out), "model": load_model(out).sha256, "agreement": agreement.to_json()})
    else:
        say(f"{out}: {load_model(out).sha256}\n{_told(agreement)}")
    raise typer.Exit(0 if agreement.passed else 1)


def _compare(
    chosen: "Model", engine: str, against: str | None, bf16: bool, video: str | None, out: Path | None, *, quiet: bool
) -> "Agreement":
    from surgical_ml.evaluation.agreement import Side, compare

    left = Side(chosen, engine, bf16)
    right = _other(left, against)
    with progress_bar("compare", "frames", quiet=quiet) as update:
        return compare(left, right, video, picture=out, progress=update)


def _other(left: "Side", against: str | None) -> "Side":
    """What to compare with: another engine, or another model on the default one."""
    from surgical_ml.engine import ENGINES, load_model
    from surgical_ml.evaluation.agreement import Side

    parent = left.model.manifest.parent
    if against in ENGINES:
        right = Side(left.model, str(against))
    elif against is not None:
        right = Side(load_model(against))
    elif parent is None:
        right = Side(left.model, "onnxruntime" if left.engine != "onnxruntime" else "torch")
    else:
        raise InputError("--against", f"the model {parent} that this one was made from, or an engine", "nothing")
    if right == left:
        raise InputError("--against", f"another engine than {left.engine}, or another model", "the same")
    return right


def _told(agreement: "Agreement") -> str:
    verdict = "agree" if agreement.passed else "DIFFER TOO MUCH"
    return "\n".join(
        (
            f"{agreement.left} and {agreement.right} over {agreement.frames} frames: {verdict}",
            f"masks: mean IoU {agreement.mask_iou_ppm / 1e6:.4f}, at least {agreement.least_iou_ppm / 1e6:.3f} wanted; "
            f"lowest case {agreement.lowest_case[0]} {agreement.lowest_case[1] / 1e6:.4f}, lowest class "
            f"{agreement.lowest[0]} {agreement.lowest[1] / 1e6:.4f}",
            f"phase: the same on {agreement.phase_ppm / 1e4:.2f} % of the frames, at least "
            f"{agreement.least_phase_ppm / 1e4:.1f} % wanted; admitted alike {agreement.admission_ppm / 1e4:.2f} %",
            f"worst frame: {agreement.worst_index} of {agreement.worst_case}, IoU {agreement.worst_iou_ppm / 1e6:.4f}",
        )
    )

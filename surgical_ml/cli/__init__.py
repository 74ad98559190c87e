"""The command line `surgical-ml`: exit 0 done, 1 the check failed, 2 bad usage or input, 130 interrupted.

A command group is a file of this folder and one line below. A file imports `typer` at its top, and everything that costs
time or may be missing inside its commands, so that `surgical-ml --help` answers at once.
"""

import os
import signal
import sys
from types import FrameType

import typer

from surgical_ml.cli.audit import audit
from surgical_ml.cli.benchmark import benchmark
from surgical_ml.cli.calibrate import calibrate
from surgical_ml.cli.cases import cases
from surgical_ml.cli.data import data
from surgical_ml.cli.doctor import doctor
from surgical_ml.cli.evaluate import evaluate
from surgical_ml.cli.learn import learn
from surgical_ml.cli.model import model
from surgical_ml.cli.replay import replay
from surgical_ml.cli.simulate import simulate
from surgical_ml.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Watches the endoscope, knows where the operation stands, and says early when it departs from its course. "
    "It advises; it never moves anything.",
)

RUN, CHECK, MAKE = "Run cases", "Check", "Make data"
app.command(rich_help_panel=RUN)(replay)
app.command(rich_help_panel=MAKE)(simulate)
app.add_typer(learn, name="learn", rich_help_panel=MAKE)
app.add_typer(cases, name="cases", rich_help_panel=RUN)
app.add_typer(audit, name="audit", rich_help_panel=CHECK)
app.add_typer(calibrate, name="calibrate", rich_help_panel=CHECK)
app.add_typer(data, name="data", rich_help_panel=CHECK)
app.add_typer(model, name="model", rich_help_panel=CHECK)
app.add_typer(evaluate, name="evaluate", rich_help_panel=CHECK)
app.add_typer(benchmark, name="benchmark", rich_help_panel=CHECK)
app.command(rich_help_panel=CHECK)(doctor)


def main() -> None:
    """Entry point of the console script."""
    # What OpenCV has to say about a bad file is said better, in one line, by whoever opened it.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(app(prog_name="surgical-ml", standalone_mode=False))
    except InputError as error:
        _refuse(str(error))
    except typer.TyperException as error:
        # Bad usage; where help was asked for by saying nothing, it has been printed, and nothing is left to say.
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        _refuse(error.format_message() and f"{error.format_message()}{hint}")
    except OSError as error:
        _refuse(": ".join(str(part) for part in (error.filename, error.strerror or str(error)) if part))


def _refuse(why: str) -> None:
    """One line, whatever it is, and exit 2."""
    if why:
        typer.echo(f"surgical-ml: {' '.join(why.split())}", err=True)
    sys.exit(2)


def _stop(number: int, _: FrameType | None) -> None:
    """Leave by the way that cleans up behind itself."""
    sys.exit(128 + number)

"""The command ``refine-itr``: its subcommands, and what becomes of errors."""

from __future__ import annotations

import sys

import typer
from rich.text import Text

from refine_itr.cli.bench import bench
from refine_itr.cli.calibrate import calibrate
from refine_itr.cli.convert import convert
from refine_itr.cli.demo import demo
from refine_itr.cli.doctor import doctor
from refine_itr.cli.evaluate import evaluate
from refine_itr.cli.export_detector import export_detector
from refine_itr.cli.features import features
from refine_itr.cli.index import index
from refine_itr.cli.output import show_warnings, stderr
from refine_itr.cli.plan import plan, profile
from refine_itr.cli.reproduce import reproduce
from refine_itr.cli.search import search
from refine_itr.cli.simulate import simulate
from refine_itr.cli.train import train
from refine_itr.errors import RefineItrError

app = typer.Typer(
    name="refine-itr",
    help="Image-text retrieval: a photograph finds sentences, a sentence finds photographs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(index)
app.command()(search)
app.command("eval")(evaluate)
app.command()(features)
app.command()(train)
app.command()(calibrate)
app.command()(doctor)
app.command()(profile)
app.command()(plan)
app.command()(simulate)
app.command("export-detector")(export_detector)
app.add_typer(bench, name="bench")
app.add_typer(convert, name="convert")
app.add_typer(reproduce, name="reproduce")


def main() -> None:
    """Runs the command line; a user's mistake is one line on stderr and exit status 2."""
    show_warnings()
    try:
        app()
    except RefineItrError as exc:
        _fail(str(exc))
    except OSError as exc:
        _fail(f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))


def _fail(message: str) -> None:
    stderr.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    sys.exit(2)

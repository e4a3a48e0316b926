"""``refine-itr export-detector``: a bundle's detector for an accelerator's offline compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_itr.cli.options import ModelOption
from refine_itr.cli.output import stdout
from refine_itr.errors import InvalidInputError


def export_detector(
    out: Annotated[Path, typer.Option("--out", help="The folder to be written: a whole bundle.")],
    target: Annotated[str, typer.Option("--target", help="'ascend'.")] = "ascend",
    soc: Annotated[
        str, typer.Option("--soc", help="The chip, as `npu-smi info` names it: Ascend310P3.")
    ] = "Ascend310P3",
    batch: Annotated[
        str, typer.Option("--batch", help="Batch sizes to compile for, ascending.")
    ] = "1,2,4,8",
    run: Annotated[bool, typer.Option("--run", help="Run atc, if it is installed here.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is there already.")
    ] = False,
    model: ModelOption = "default",
) -> None:
    """Write what Ascend's compiler `atc` needs to make detector.om (needs the extra 'export').

    The folder becomes a bundle with, besides, the ONNX graph for atc, the settings of the
    chip's image preprocessing and the command itself. With detector.om there,
    `--model FOLDER --device ascend:0` runs on the chip.
    """
    from refine_itr.bundle import bundle_folder
    from refine_itr.exporting.ascend import AscendTarget, export_ascend, run_atc

    if target != "ascend":
        raise InvalidInputError(f"--target: expected ascend; got {target!r}")
    command = export_ascend(bundle_folder(model), out, AscendTarget.parse(soc, batch), force=force)
    if run:
        run_atc(command, out)
        stdout.print(f"{out / 'detector.om'}: compiled", markup=False, highlight=False)
        return
    stdout.print(f"in {out}, where atc is installed:", markup=False, highlight=False)
    stdout.print(" ".join(command), markup=False, highlight=False, soft_wrap=True)

"""``refine-itr export-detector``: graphs for an accelerator's compiler, or of a known detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_itr.cli.options import ModelOption
from refine_itr.cli.output import print_line
from refine_itr.errors import InvalidInputError

_ASCEND, _TORCHVISION = "Ascend", "torchvision's detector"


def export_detector(
    out: Annotated[Path, typer.Option("--out", help="The folder to be written.")],
    detector: Annotated[
        str,
        typer.Argument(
            help="torchvision:fasterrcnn_resnet50_fpn_v2; without it, the detector of --model."
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is there already.")
    ] = False,
    target: Annotated[
        str, typer.Option("--target", help="'ascend'.", rich_help_panel=_ASCEND)
    ] = "ascend",
    soc: Annotated[
        str,
        typer.Option(
            "--soc",
            help="The chip, as `npu-smi info` names it: Ascend310P3.",
            rich_help_panel=_ASCEND,
        ),
    ] = "Ascend310P3",
    batch: Annotated[
        str,
        typer.Option(
            "--batch", help="Batch sizes to compile for, ascending.", rich_help_panel=_ASCEND
        ),
    ] = "1,2,4,8",
    run: Annotated[
        bool,
        typer.Option("--run", help="Run atc, if it is installed here.", rich_help_panel=_ASCEND),
    ] = False,
    model: ModelOption = "default",
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            help="A file of weights (.pth, .safetensors), or DEFAULT: the published ones.",
            rich_help_panel=_TORCHVISION,
        ),
    ] = "",
    canvas: Annotated[
        int,
        typer.Option(
            "--canvas",
            help="Pixels of the longer side at most, a multiple of 32.",
            rich_help_panel=_TORCHVISION,
        ),
    ] = 800,
    short_side: Annotated[
        int,
        typer.Option(
            "--short-side",
            help="Pixels of the shorter side, where the longer one allows it.",
            rich_help_panel=_TORCHVISION,
        ),
    ] = 800,
    proposals: Annotated[
        int,
        typer.Option(
            "--proposals", help="Boxes for the second graph.", rich_help_panel=_TORCHVISION
        ),
    ] = 300,
    regions: Annotated[
        int,
        typer.Option("--regions", help="Regions of a picture.", rich_help_panel=_TORCHVISION),
    ] = 36,
) -> None:
    """Write a detector as ONNX graphs (needs the extra 'export').

    Without DETECTOR: what Ascend's compiler `atc` needs to make detector.om of a bundle's grid
    detector. The folder becomes a bundle with, besides, the ONNX graph for atc, the settings of
    the chip's image preprocessing and the command itself. With detector.om there,
    `--model FOLDER --device ascend:0` runs on the chip.

    With DETECTOR: two static graphs, detector.onnx (backbone and region proposals) and
    detector-head.onnx (features, scores and boxes of the proposals), and detector.json.
    """
    if detector:
        from refine_itr.exporting.faster_rcnn import FasterRcnnSettings
        from refine_itr.exporting.folder import export_torchvision

        settings = FasterRcnnSettings(canvas, short_side, proposals, regions)
        export_torchvision(detector, weights, out, settings, force=force)
        print_line(f"{out}: two graphs and detector.json")
        return
    from refine_itr.bundle import bundle_folder
    from refine_itr.exporting.ascend import AscendTarget, export_ascend, run_atc

    if target != "ascend":
        raise InvalidInputError(f"--target: expected ascend; got {target!r}")
    command = export_ascend(bundle_folder(model), out, AscendTarget.parse(soc, batch), force=force)
    if run:
        run_atc(command, out)
        print_line(f"{out / 'detector.om'}: compiled")
        return
    print_line(f"in {out}, where atc is installed:")
    print_line(" ".join(command))

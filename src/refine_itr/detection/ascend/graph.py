"""What an .om model says of itself, checked against the detector it is to be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from refine_itr.detection.ascend.calls import Acl
from refine_itr.detection.backend import GraphShape
from refine_itr.errors import DetectorError

DYNAMIC_BATCH_INPUT = "ascend_mbatch_shape_data"

_FLOAT32 = 0
_UINT8 = 4


@dataclass(frozen=True)
class ModelInfo:
    """An .om model.

    Attributes:
        gears: Batch sizes that it was compiled for, ascending.
        batch_input: Index of the extra input that carries the batch; None for a static batch.
        input_bytes: Bytes of each input, for the largest batch.
        output_bytes: Bytes of the output, for the largest batch.
        image_bytes: Bytes of one image.
        result_bytes: Bytes of one image's regions.
    """

    gears: tuple[int, ...]
    batch_input: int | None
    input_bytes: tuple[int, ...]
    output_bytes: int
    image_bytes: int
    result_bytes: int


def read_info(acl: Acl, desc: int, path: Path, shape: GraphShape) -> ModelInfo:
    """Reads a model's description.

    Raises:
        DetectorError: It is not the detector's: the message says what was expected and what came.
        DeviceError: pyACL failed.
    """
    inputs = acl.made("mdl.get_num_inputs", desc)
    gears = tuple(sorted(acl.call("mdl.get_dynamic_batch", desc)["batch"]))
    batch_input = (
        acl.call("mdl.get_input_index_by_name", desc, DYNAMIC_BATCH_INPUT) if gears else None
    )
    images = acl.call("mdl.get_input_dims", desc, 0)["dims"]
    regions = acl.call("mdl.get_output_dims", desc, 0)["dims"]
    input_type = acl.raw("mdl.get_input_data_type", desc, 0)
    output_type = acl.raw("mdl.get_output_data_type", desc, 0)
    gears = gears or (images[0],)
    info = ModelInfo(
        gears=gears,
        batch_input=batch_input,
        input_bytes=tuple(acl.made("mdl.get_input_size_by_index", desc, i) for i in range(inputs)),
        output_bytes=acl.made("mdl.get_output_size_by_index", desc, 0),
        image_bytes=shape.input_size**2 * 3,
        result_bytes=shape.regions * shape.features * 4,
    )
    expected = [
        ("inputs", 1 if batch_input is None else 2, inputs),
        ("outputs", 1, acl.made("mdl.get_num_outputs", desc)),
        ("images", (shape.input_size, shape.input_size, 3), tuple(images[1:])),
        ("type of images", _UINT8, input_type),
        ("type of regions", _FLOAT32, output_type),
        ("bytes of images", gears[-1] * info.image_bytes, info.input_bytes[0]),
        ("values of regions", shape.regions * shape.features, math.prod(regions[1:])),
        ("bytes of regions", gears[-1] * info.result_bytes, info.output_bytes),
    ]
    for what, wanted, got in expected:
        if wanted != got:
            raise DetectorError(f"{path}: {what}: expected {wanted}; got {got}")
    return info

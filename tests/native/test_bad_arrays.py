"""What the bindings refuse: every way in which an array can be wrong, with the message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refine_itr import _core

from .calls import (
    CALLS,
    Arguments,
    C,
    D,
    K,
    V,
    f32,
    gates,
    i64,
    image_encoder,
    packed,
    text_encoder,
)

OUTPUTS = ("out", "scores", "ids")
ARRAYS = [
    (call, name)
    for call, (_, make) in CALLS.items()
    for name, value in make().items()
    if isinstance(value, np.ndarray)
]


def misaligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    memory = bytearray(array.nbytes + 1)
    return np.frombuffer(memory, array.dtype, offset=1).reshape(array.shape)


def strided(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.repeat(array, 2, axis=-1)[..., ::2]


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


SPOILED: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "dtype": (lambda a: a.astype(np.float64), TypeError, "got float64"),
    "byte order": (lambda a: a.astype(a.dtype.newbyteorder()), TypeError, "got >"),
    "a list": (lambda a: a.tolist(), TypeError, "got list"),
    "None": (lambda a: None, TypeError, "got NoneType"),
    "more dimensions": (lambda a: a[None], ValueError, r"got \w+ \(1, "),
    "strided": (strided, ValueError, "not C-contiguous"),
    "misaligned": (misaligned, ValueError, "not aligned to its element"),
}
OPTIONAL = {
    ("pack", "bias"),
    ("pack_gates", "bias"),
    ("linear", "residual"),
    ("image_encoder", "embedding_scale"),
    ("image_encoder", "embedding_shift"),
    ("top_k", "allowed"),
    ("narrow_top_k", "allowed"),
}
# What a byte cannot have.
NOT_OF_BYTES = ("byte order", "misaligned")


@pytest.mark.parametrize("call", CALLS)
def test_good_arguments_are_accepted(call: str) -> None:
    function, make = CALLS[call]
    function(**make())


@pytest.mark.parametrize(
    ("call", "name", "fault"),
    [
        (call, name, fault)
        for call, name in ARRAYS
        for fault in SPOILED
        if (fault != "None" or (call, name) not in OPTIONAL)
        and (fault not in NOT_OF_BYTES or name != "allowed")
    ],
)
def test_a_wrong_array_is_refused(call: str, name: str, fault: str) -> None:
    function, make = CALLS[call]
    spoil, error, got = SPOILED[fault]
    arguments = make()
    arguments[name] = spoil(arguments[name])
    with pytest.raises(error, match=rf"^{name}: expected \w+ \(.*\), C-contiguous.*; .*{got}"):
        function(**arguments)


@pytest.mark.parametrize(("call", "name"), [pair for pair in ARRAYS if pair[1] in OUTPUTS])
def test_a_read_only_output_is_refused(call: str, name: str) -> None:
    function, make = CALLS[call]
    arguments = make()
    read_only(arguments[name])
    with pytest.raises(ValueError, match=rf"^{name}: expected .*, writeable; got .*, read-only$"):
        function(**arguments)


@pytest.mark.parametrize(("call", "name"), [pair for pair in ARRAYS if pair[1] not in OUTPUTS])
def test_a_read_only_input_is_accepted(call: str, name: str) -> None:
    function, make = CALLS[call]
    arguments = make()
    read_only(arguments[name])
    function(**arguments)


# Axes that may have any size: another argument must agree with them.
FREE = {
    ("pack", "weight"): (0, 1),
    ("linear", "x"): (0,),
    ("l2norm", "x"): (0, 1, 2),
    ("gru", "gates"): (),
    ("top_k", "queries"): (0, 1),
    ("top_k", "gallery"): (0,),
    ("narrow_gallery", "gallery"): (0, 1),
    ("narrow_append", "rows"): (0,),
    ("narrow_top_k", "queries"): (0, 1),
    ("narrow_top_k", "gallery"): (0,),
    ("nms", "boxes"): (0,),
    ("select_regions", "boxes"): (0,),
    ("select_regions", "class_scores"): (1,),
    ("text_encoder", "gate_table"): (0,),
    ("encode_images", "regions"): (0,),
    ("light_layer", "sigma"): (),
}
# The axes whose size the function knows, from another argument or for good.
FIXED = [
    (call, name, axis)
    for call, name in ARRAYS
    for axis in range(CALLS[call][1]()[name].ndim)
    if axis not in FREE.get((call, name), ())
    and name not in ("offsets", "tokens")
    and not (name == "regions" and call != "encode_images")
    and (call, name, axis)
    not in {
        ("top_k", "scores", 1),
        ("narrow_top_k", "scores", 1),
        ("gru", "gates", 0),
    }
]


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize(("call", "name", "axis"), FIXED)
def test_a_wrong_size_is_refused(call: str, name: str, axis: int, change: int) -> None:
    function, make = CALLS[call]
    arguments = make()
    shape = list(arguments[name].shape)
    shape[axis] += change
    arguments[name] = np.ones(shape, arguments[name].dtype)
    with pytest.raises(ValueError, match=rf"^{name}: expected .*; got .*"):
        function(**arguments)


def test_the_message_says_expected_and_actual() -> None:
    with pytest.raises(ValueError, match="out") as caught:
        _core.linear(f32(4, D), packed(5), f32(4, 6)[:, ::2], _core.Workspace())
    assert str(caught.value) == (
        "out: expected float32 (4, 5), C-contiguous, writeable; "
        "got float32 (4, 3), not C-contiguous"
    )
    with pytest.raises(TypeError, match="x") as error:
        _core.linear(np.ones((4, 64)), packed(5), f32(4, 5), _core.Workspace())  # type: ignore[arg-type]
    assert str(error.value) == "x: expected float32 (m, 4), C-contiguous; got float64 (4, 64)"


@pytest.mark.parametrize(
    ("call", "out", "other"),
    [
        (call, out, other)
        for call, out in ARRAYS
        if out in OUTPUTS
        for other_call, other in ARRAYS
        if other_call == call and other not in OUTPUTS
    ],
)
def test_an_output_over_an_input_is_refused(call: str, out: str, other: str) -> None:
    function, make = CALLS[call]
    arguments = make()
    small, large = sorted((arguments[out].nbytes, arguments[other].nbytes))
    memory = np.zeros(small + large + 64, np.uint8)
    for name, start in ((other, 0), (out, 8)):
        array = arguments[name]
        view = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        if name == other:
            view[...] = array
        arguments[name] = view
    with pytest.raises(ValueError, match=f"^({out}|offsets|tokens): expected "):
        function(**arguments)


def test_an_empty_output_overlaps_nothing() -> None:
    x = f32(4, D)
    _core.linear(x[2:2], packed(), x[2:2], _core.Workspace())


@pytest.mark.parametrize(
    "offsets", [i64(), i64(0), i64(0, 4), i64(0, 6), i64(1, 5), i64(0, 3, 2, 5), i64(0, -1, 5)]
)
def test_bad_offsets_are_refused(offsets: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    inputs, out = f32(5, 3 * D), f32(max(len(offsets) - 1, 0), D)
    with pytest.raises(ValueError, match=r"^offsets: expected .* from 0 to 5"):
        _core.gru(inputs, offsets, gates(), out, _core.Workspace())


@pytest.mark.parametrize("token", [-1, V, 2**31 - 1, -(2**31)])
def test_a_token_out_of_range_is_refused_before_anything_is_written(token: int) -> None:
    out = np.full((1, D), 7.0, np.float32)
    tokens = np.array([0, V - 1, token], np.int32)
    with pytest.raises(ValueError, match=f"^tokens: expected ids in 0 .. 9; got {token} at 2$"):
        text_encoder().encode(tokens, i64(0, 3), out, _core.Workspace())
    assert (out == 7.0).all()


@pytest.mark.parametrize("threads", [-1, 257])
@pytest.mark.parametrize("call", [call for call, name in ARRAYS if name in ("out", "scores")])
def test_bad_threads_are_refused(call: str, threads: int) -> None:
    function, make = CALLS[call]
    with pytest.raises(ValueError, match=r"^threads: expected 0 \(all\) \.\. 256; got"):
        function(**make(), threads=threads)


WEIGHTS = [
    (call, name)
    for call, (_, make) in CALLS.items()
    for name, value in make().items()
    if isinstance(value, _core.PackedMatrix)
]


@pytest.mark.parametrize(("call", "name"), WEIGHTS)
@pytest.mark.parametrize("shape", [(D + 1, D), (D, D + 1)])
def test_weights_of_a_wrong_size_are_refused(call: str, name: str, shape: tuple[int, int]) -> None:
    function, make = CALLS[call]
    with pytest.raises(ValueError, match=rf"^({name}|x|out): expected .*; got "):
        function(**make() | {name: packed(*shape)})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"norm_axis": "row"}, ValueError, "norm_axis: expected one of region, feature, none"),
        ({"pooling": "max"}, ValueError, "pooling: expected one of gru, mean, max-of-top, gpo"),
        ({"pool_top": 0}, ValueError, "pool_top: expected 1 or more; got 0"),
        ({"pooling": "gru"}, TypeError, "w_ih: expected PackedMatrix; got None"),
        (
            {"pooling": "gru", "w_ih": packed(3 * D)},
            TypeError,
            "w_hh: expected PackedGates; got None",
        ),
        (
            {
                "pooling": "gru",
                "w_ih": packed(3 * D),
                "w_hh": _core.PackedGates(f32(3 * D + 3, D + 1)),
            },
            ValueError,
            r"w_hh: expected weights \(12, 4\); got \(15, 5\)",
        ),
        ({"w_hh": gates()}, ValueError, "w_ih, w_hh: expected None without pooling 'gru'"),
        (
            {"pooling": "gpo"},
            TypeError,
            r"pool_coefficients: expected float32 \(3,\), C-contiguous; got NoneType",
        ),
        (
            {"pooling": "gpo", "pool_coefficients": f32(K + 1)},
            ValueError,
            r"pool_coefficients: expected float32 \(3,\), C-contiguous; got float32 \(4,\)",
        ),
        (
            {"pooling": "gpo", "pool_coefficients": np.ones(K)},
            TypeError,
            r"pool_coefficients: expected float32 \(3,\), C-contiguous; got float64 \(3,\)",
        ),
        (
            {"pooling": "gpo", "layers": [], "pool_coefficients": f32(0)},
            ValueError,
            "pool_coefficients: expected one or more; got none",
        ),
        (
            {"pool_coefficients": f32(K)},
            ValueError,
            "pool_coefficients: expected None without pooling 'gpo'",
        ),
        (
            {"pooling": "gru", "w_ih": packed(), "w_hh": gates()},
            ValueError,
            r"w_ih: expected weights \(12, 4\); got \(4, 4\)",
        ),
        (
            {"norm_axis": "none", "normalize_projection": True},
            ValueError,
            "norm_axis: expected region or feature",
        ),
        ({"embedding_scale": f32(D)}, ValueError, "expected both or neither"),
        ({"fc": packed(D + 1, C)}, ValueError, "layers: expected layers of 5 features"),
        (
            {"layers": [_core.LightGcnLayer(f32(k, k), packed(), f32(D)) for k in (K, K + 1)]},
            ValueError,
            "one number of regions; got one of 4 features and 4 regions",
        ),
    ],
)
def test_an_image_encoder_that_cannot_be_is_refused(
    changes: Arguments, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        image_encoder(**changes)


def test_words_that_name_no_option_are_refused() -> None:
    with pytest.raises(ValueError, match="axis: expected one of region, feature; got 'row'"):
        _core.l2norm(f32(1, 1, 1), "row", f32(1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pooling: expected one of last, mean; got 'max'"):
        text_encoder(pooling="max")
    with pytest.raises(ValueError, match="precision: expected one of fp32, bf16, int8; got 'fp8'"):
        _core.PackedMatrix(f32(1, 1), None, "fp8")  # type: ignore[arg-type]


def test_too_few_regions_are_refused() -> None:
    encoder = image_encoder(layers=[], pooling="max-of-top", pool_top=3)
    with pytest.raises(ValueError, match="regions: expected at least 3 regions an image; got 2"):
        encoder.encode(f32(1, 2, C), f32(1, D), _core.Workspace())


def test_another_number_of_regions_than_the_coefficients_is_refused() -> None:
    encoder = image_encoder(layers=[], pooling="gpo", pool_coefficients=f32(3))
    with pytest.raises(ValueError, match=r"regions: expected float32 \(b, 3, 6\).*; got .*2, 6"):
        encoder.encode(f32(1, 2, C), f32(1, D), _core.Workspace())


def test_more_results_than_the_gallery_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="scores: expected at most 7 columns"):
        _core.top_k(f32(1, D), f32(7, D), f32(1, 8), np.zeros((1, 8), np.int64), _core.Workspace())

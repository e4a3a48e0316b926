"""For each function of the native module, arguments that it accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refine_itr import _core

B, K, D, C, V, N = 2, 3, 4, 6, 10, 100
Arguments = dict[str, Any]


def f32(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ones(shape, np.float32)


def i64(*values: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(values, np.int64)


def packed(n_out: int = D, n_in: int = D) -> _core.PackedMatrix:
    return _core.PackedMatrix(f32(n_out, n_in))


def gates() -> _core.PackedGates:
    return _core.PackedGates(f32(3 * D, D))


def image_encoder(**changes: Any) -> _core.ImageEncoder:
    layer = _core.LightGcnLayer(f32(K, K), packed(), f32(D))
    return _core.ImageEncoder(
        **{"fc": packed(D, C), "layers": [layer], "norm_axis": "feature", "pooling": "mean"}
        | changes
    )


def text_encoder(**changes: Any) -> _core.TextEncoder:
    arguments = {"gate_table": f32(V, 3 * D), "w_hh": gates(), "pooling": "last"}
    return _core.TextEncoder(**arguments | changes)


def layer_arguments() -> Arguments:
    return {"regions": f32(B, K, D), "out": f32(B, K, D), "workspace": _core.Workspace()}


def folded_arguments() -> Arguments:
    return {"f": packed(), "f_bias": f32(D)}


def search_arguments() -> Arguments:
    return {
        "queries": f32(2, D),
        "gallery": f32(N, D),
        "scores": f32(2, 3),
        "ids": np.zeros((2, 3), np.int64),
        "workspace": _core.Workspace(),
        "allowed": np.full(-(-N // 8), 0xFF, np.uint8),
    }


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], Arguments]]] = {
    "pack": (_core.PackedMatrix, lambda: {"weight": f32(3, 4), "bias": f32(3)}),
    "pack_gates": (_core.PackedGates, lambda: {"weight": f32(3 * D, D), "bias": f32(3 * D)}),
    "linear": (
        _core.linear,
        lambda: {
            "x": f32(B, D),
            "weight": packed(7),
            "out": f32(B, 7),
            "workspace": _core.Workspace(),
            "residual": f32(B, 7),
        },
    ),
    "l2norm": (
        _core.l2norm,
        lambda: {"x": f32(B, K, D), "axis": "region", "out": f32(B, K, D)},
    ),
    "light_gcn": (
        _core.light_gcn,
        lambda: layer_arguments() | {"sigma": f32(K, K), "g": packed(), "r": packed()},
    ),
    "light_gcn_folded": (
        _core.light_gcn_folded,
        lambda: layer_arguments() | folded_arguments() | {"sigma": f32(K, K)},
    ),
    "vsrn_gcn": (
        _core.vsrn_gcn,
        lambda: (
            layer_arguments()
            | {"theta": packed(), "phi": packed(), "g": packed(), "r": packed(), "scale": 0.5}
        ),
    ),
    "vsrn_gcn_folded": (
        _core.vsrn_gcn_folded,
        lambda: (
            layer_arguments()
            | folded_arguments()
            | {"m": packed(), "u": f32(D), "w": f32(D), "c": 0.5, "scale": 0.5}
        ),
    ),
    "gru": (
        _core.gru,
        lambda: {
            "gates": f32(5, 3 * D),
            "offsets": i64(0, 2, 2, 5),
            "w_hh": gates(),
            "out": f32(3, D),
            "workspace": _core.Workspace(),
        },
    ),
    "top_k": (_core.top_k, search_arguments),
    "narrow_gallery": (
        _core.NarrowGallery,
        lambda: {"gallery": f32(3, D), "precision": "bf16"},
    ),
    "narrow_append": (
        lambda **arguments: _core.NarrowGallery(f32(1, D), "int8").append(**arguments),
        lambda: {"rows": f32(3, D)},
    ),
    "narrow_replace": (
        lambda **arguments: _core.NarrowGallery(f32(1, D), "int8").replace(0, **arguments),
        lambda: {"row": f32(D)},
    ),
    "narrow_top_k": (
        lambda **arguments: _core.NarrowGallery(f32(N, D), "int8").top_k(**arguments),
        search_arguments,
    ),
    "nms": (
        _core.nms,
        lambda: {"boxes": f32(8, 4), "objectness": f32(8), "groups": np.zeros(8, np.int64), "k": 3},
    ),
    "select_regions": (
        _core.select_regions,
        lambda: {"boxes": f32(8, 4), "class_scores": f32(8, 2), "k": 3},
    ),
    "light_layer": (
        _core.LightGcnLayer,
        lambda: folded_arguments() | {"sigma": f32(K, K)},
    ),
    "vsrn_layer": (
        _core.VsrnGcnLayer,
        lambda: (
            folded_arguments() | {"m": packed(), "u": f32(D), "w": f32(D), "c": 0.5, "scale": 0.5}
        ),
    ),
    "image_encoder": (
        image_encoder,
        lambda: {"embedding_scale": f32(D), "embedding_shift": f32(D)},
    ),
    "text_encoder": (text_encoder, lambda: {"gate_table": f32(V, 3 * D)}),
    "encode_images": (
        lambda **arguments: image_encoder().encode(**arguments),
        lambda: {"regions": f32(B, K, C), "out": f32(B, D), "workspace": _core.Workspace()},
    ),
    "encode_texts": (
        lambda **arguments: text_encoder().encode(**arguments),
        lambda: {
            "tokens": np.array([1, 2, 3], np.int32),
            "offsets": i64(0, 2, 3),
            "out": f32(2, D),
            "workspace": _core.Workspace(),
        },
    ),
}

"""VSRN's names and shapes -> a bundle's. The page to read for what a checkpoint may hold.

========================  ==============================  =======================================
VSRN                      bundle                          shape
========================  ==============================  =======================================
fc                        image.fc                        (D, C)
Rs_GCN_i.g, theta, phi    image.graph.(i-1).g, theta, phi (D, D, 1) there, (D, D) here
Rs_GCN_i.W.0 or W         image.graph.(i-1).r             the same
Rs_GCN_i.W.1              image.graph.(i-1).bn            BatchNorm with running statistics
Rs_GCN_i.*sigma*          image.graph.(i-1).sigma         (K, K): the layer is a Light-GCN
img_rnn.*_l0              image.gru.*                     gates r, z, n
bn                        image.bn                        Flickr30K only
embed.weight              text.embedding.weight           (V, word dimension)
rnn.*_l0                  text.gru.*                      gates r, z, n
========================  ==============================  =======================================

VSE++ on precomputed features has ``fc`` alone on the image side: one region, no graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from refine_itr.bundle import BundleConfig, ImageConfig, TextConfig
from refine_itr.converting.checkpoint import Checkpoint, State
from refine_itr.errors import CheckpointError, InvalidInputError
from refine_itr.types import FloatArray

VSRN_REGIONS = 36
_LONGEST_NAME = 200

_Weights = dict[str, FloatArray]

_BATCH_NORM = r"(weight|bias|running_mean|running_var)"
_GRU = r"(weight|bias)_(ih|hh)_l0"
_IMAGE_NAMES = {
    r"fc\.(weight|bias)": r"image.fc.\1",
    r"Rs_GCN_LAYER\.(g|theta|phi)\.(weight|bias)": r"image.graph.LAYER.\1.\2",
    r"Rs_GCN_LAYER\.W\.(?:0\.)?(weight|bias)": r"image.graph.LAYER.r.\1",
    rf"Rs_GCN_LAYER\.W\.1\.{_BATCH_NORM}": r"image.graph.LAYER.bn.\1",
    r"Rs_GCN_LAYER\.\w*[sS]igma\w*(?:\.weight)?": r"image.graph.LAYER.sigma",
    rf"img_rnn\.{_GRU}": r"image.gru.\1_\2",
    rf"bn\.{_BATCH_NORM}": r"image.bn.\1",
}
_TEXT_NAMES = {
    r"embed\.weight": r"text.embedding.weight",
    rf"rnn\.{_GRU}": r"text.gru.\1_\2",
}
# Of other models, by what their states or command lines hold.
_OTHER_NAMES = {
    r"cnn\..*": "it holds its own CNN: convert a model of precomputed features",
    r"fc\.weight_[gv]": "weight-normalised layers are not supported",
    r".*_reverse": "bidirectional GRUs are not supported",
    r".*_l[1-9]\d*": "GRUs of more than one layer are not supported",
}
_OTHER_OPTIONS: dict[str, tuple[object, str]] = {
    "cross_attn": (None, "SCAN scores by attention between words and regions, not by a vector"),
    "bi_gru": (False, "bidirectional GRUs are not supported"),
    "no_imgnorm": (False, "image embeddings without l2norm are not supported"),
    "use_abs": (False, "absolute embeddings are not supported"),
    "measure": ("cosine", "only the cosine is supported as a measure"),
}


def read_layout(
    checkpoint: Checkpoint, *, regions: int | None, scale_affinity: bool
) -> tuple[BundleConfig, _Weights]:
    """Returns a checkpoint's architecture, and its weights under a bundle's names.

    Args:
        checkpoint: As read.
        regions: K, regions an image; None for what the weights say, 36 where they do not.
        scale_affinity: Light-GCN's A is divided by K. VSRN's always is.

    Raises:
        CheckpointError: It is another model's, or its parts do not fit together.
        InvalidInputError: The weights are for another number of regions.
    """
    _check_options(checkpoint.options)
    weights = _renamed(checkpoint.image, _IMAGE_NAMES) | _renamed(checkpoint.text, _TEXT_NAMES)
    dim, features = _shape(weights, "image.fc.weight")
    vocabulary, word_dim = _shape(weights, "text.embedding.weight")
    layers = sorted({int(n.split(".")[2]) for n in weights if n.startswith("image.graph.")})
    if layers != list(range(len(layers))):
        raise CheckpointError(f"expected layers Rs_GCN_1, 2 ...; got {[i + 1 for i in layers]}")
    light = "image.graph.0.sigma" in weights
    fixed = _shape(weights, "image.graph.0.sigma")[0] if light else (None if layers else 1)
    if fixed and regions not in (None, fixed):
        raise InvalidInputError(f"regions: expected {fixed}, the checkpoint's; got {regions}")
    image = ImageConfig(
        regions=fixed or regions or VSRN_REGIONS,
        features=features,
        graph="light-gcn" if light else "vsrn-gcn" if layers else "none",
        layers=len(layers),
        scale_affinity=scale_affinity or not light,
        batch_norm="image.graph.0.bn.weight" in weights,
        # VSRN's code normalises after fc, or has a BatchNorm at the end: never both.
        normalize_projection=bool(layers) and "image.bn.weight" not in weights,
        norm_axis="region" if layers else "none",
        pooling="gru" if layers else "mean",
        pool_top=1,
        embedding_batch_norm="image.bn.weight" in weights,
    )
    text = TextConfig(vocabulary=vocabulary, word_dim=word_dim, pooling="last")
    return BundleConfig(dim, image, text, None), weights


def _check_options(options: Mapping[str, object]) -> None:
    for name, (expected, advice) in _OTHER_OPTIONS.items():
        got = options.get(name, expected)
        # A tensor among the options would compare element by element.
        plain = got is None or isinstance(got, bool | int | float | str)
        if not plain or got != expected:
            raise CheckpointError(f"opt.{name}: expected {expected!r}, got {got!r}; {advice}")


def _renamed(state: State, names: Mapping[str, str]) -> _Weights:
    weights: _Weights = {}
    for name, array in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        new = _new_name(name, names)
        if new in weights:
            raise CheckpointError(f"{name}: expected it once; there is another {new}")
        # A 1 x 1 convolution is a matrix.
        weights[new] = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return weights


def _new_name(name: str, names: Mapping[str, str]) -> str:
    if len(name) > _LONGEST_NAME:  # some patterns take time in proportion to its square
        raise CheckpointError(f"{name[:80]}...: not in the layout of VSRN")
    layer = re.match(r"Rs_GCN_([1-9]\d?)\.", name)
    plain = name.replace(layer[0], "Rs_GCN_LAYER.", 1) if layer else name
    for pattern, new in names.items():
        if found := re.fullmatch(pattern, plain):
            number = str(int(layer[1]) - 1) if layer else ""
            return found.expand(new).replace("LAYER", number)
    advice = [advice for other, advice in _OTHER_NAMES.items() if re.fullmatch(other, name)]
    raise CheckpointError(f"{name[:80]}: {'; '.join(advice) or 'not in the layout of VSRN'}")


def _shape(weights: _Weights, name: str) -> tuple[int, int]:
    array = weights.get(name, np.empty(0))
    if array.ndim != 2 or 0 in array.shape:
        raise CheckpointError(f"{name}: expected a matrix; got {array.shape or 'none'}")
    return array.shape[0], array.shape[1]

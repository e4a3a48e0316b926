from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from . import reference
from .arrays import F32, F64, Precision, empty, normal, positive_sizes, seeds, thread_counts
from .test_graph import LightLayer, VsrnLayer, named, pack_projection
from .tolerances import assert_close

Layer = LightLayer | VsrnLayer
Pooling = Literal["gru", "mean", "max-of-top", "gpo"]
NormAxis = Literal["region", "feature", "none"]
POOLINGS: tuple[Pooling, ...] = ("gru", "mean", "max-of-top", "gpo")
NORM_AXES: tuple[NormAxis, ...] = ("region", "feature", "none")


def graph_layer(layer: Layer, precision: Precision) -> _core.GraphLayer:
    if isinstance(layer, LightLayer):
        f, f_bias = pack_projection(named(g=layer.g, r=layer.r), precision)
        return _core.LightGcnLayer(layer.sigma, f, f_bias)
    return _core.VsrnGcnLayer(*layer.folded(precision))


class ImageModel:
    """Random weights of an image encoder, run by the native one and by the reference."""

    def __init__(
        self,
        seed: int,
        k: int,
        c: int,
        d: int,
        layers: list[type[Layer]],
        pooling: Pooling,
        norm_axis: NormAxis,
        pool_top: int = 1,
        batch_norm: bool = False,
        normalize_projection: bool = False,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.pooling: Pooling = pooling
        self.norm_axis: NormAxis = norm_axis
        self.pool_top = pool_top
        self.normalize_projection = normalize_projection
        self.fc = normal(rng, d, c, scale=c**-0.5), normal(rng, d, scale=0.1)
        self.layers = [make(rng, k, d) for make in layers]
        self.coefficients = normal(rng, k)
        self.w_ih = normal(rng, 3 * d, d, scale=d**-0.5), normal(rng, 3 * d, scale=0.1)
        self.w_hh = normal(rng, 3 * d, d, scale=d**-0.5), normal(rng, 3 * d, scale=0.1)
        self.scale = np.abs(normal(rng, d)) + np.float32(0.5) if batch_norm else None
        self.shift = normal(rng, d, scale=0.1) if batch_norm else None

    def native(self, precision: Precision = "fp32") -> _core.ImageEncoder:
        gru = self.pooling == "gru"
        return _core.ImageEncoder(
            _core.PackedMatrix(*self.fc, precision),
            [graph_layer(layer, precision) for layer in self.layers],
            norm_axis=self.norm_axis,
            normalize_projection=self.normalize_projection,
            pooling=self.pooling,
            pool_top=self.pool_top,
            pool_coefficients=self.coefficients if self.pooling == "gpo" else None,
            w_ih=_core.PackedMatrix(*self.w_ih, precision) if gru else None,
            w_hh=_core.PackedGates(*self.w_hh, precision) if gru else None,
            embedding_scale=self.scale,
            embedding_shift=self.shift,
        )

    def encode(self, regions: F32, threads: int = 0, precision: Precision = "fp32") -> F32:
        encoder = self.native(precision)
        out = empty(len(regions), encoder.dim)
        encoder.encode(regions, out, _core.Workspace(), threads=threads)
        return out

    def expected(self, regions: F32) -> F64:
        v = reference.linear(regions, *self.fc)
        if self.normalize_projection:
            v = self._norm(v)
        for layer in self.layers:
            v = layer.expected(v)
        embedding = self._pool(self._norm(v))
        if self.scale is not None and self.shift is not None:
            embedding = embedding * self.scale + self.shift
        return reference.unit(embedding)

    def _norm(self, v: F64) -> F64:
        return v if self.norm_axis == "none" else reference.l2norm(v, self.norm_axis)

    def _pool(self, v: F64) -> F64:
        b, k, d = v.shape
        if self.pooling == "gru":
            gates = reference.linear(v.reshape(b * k, d), *self.w_ih)
            return reference.gru(gates, [k] * b, *self.w_hh, "last")
        if self.pooling == "gpo":
            return reference.gpo(v, self.coefficients)
        return reference.pool_regions(v, k if self.pooling == "mean" else self.pool_top)


@given(
    b=st.integers(0, 4),
    k=positive_sizes,
    c=positive_sizes,
    d=st.sampled_from([4, 7, 16, 17, 33]),
    layers=st.lists(st.sampled_from([LightLayer, VsrnLayer]), max_size=3),
    pooling=st.sampled_from(POOLINGS),
    norm_axis=st.sampled_from(NORM_AXES),
    batch_norm=st.booleans(),
    normalize_projection=st.booleans(),
    top=st.integers(1, 6),
    seed=seeds,
    threads=thread_counts,
)
def test_image_encoder(
    isa: str,
    b: int,
    k: int,
    c: int,
    d: int,
    layers: list[type[Layer]],
    pooling: Pooling,
    norm_axis: NormAxis,
    batch_norm: bool,
    normalize_projection: bool,
    top: int,
    seed: int,
    threads: int,
) -> None:
    model = ImageModel(
        seed,
        k,
        c,
        d,
        layers,
        pooling,
        norm_axis,
        pool_top=min(top, k),
        batch_norm=batch_norm,
        normalize_projection=normalize_projection and norm_axis != "none",
    )
    regions = normal(np.random.default_rng(seed + 1), b, k, c, scale=c**-0.5)
    assert_close(model.encode(regions, threads), model.expected(regions), "encoder", 1.0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("make_layer", "threads"), [(LightLayer, 1), (LightLayer, 3), (VsrnLayer, 2)]
)
def test_image_encoder_at_the_model_s_size(
    isa: str, pooling: Pooling, make_layer: type[Layer], threads: int
) -> None:
    model = ImageModel(3, 36, 256, 256, [make_layer] * 4, pooling, "feature", pool_top=3)
    for layer in model.layers:
        if isinstance(layer, LightLayer):
            layer.sigma *= np.float32(0.1)  # a layer is cubic in V: four would overflow float32
    regions = normal(np.random.default_rng(4), 5, 36, 256, scale=256**-0.5)
    assert_close(model.encode(regions, threads), model.expected(regions), "encoder", 1.0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.9999), ("int8", 0.995)])
@pytest.mark.parametrize("make_layer", [LightLayer, VsrnLayer])
def test_a_narrow_image_encoder_points_the_same_way(
    isa: str, pooling: Pooling, precision: Precision, least: float, make_layer: type[Layer]
) -> None:
    model = ImageModel(3, 36, 256, 256, [make_layer] * 4, pooling, "feature", pool_top=3)
    for layer in model.layers:
        if isinstance(layer, LightLayer):
            layer.sigma *= np.float32(0.1)
    regions = normal(np.random.default_rng(4), 5, 36, 256, scale=256**-0.5)
    cosines = (model.encode(regions, precision=precision) * model.expected(regions)).sum(axis=1)
    assert cosines.min() > least


def test_a_large_batch_takes_bounded_memory(isa: str) -> None:
    # More than one chunk: an image takes 36 x (64 x 6 + 272) numbers here, all of them 135 MiB.
    model = ImageModel(5, 36, 16, 64, [LightLayer], "gru", "feature")
    encoder, workspace = model.native(), _core.Workspace()
    regions = normal(np.random.default_rng(6), 1500, 36, 16)
    out = empty(1500, 64)
    encoder.encode(regions, out, workspace)
    assert workspace.nbytes < 72 << 20
    for i in (0, 700, 1499):
        np.testing.assert_allclose(out[i], model.encode(regions[i : i + 1])[0], atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_nan_stays_in_its_image(isa: str, pooling: Pooling) -> None:
    model = ImageModel(0, 5, 12, 9, [LightLayer], pooling, "feature")
    for region in range(5):
        regions = normal(np.random.default_rng(0), 3, 5, 12)
        regions[1, region, 3] = np.nan
        out = model.encode(regions)
        assert np.isnan(out[1]).all()
        assert np.isfinite(out[[0, 2]]).all()


def encode_texts(encoder: _core.TextEncoder, sentences: list[list[int]], threads: int = 0) -> F32:
    tokens = np.array([token for words in sentences for token in words], np.int32)
    offsets = np.cumsum([0, *map(len, sentences)]).astype(np.int64)
    out = empty(len(sentences), encoder.dim)
    encoder.encode(tokens, offsets, out, _core.Workspace(), threads=threads)
    return out


@pytest.mark.parametrize("pooling", ["last", "mean"])
@given(
    sentences=st.lists(st.lists(st.integers(0, 19), max_size=12), max_size=30),
    d=st.sampled_from([4, 7, 16, 17, 33]),
    seed=seeds,
    threads=thread_counts,
)
def test_text_encoder(
    isa: str,
    pooling: Literal["last", "mean"],
    sentences: list[list[int]],
    d: int,
    seed: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(seed)
    embedding = normal(rng, 20, 6)
    w_ih, b_ih = normal(rng, 3 * d, 6), normal(rng, 3 * d)
    w_hh, b_hh = normal(rng, 3 * d, d, scale=d**-0.5), normal(rng, 3 * d)
    table = reference.linear(embedding, w_ih, b_ih)
    encoder = _core.TextEncoder(
        np.ascontiguousarray(table, np.float32), _core.PackedGates(w_hh, b_hh), pooling
    )
    assert (encoder.vocabulary, encoder.dim) == (20, d)
    tokens = [token for words in sentences for token in words]
    gates = table[tokens] if tokens else np.zeros((0, 3 * d))
    lengths = [len(words) for words in sentences]
    expected = reference.unit(reference.gru(gates, lengths, w_hh, b_hh, pooling))
    assert_close(encode_texts(encoder, sentences, threads), expected, "encoder", 1.0)


def test_text_encoder_is_torch_s_gru(isa: str) -> None:
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(50, 30)
    layer = torch.nn.GRU(30, 64, batch_first=True)
    with torch.no_grad():
        table = embedding.weight @ layer.weight_ih_l0.T + layer.bias_ih_l0
        _, last = layer(embedding(torch.tensor([[3, 1, 4, 1, 5, 9]])))
        expected = torch.nn.functional.normalize(last[0], dim=1).numpy()
        packed = _core.PackedGates(layer.weight_hh_l0.numpy(), layer.bias_hh_l0.numpy())
    encoder = _core.TextEncoder(table.detach().numpy(), packed, "last")
    actual = encode_texts(encoder, [[3, 1, 4, 1, 5, 9]])
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.9999), ("int8", 0.995)])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_narrow_text_encoder(
    isa: str, pooling: Literal["last", "mean"], precision: Precision, least: float
) -> None:
    rng = np.random.default_rng(5)
    d = 128
    table = normal(rng, 40, 3 * d)
    w_hh, b_hh = normal(rng, 3 * d, d, scale=d**-0.5), normal(rng, 3 * d, scale=0.1)
    sentences = [rng.integers(0, 40, length).tolist() for length in range(1, 31)]
    plain = _core.TextEncoder(table, _core.PackedGates(w_hh, b_hh), pooling)
    narrow = _core.TextEncoder(table, _core.PackedGates(w_hh, b_hh, precision), pooling)
    exact = encode_texts(plain, sentences)
    one, three = (encode_texts(narrow, sentences, threads) for threads in (1, 3))
    assert (one * exact).sum(axis=1).min() >= least
    np.testing.assert_allclose(three, one, atol=1e-6)

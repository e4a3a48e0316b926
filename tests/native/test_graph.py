from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core
from refine_itr.encoding import folding

from . import reference
from .arrays import F32, F64, Precision, empty, normal, positive_sizes, seeds, sizes, thread_counts
from .tolerances import assert_close, assert_norm_close

Linear = tuple[F32, F32]

batches = st.integers(0, 4)


def make_linear(rng: np.random.Generator, d: int) -> Linear:
    return normal(rng, d, d, scale=max(d, 1) ** -0.5), normal(rng, d, scale=0.1)


def pack(layer: Linear) -> _core.PackedMatrix:
    return _core.PackedMatrix(*layer)


def absolute(layer: Linear) -> Linear:
    return np.abs(layer[0]), np.abs(layer[1])


def named(**linears: Linear) -> dict[str, F32]:
    """The layers' weights under the names that a bundle has, as layer "l"."""
    return {
        f"l.{name}.{part}": array
        for name, layer in linears.items()
        for part, array in zip(("weight", "bias"), layer, strict=True)
    }


def pack_projection(
    weights: dict[str, F32], precision: Precision = "fp32"
) -> tuple[_core.PackedMatrix, F32]:
    folded = folding.fold_projection(weights, "l", batch_norm=False)
    return _core.PackedMatrix(folded.weight, folded.bias, precision), folded.row_bias


class LightLayer:
    """Random weights of a Light-GCN layer, run by the kernels and by the reference."""

    def __init__(self, rng: np.random.Generator, k: int, d: int) -> None:
        self.sigma = normal(rng, k, k, scale=1 / max(k, 1))
        self.g, self.r = make_linear(rng, d), make_linear(rng, d)

    def run(self, regions: F32, threads: int = 0) -> F32:
        out = empty(*regions.shape)
        workspace = _core.Workspace()
        g, r = pack(self.g), pack(self.r)
        _core.light_gcn(regions, self.sigma, g, r, out, workspace, threads=threads)
        return out

    def run_folded(self, regions: F32, threads: int = 0) -> F32:
        f, f_bias = pack_projection(named(g=self.g, r=self.r))
        out = empty(*regions.shape)
        workspace = _core.Workspace()
        _core.light_gcn_folded(regions, self.sigma, f, f_bias, out, workspace, threads=threads)
        return out

    def expected(self, regions: F32 | F64) -> F64:
        return reference.light_gcn(regions, self.sigma, self.g, self.r)

    def magnitude(self, regions: F32) -> F64:
        g, r = absolute(self.g), absolute(self.r)
        return reference.light_gcn(np.abs(regions), np.abs(self.sigma), g, r)


class VsrnLayer:
    """Random weights of a VSRN layer, run by the kernels and by the reference."""

    def __init__(self, rng: np.random.Generator, k: int, d: int) -> None:
        self.scale = 1 / max(k, 1)
        self.linears = [make_linear(rng, d) for _ in range(4)]

    def run(self, regions: F32, threads: int = 0) -> F32:
        theta, phi, g, r = map(pack, self.linears)
        out = empty(*regions.shape)
        workspace = _core.Workspace()
        _core.vsrn_gcn(regions, theta, phi, g, r, self.scale, out, workspace, threads=threads)
        return out

    def run_folded(self, regions: F32, threads: int = 0) -> F32:
        m, u, w, c, scale, f, f_bias = self.folded()
        out = empty(*regions.shape)
        _core.vsrn_gcn_folded(
            regions, m, u, w, c, scale, f, f_bias, out, _core.Workspace(), threads=threads
        )
        return out

    def folded(
        self, precision: Precision = "fp32"
    ) -> tuple[_core.PackedMatrix, F32, F32, float, float, _core.PackedMatrix, F32]:
        """The arguments m, u, w, c, scale, f and f_bias of the folded layer."""
        theta, phi, g, r = self.linears
        weights = named(theta=theta, phi=phi, g=g, r=r)
        relation = folding.fold_affinity(weights, "l")
        m = _core.PackedMatrix(np.ascontiguousarray(relation.m.T), None, precision)
        projection = pack_projection(weights, precision)
        return m, relation.u, relation.w, relation.c, self.scale, *projection

    def expected(self, regions: F32 | F64) -> F64:
        return reference.vsrn_gcn(regions, *self.linears, self.scale)

    def magnitude(self, regions: F32) -> F64:
        return reference.vsrn_gcn(np.abs(regions), *map(absolute, self.linears), self.scale)


LAYERS = (LightLayer, VsrnLayer)


@pytest.mark.parametrize("make_layer", LAYERS)
@given(b=batches, k=sizes, d=sizes, seed=seeds, threads=thread_counts)
def test_as_written(
    isa: str,
    make_layer: type[LightLayer | VsrnLayer],
    b: int,
    k: int,
    d: int,
    seed: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(seed)
    layer = make_layer(rng, k, d)
    regions = normal(rng, b, k, d)
    actual = layer.run(regions, threads)
    assert_close(actual, layer.expected(regions), "graph", layer.magnitude(regions))


@pytest.mark.parametrize("make_layer", LAYERS)
@given(b=batches, k=positive_sizes, d=positive_sizes, seed=seeds, threads=thread_counts)
def test_folded(
    isa: str,
    make_layer: type[LightLayer | VsrnLayer],
    b: int,
    k: int,
    d: int,
    seed: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(seed)
    layer = make_layer(rng, k, d)
    regions = normal(rng, b, k, d)
    actual = layer.run_folded(regions, threads)
    assert_close(actual, layer.expected(regions), "graph", layer.magnitude(regions))


@pytest.mark.parametrize("make_layer", LAYERS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_at_the_model_s_size(
    isa: str, make_layer: type[LightLayer | VsrnLayer], threads: int
) -> None:
    rng = np.random.default_rng(11)
    layer = make_layer(rng, 36, 512)
    regions = normal(rng, 3, 36, 512, scale=512**-0.5)
    expected = layer.expected(regions)
    assert_norm_close(layer.run(regions, threads), expected, "graph")
    assert_norm_close(layer.run_folded(regions, threads), expected, "graph")


@pytest.mark.parametrize("make_layer", LAYERS)
def test_a_nan_stays_in_its_image(isa: str, make_layer: type[LightLayer | VsrnLayer]) -> None:
    rng = np.random.default_rng(5)
    layer = make_layer(rng, 6, 20)
    regions = normal(rng, 3, 6, 20)
    regions[1, 2, 3] = np.nan
    for out in (layer.run(regions), layer.run_folded(regions)):
        assert np.isnan(out[1]).all()
        assert np.isfinite(out[[0, 2]]).all()

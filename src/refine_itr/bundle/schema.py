"""Which weights a configuration needs, and in which shape. The page to read for the names."""

from __future__ import annotations

from refine_itr.bundle.config import BundleConfig, ImageConfig

Shapes = dict[str, tuple[int, ...]]


def expected_weights(config: BundleConfig) -> Shapes:
    """Returns the name and shape of every tensor of ``weights.safetensors``.

    Weights are stored as trained; folding (see ``refine_itr.encoding.folding``) is done at load.
    """
    image, text, dim = config.image, config.text, config.dim
    shapes = _linear("image.fc", dim, image.features)
    for layer in range(image.layers):
        shapes |= _graph_layer(f"image.graph.{layer}", image, dim)
    if image.pooling == "gru":
        shapes |= _gru("image.gru", dim, dim)
    if image.pooling == "gpo":
        # Their generator stays behind in training: it depends on K alone, which is fixed here.
        shapes["image.gpo.coefficients"] = (image.regions,)
    if image.embedding_batch_norm:
        shapes |= _batch_norm("image.bn", dim)
    shapes["text.embedding.weight"] = (text.vocabulary, text.word_dim)
    return shapes | _gru("text.gru", text.word_dim, dim)


def tolerated_weights(config: BundleConfig) -> set[str]:
    """Names that may be there and are not used: VSRN's theta and phi in a Light-GCN model."""
    if config.image.graph != "light-gcn":
        return set()
    return {
        f"image.graph.{layer}.{part}.{kind}"
        for layer in range(config.image.layers)
        for part in ("theta", "phi")
        for kind in ("weight", "bias")
    }


def _graph_layer(name: str, image: ImageConfig, dim: int) -> Shapes:
    shapes = _linear(f"{name}.g", dim, dim) | _linear(f"{name}.r", dim, dim)
    if image.graph == "light-gcn":
        shapes[f"{name}.sigma"] = (image.regions, image.regions)
    else:
        shapes |= _linear(f"{name}.theta", dim, dim) | _linear(f"{name}.phi", dim, dim)
    if image.batch_norm:
        shapes |= _batch_norm(f"{name}.bn", dim)
    return shapes


def _linear(name: str, n_out: int, n_in: int) -> Shapes:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _batch_norm(name: str, dim: int) -> Shapes:
    return {f"{name}.{part}": (dim,) for part in ("weight", "bias", "running_mean", "running_var")}


def _gru(name: str, n_in: int, dim: int) -> Shapes:
    return {
        f"{name}.weight_ih": (3 * dim, n_in),
        f"{name}.weight_hh": (3 * dim, dim),
        f"{name}.bias_ih": (3 * dim,),
        f"{name}.bias_hh": (3 * dim,),
    }

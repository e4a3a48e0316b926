"""The shipped encoders (folded weights, native kernels) against these PyTorch modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from refine_itr import _core
from refine_itr.bundle import BundleConfig, DetectorConfig, ImageConfig, TextConfig
from refine_itr.encoding import ImageEncoder, TextEncoder
from refine_itr.training.modules import Encoders, bundle_weights, load_bundle_weights
from refine_itr.training.vocabulary import make_tokenizer

TOLERANCE = 1e-4  # unit embeddings in float32 against float64
WORDS = [f"w{i}" for i in range(16)]


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> object:
    before = _core.isa()
    _core.force_isa(request.param)
    yield request.param
    _core.force_isa(before)


def _config(**image: object) -> BundleConfig:
    settings: dict[str, object] = {
        "regions": 9,
        "features": 13,
        "graph": "light-gcn",
        "layers": 2,
        "scale_affinity": True,
        "batch_norm": True,
        "normalize_projection": False,
        "norm_axis": "feature",
        "pooling": "mean",
        "pool_top": 3,
        "embedding_batch_norm": False,
    }
    text_pooling = str(image.pop("text_pooling", "last"))
    return BundleConfig(
        dim=19,
        image=ImageConfig(**(settings | image)),  # type: ignore[arg-type]
        text=TextConfig(vocabulary=4 + len(WORDS), word_dim=7, pooling=text_pooling),
        detector=DetectorConfig("grid", 128, 3),
    )


def _random_encoders(config: BundleConfig, seed: int = 0) -> Encoders:
    """Double precision; every weight and running statistic random, no layer the identity."""
    torch.manual_seed(seed)
    encoders = Encoders(config).double().eval()
    with torch.no_grad():
        for name, tensor in encoders.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif tensor.is_floating_point():
                tensor.add_(0.2 * torch.randn(tensor.shape))
    return encoders


def _numpy(encoders: Encoders) -> dict[str, np.ndarray]:
    return {name: w.float().numpy() for name, w in bundle_weights(encoders).items()}


@pytest.mark.parametrize("graph", ["light-gcn", "vsrn-gcn", "none"])
@pytest.mark.parametrize("pooling", ["mean", "max-of-top", "gru", "gpo"])
@pytest.mark.parametrize("norm_axis", ["feature", "region", "none"])
@pytest.mark.usefixtures("isa")
def test_image_encoder(graph: str, pooling: str, norm_axis: str) -> None:
    layers = 0 if graph == "none" else 2
    _compare_images(_config(graph=graph, layers=layers, pooling=pooling, norm_axis=norm_axis))


@pytest.mark.parametrize(
    "change",
    [
        {"scale_affinity": False},
        {"batch_norm": False},
        {"normalize_projection": True},
        {"normalize_projection": True, "norm_axis": "region"},
        {"embedding_batch_norm": True},
        {"embedding_batch_norm": True, "pooling": "gru"},
        {"regions": 36, "pooling": "gpo"},
        {"graph": "vsrn-gcn", "batch_norm": False, "scale_affinity": False},
    ],
    ids=str,
)
def test_image_encoder_options(change: dict[str, object]) -> None:
    _compare_images(_config(**change))


def _compare_images(config: BundleConfig) -> None:
    encoders = _random_encoders(config)
    regions = torch.randn(5, config.image.regions, config.image.features)
    with torch.no_grad():
        expected = encoders.image(regions.double()).numpy()
    got = ImageEncoder(config, _numpy(encoders), threads=2).encode(regions.numpy())
    np.testing.assert_allclose(got, expected, atol=TOLERANCE)


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.usefixtures("isa")
def test_text_encoder(pooling: str) -> None:
    config = _config(text_pooling=pooling)
    encoders = _random_encoders(config)
    tokenizer = make_tokenizer(WORDS)
    sentences = ["", "w1", "W3 w4, w5!", "w7 never-seen w2 w2 w2 w9 w11", "w0 " * 40]
    rows = [encoding.ids for encoding in tokenizer.encode_batch(sentences)]
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(r) for r in rows], batch_first=True)
    with torch.no_grad():
        expected = encoders.text(tokens, lengths).numpy()
    native = TextEncoder(config, _numpy(encoders), tokenizer.to_str(), threads=2)
    np.testing.assert_allclose(native.encode(sentences), expected, atol=TOLERANCE)


def test_weights_survive_the_bundle_and_back() -> None:
    config = _config(pooling="gru", embedding_batch_norm=True)
    encoders, other = _random_encoders(config), _random_encoders(config, seed=1)
    load_bundle_weights(other, bundle_weights(encoders))
    for name, tensor in encoders.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor)


def test_a_fresh_graph_layer_is_the_identity() -> None:
    for batch_norm in (True, False):
        encoders = Encoders(_config(batch_norm=batch_norm)).eval()
        v = torch.randn(2, 9, 19)
        torch.testing.assert_close(encoders.image.graph[0](v), v)

"""A tiny bundle with random weights: what tests of everything but recall run on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from refine_itr.bundle import (
    BundleConfig,
    DetectorConfig,
    ImageConfig,
    TextConfig,
    write_bundle,
)
from refine_itr.bundle.schema import expected_weights
from refine_itr.scoring import Calibration, QueryBank, Relevance

WORDS = ["<pad>", "<start>", "<end>", "<unk>", "a", "red", "green", "blue", "circle", "square"]


def tiny_config(**image: object) -> BundleConfig:
    """A model small enough for a test; ``image`` changes fields of the image encoder."""
    settings: dict[str, object] = {
        "regions": 4,
        "features": 6,
        "graph": "light-gcn",
        "layers": 2,
        "scale_affinity": True,
        "batch_norm": True,
        "normalize_projection": False,
        "norm_axis": "feature",
        "pooling": "mean",
        "pool_top": 1,
        "embedding_batch_norm": False,
    }
    return BundleConfig(
        dim=12,
        image=ImageConfig(**(settings | image)),  # type: ignore[arg-type]
        text=TextConfig(vocabulary=len(WORDS), word_dim=5, pooling="last"),
        detector=DetectorConfig(kind="grid", input_size=24, grid=2),
    )


def random_weights(config: BundleConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights of the right names and shapes; variances are positive."""
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in expected_weights(config).items()
    }
    for name, weight in weights.items():
        if name.endswith("running_var"):
            weights[name] = np.abs(weight) + np.float32(0.5)
    return weights


def tiny_tokenizer() -> str:
    """Words at white space, lower case."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer.to_str()


def tiny_detector(size: int = 24, grid: int = 2, features: int = 6) -> bytes:
    """Mean colours of overlapping cells, mixed to ``features`` numbers."""
    cell = size // (grid + 1)
    mix = np.random.default_rng(7).normal(0, 1, (features, 3, 1, 1)).astype(np.float32)
    shape = np.array([0, features, grid * grid], np.int64)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["nchw", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["unit"]),
        helper.make_node(
            "AveragePool", ["unit"], ["map"], kernel_shape=[cell, cell], strides=[cell, cell]
        ),
        helper.make_node("Conv", ["map", "mix"], ["mixed"]),
        helper.make_node("AveragePool", ["mixed"], ["cells"], kernel_shape=[2, 2]),
        helper.make_node("Reshape", ["cells", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["regions"], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info("regions", TensorProto.FLOAT, ["n", grid**2, features])],
        [
            numpy_helper.from_array(np.float32(127), "mean"),
            numpy_helper.from_array(np.float32(128), "scale"),
            numpy_helper.from_array(mix, "mix"),
            numpy_helper.from_array(shape, "shape"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_tiny_bundle(folder: Path, seed: int = 0, **image: object) -> Path:
    """Writes a whole bundle to ``folder``."""
    config = tiny_config(**image)
    weights = random_weights(config, seed)
    write_bundle(folder, config, weights, tiny_tokenizer(), tiny_detector(), "# A test's model\n")
    return folder


def tiny_calibration(seed: int = 0) -> Calibration:
    """A bank of random queries of the tiny model's length, and relevances that tell them apart."""
    rng = np.random.default_rng(seed)
    texts, images = (rng.normal(0, 0.3, (count, 12)).astype(np.float32) for count in (9, 7))
    bank = QueryBank(texts, images, temperature=8)
    return Calibration(
        bank, {"images": Relevance(9, -3, -0.9, 1), "texts": Relevance(7, -5, -0.8, 1)}
    )

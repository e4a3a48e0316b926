"""From JPEG bytes to hits, in one process: ``python benchmarks/end_to_end.py FOLDER``.

Checks the answers first: pictures embedded in a stream must equal those embedded one by one, and
the hits of the index must equal a full ranking by NumPy. Then times, the model's loading apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

import refine_itr
from refine_itr import _core
from refine_itr.decoding import find_pictures

SENTENCE = "two dogs run through the snow"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def check(model: refine_itr.Model, paths: list[Path]) -> None:
    few = paths[:20]
    alone = np.concatenate([model.embed_images([path]) for path in few])
    np.testing.assert_allclose(model.embed_images(few), alone, atol=1e-4)
    index = refine_itr.Index(model)
    index.add_images(few, progress=False)
    scores = alone @ model.embed_texts([SENTENCE])[0]
    best = [few[row] for row in np.argsort(-scores)[:5]]
    assert [hit.item for hit in index.search(SENTENCE, 5)] == best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=1000, help="pictures to use (1000)")
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()

    load_s = seconds(lambda: refine_itr.load(arguments.model))
    model = refine_itr.load(arguments.model)
    paths = find_pictures(arguments.folder.resolve())[: arguments.limit]
    check(model, paths)

    index = refine_itr.Index(model)
    add_s = seconds(lambda: index.add_images(paths, progress=False))
    again_s = seconds(lambda: index.add_images(paths, progress=False))
    content = paths[0].read_bytes()
    index.add_texts([f"{SENTENCE} {number}" for number in range(1000)])
    repeats = range(50)
    by_text = [seconds(lambda: index.search(SENTENCE, 10)) for _ in repeats]
    by_image = [seconds(lambda: index.search(content, 10)) for _ in repeats]
    report = {
        "pictures": len(paths),
        "load_s": round(load_s, 2),
        "pictures_per_s": round(len(paths) / add_s, 1),
        "add_again_s": round(again_s, 3),
        "sentence_query_ms": round(1e3 * statistics.median(by_text), 2),
        "photograph_query_ms": round(1e3 * statistics.median(by_image), 2),
        "isa": _core.isa(),
        "threads": model.threads,
        "python": sys.version.split()[0],
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

"""Hub correction and relevance, measured: ``python benchmarks/scores.py VAL TRAIN IMAGES``.

VAL and TRAIN are captions.jsonl files. Banks are made of TRAIN alone, recall and reliability are
those of VAL. Prints the tables of docs/scores.md. ``--cache FOLDER`` keeps the embeddings. Needs
the extra ``demo``, for photographs of other things.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

import refine_itr
from refine_itr.cli.samples import sample_photographs
from refine_itr.evaluation import EmbeddedPairs, calibrate, measure_recalls, read_captions
from refine_itr.evaluation.calibrate import TEMPERATURES, centres, make_bank
from refine_itr.index import Scorer, gallery_rows, top_k
from refine_itr.scoring import Calibration, QueryBank
from refine_itr.types import FloatArray, Kind

SIZES = (128, 256, 512, 1024, 2048)

# What is not there is asked for only where no sentence of the gallery has the word.
ABSENT = {
    "sushi": "a plate of sushi with wasabi",
    "spreadsheet": "a spreadsheet with the revenue of a quarter",
    "x-ray": "an x-ray of a broken arm",
    "cathedral": "a cathedral with stained glass windows",
    "planet": "the planet Saturn and its rings",
    "wine": "a glass of red wine on a table",
    "laptop": "a laptop and a keyboard on a desk",
    "cat": "a cat sleeping on a sofa",
    "elephant": "an elephant with its calf",
    "letter": "a handwritten letter",
    "chess": "two people play chess",
    "stock": "stock prices fell sharply on Tuesday",
    "password": "how do I reset my password",
    "lorem": "lorem ipsum dolor sit amet",
    "wedding": "a wedding cake with white icing",
    "penguin": "a penguin on the ice",
    "train": "a train at the station",
    "fruit": "a bowl of fruit",
    "airplane": "an airplane lands at an airport",
    "volcano": "a volcano erupts at night",
    "piano": "a woman plays the piano",
    "microscope": "bacteria under a microscope",
    "giraffe": "a giraffe eats leaves",
    "map": "a map of the underground",
    "pizza": "a pizza with mushrooms",
    "castle": "a castle on a hill",
    "dinosaur": "the skeleton of a dinosaur in a museum",
    "satellite": "a satellite picture of a hurricane",
    "fish tank": "tropical fish in a fish tank",
    "kitchen": "an empty kitchen with white cupboards",
    "invoice": "an invoice for office furniture",
    "skyscraper": "the skyline with its skyscrapers at night",
    "rocket": "a rocket takes off",
    "surgeon": "a surgeon operates on a patient",
}


def embedded(
    model: refine_itr.Model, captions: Path, images: Path, cache: Path | None
) -> EmbeddedPairs:
    kept = cache / f"{captions.stem}.npz" if cache else None
    if kept is not None and kept.is_file():
        with np.load(kept) as arrays:
            return EmbeddedPairs(arrays["images"], arrays["texts"], arrays["owner"])
    pairs = EmbeddedPairs.of(model, read_captions(captions, images))
    if kept is not None:
        np.savez(kept, images=pairs.images, texts=pairs.texts, owner=pairs.owner)
    return pairs


def gain(pairs: EmbeddedPairs, bank: QueryBank) -> tuple[float, float]:
    """Returns by how much the recalls of each direction, added up, rise: i2t, t2i."""
    data = (pairs.images, pairs.texts, pairs.owner)
    plain, corrected = measure_recalls(*data), measure_recalls(*data, bank=bank)
    return sum(corrected.i2t) - sum(plain.i2t), sum(corrected.t2i) - sum(plain.t2i)


def gain_of_offsets(
    pairs: EmbeddedPairs,
    offsets: Callable[[FloatArray, FloatArray], FloatArray],
    queries: EmbeddedPairs,
) -> tuple[float, float]:
    """The same with offsets of any kind, a function of items and queries."""

    def best(asked: FloatArray, items: FloatArray, bank: FloatArray) -> npt.NDArray[np.int64]:
        rows = np.column_stack([items, offsets(items, bank)]).astype(np.float32)
        return top_k(np.pad(asked, ((0, 0), (0, 1)), constant_values=1), rows, 10)[1]

    texts = best(pairs.images, pairs.texts, queries.images)
    images = best(pairs.texts, pairs.images, queries.texts)
    plain = measure_recalls(pairs.images, pairs.texts, pairs.owner)
    right_texts = pairs.owner[texts] == np.arange(len(pairs.images))[:, None]
    right_images = images == pairs.owner[:, None]
    return summed(right_texts) - sum(plain.i2t), summed(right_images) - sum(plain.t2i)


def summed(right: npt.NDArray[np.bool_]) -> float:
    return sum(100 * float(right[:, :k].any(axis=1).mean()) for k in (1, 5, 10))


def nearest_mean(count: int, weight: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """CSLS (Conneau et al., ICLR 2018): the mean of an item's nearest queries."""

    def offsets(items: FloatArray, bank: FloatArray) -> FloatArray:
        similar = items @ bank.T
        nearest = np.partition(similar, -count, axis=1)[:, -count:]
        mean: FloatArray = -weight * nearest.mean(axis=1)
        return mean

    return offsets


def inverted_softmax(temperature: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    return lambda items, bank: QueryBank(bank, temperature=temperature).offsets(items, "images")


def print_methods(pairs: EmbeddedPairs, queries: EmbeddedPairs) -> None:
    print("\n| offset, from all training queries | i2t | t2i | rsum |\n|---|---|---|---|")
    for count in (10, 50, 200):
        for weight in (0.5, 1.0):
            found = gain_of_offsets(pairs, nearest_mean(count, weight), queries)
            row(f"{weight:g} x mean of the {count} nearest", *found)
    for temperature in (5, 10, 15, 17.5, 20, 30):
        found = gain_of_offsets(pairs, inverted_softmax(temperature), queries)
        row(f"inverted softmax, temperature {temperature:g}", *found)


def print_sizes(pairs: EmbeddedPairs, queries: EmbeddedPairs) -> None:
    print("\n| bank | i2t | t2i | rsum | MB |\n|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for size in SIZES:
        some = [rows[rng.choice(len(rows), size, replace=False)]
                for rows in (queries.texts, queries.images)]  # fmt: skip
        middle = [centres(rows, size) for rows in (queries.texts, queries.images)]
        for name, rows, temperature in (
            ("queries", some, 10), ("queries", some, 17.5), ("centres", middle, 17.5),
        ):  # fmt: skip
            bank = QueryBank(*rows, temperature=temperature)
            mb = (bank.texts.nbytes + bank.images.nbytes) / 1e6
            what = f"{size} {name} of each kind, temperature {temperature:g}"
            row(what, *gain(pairs, bank), f"{mb:.1f}")


def print_halves(pairs: EmbeddedPairs, queries: EmbeddedPairs) -> None:
    """The temperature is chosen on one half of the photographs, the gain is the other half's."""
    first = np.random.default_rng(0).permutation(len(pairs.images)) % 2 == 0
    middle = EmbeddedPairs(centres(queries.images, 512), centres(queries.texts, 512), queries.owner)
    print("\n| temperature chosen on one half | i2t of the other | t2i | rsum |\n|---|---|---|---|")
    for keep in (first, ~first):
        bank = make_bank(middle, 512, pairs.part(keep), TEMPERATURES)
        row(f"{bank.temperature:g}", *gain(pairs.part(~keep), bank))


def row(name: str, i2t: float, t2i: float, *more: str) -> None:
    cells = (name, f"{i2t:+.1f}", f"{t2i:+.1f}", f"{i2t + t2i:+.1f}", *more)
    print("| " + " | ".join(cells) + " |", flush=True)


def print_reliability(pairs: EmbeddedPairs, bank: QueryBank) -> Calibration:
    calibration, reliability = calibrate(pairs, bank)
    names = {"images": "sentence finds photographs", "texts": "photograph finds sentences"}
    for kind, curve in reliability.items():
        print(f"\n| relevance, {names[kind]} | hits | mean | fit |\n|---|---|---|---|")
        for b in curve.bins:
            print(f"| {b.low:.1f} to {b.high:.1f} | {b.hits} | {b.relevance:.2f} | {b.fits:.2f} |")
        print("\n| at least | hits | fit | shown if there | shown if not |\n|---|---|---|---|---|")
        for cut in curve.cuts:
            fits = "-" if cut.fits is None else f"{cut.fits:.2f}"
            shown = f"{cut.present:.0%} | {cut.absent:.0%}"
            print(f"| {cut.min_relevance:g} | {cut.hits} | {fits} | {shown} |")
    return calibration


def relevance_of(
    calibration: Calibration, found: Kind, asked: FloatArray, items: FloatArray
) -> npt.NDArray[np.float64]:
    """Returns (q, 10): the relevance of what queries find."""
    bank = calibration.bank
    by: Kind = "texts" if found == "images" else "images"
    scorer = Scorer(by, found, bank, calibration.relevance[found], 0)
    ranked = scorer.rank(asked, gallery_rows(bank, items, found, 0), 10, 0)
    return np.stack([r.relevances for r in ranked if r.relevances is not None])


def print_absent(
    model: refine_itr.Model, calibration: Calibration, pairs: EmbeddedPairs, captions: list[str]
) -> None:
    """The first hit for what is not in the gallery, beside that for what is."""
    said = " ".join(captions).lower()
    present = {word for word in ABSENT if re.search(rf"\b{word}s?\b", said)}
    asked = [sentence for word, sentence in ABSENT.items() if word not in present]
    samples = model.embed_images(sample_photographs())
    groups: list[tuple[str, Kind, FloatArray, FloatArray]] = [
        (f"{len(asked)} sentences of what is not there", "images", model.embed_texts(asked),
         pairs.images),
        (f"{len(captions)} sentences of what is", "images", pairs.texts, pairs.images),
        (f"{len(samples)} photographs of other things", "texts", samples, pairs.texts),
        (f"{len(pairs.images)} photographs that are described", "texts", pairs.images, pairs.texts),
    ]  # fmt: skip
    print("\n| first hit | median | >= 0.1 | >= 0.2 | >= 0.3 | >= 0.5 |\n|---|---|---|---|---|---|")
    for name, found, queries, items in groups:
        first = relevance_of(calibration, found, queries, items)[:, 0]
        shares = " | ".join(f"{(first >= least).mean():.0%}" for least in (0.1, 0.2, 0.3, 0.5))
        print(f"| {name} | {np.median(first):.2f} | {shares} |")
    print("\nnot asked for, because a sentence has the word:", ", ".join(sorted(present)))


def print_gallery_sizes(calibration: Calibration, pairs: EmbeddedPairs) -> None:
    print(
        "\n| photographs searched | hits >= 0.3 | fit | hits >= 0.5 | fit |\n|---|---|---|---|---|"
    )
    bank, rng = calibration.bank, np.random.default_rng(1)
    for size in (20, 50, 200, 500, len(pairs.images)):
        relevances, fits = [], []
        for _ in range(len(pairs.images) // size):
            part = pairs.part(rng.permutation(len(pairs.images)) < size)
            relevances.append(relevance_of(calibration, "images", part.texts, part.images))
            rows = gallery_rows(bank, part.images, "images", 0)
            ids = Scorer("texts", "images", bank, None, 0).top_k(part.texts, rows, 10, 0)[1]
            fits.append(ids == part.owner[:, None])
        p, right = np.concatenate(relevances), np.concatenate(fits)
        cells = (f"{(p >= least).sum()} | {right[p >= least].mean():.2f}" for least in (0.3, 0.5))
        print(f"| {size} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("val", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()

    model = refine_itr.load(arguments.model)
    pairs = embedded(model, arguments.val, arguments.images, arguments.cache)
    queries = embedded(model, arguments.train, arguments.images, arguments.cache)
    print(f"rsum without correction: {measure_recalls(*vars(pairs).values()).rsum:.1f}")
    print_methods(pairs, queries)
    print_sizes(pairs, queries)
    print_halves(pairs, queries)
    calibration = print_reliability(pairs, make_bank(queries, 512, pairs))
    captions = read_captions(arguments.val, arguments.images).sentences
    print_absent(model, calibration, pairs, captions)
    print_gallery_sizes(calibration, pairs)


if __name__ == "__main__":
    main()

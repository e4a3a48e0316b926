"""Which models a table needs, and the one recipe that trains them all."""

from __future__ import annotations

from dataclasses import dataclass

from refine_itr.errors import InvalidInputError
from refine_itr.training.recipe import Recipe

VSRN, LIGHT = "vsrn-gcn", "light-gcn"
_PAIR_DIM = 1024
_MAX_DIM = 8192
# High, for few epochs; wider layers take less of it.
_LEARNING_RATE = 2e-3
_RATE_DIM = 256


@dataclass(frozen=True)
class Run:
    """One model to train.

    Attributes:
        graph: Kind of its graph layers.
        dim: D.
        seed: Of its weights and of the order of the data.
    """

    graph: str
    dim: int
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.graph}-d{self.dim}-s{self.seed}"


@dataclass(frozen=True)
class Settings:
    """The budget, the same for all models.

    Attributes:
        epochs: Passes over the photographs, each with ``sentences`` of its sentences.
        batch_size: Photographs a step.
        dims: The D of the models.
        seeds: Seeds of the models at ``pair_dim``; the others have one.
        sentences: Of each photograph in a step.
    """

    epochs: int
    batch_size: int
    dims: tuple[int, ...]
    seeds: int
    sentences: int = 3

    def __post_init__(self) -> None:
        """Checks the values; raises ``InvalidInputError``."""
        if not self.dims or len(set(self.dims)) < len(self.dims):
            raise InvalidInputError(f"--dims: expected different numbers; got {self.dims}")
        for name, value, low, high in (
            *(("--dims", dim, 1, _MAX_DIM) for dim in self.dims),
            ("--epochs", self.epochs, 1, 10_000),
            ("--batch", self.batch_size, 2, 65_536),
            ("--seeds", self.seeds, 1, 100),
        ):
            if not low <= value <= high:
                raise InvalidInputError(f"{name}: expected {low} to {high}; got {value}")

    @property
    def pair_dim(self) -> int:
        """The D at which several seeds show the spread: 1024 if it is there, else the least."""
        return _PAIR_DIM if _PAIR_DIM in self.dims else min(self.dims)

    def runs(self, graphs: tuple[str, ...]) -> list[Run]:
        """All runs, those with several seeds first: they carry the claim."""
        dims = sorted(self.dims, key=lambda dim: (dim != self.pair_dim, dim))
        return [
            Run(graph, dim, seed)
            for dim in dims
            for seed in range(self.seeds if dim == self.pair_dim else 1)
            for graph in graphs
        ]


def paper_recipe(run: Run, settings: Settings) -> Recipe:
    """The paper's architecture (VSRN's for Flickr30K), trained in few epochs on a CPU.

    Four graph layers and a GRU over the regions, a GRU over words of 300 numbers, nothing of the
    sentence model. The paper trains 30 epochs of Adam with the hinge loss of hardest negatives;
    ``docs/experiments.md`` says what differs here, and why.
    """
    return Recipe(
        dim=run.dim,
        graph=run.graph,
        seed=run.seed,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        sentences=settings.sentences,
        word_dim=300,
        layers=4,
        pooling="gru",
        norm_axis="region",
        embedding_batch_norm=True,
        min_word_count=4,
        extra_words=0,
        teacher=False,
        fine_tune=False,
        views=1,
        keep_epoch="last",
        precision="float32",
        warmup_epochs=min(0.5, settings.epochs / 5),
        learning_rate=_LEARNING_RATE * min(1.0, (_RATE_DIM / run.dim) ** 0.5),
        embedding_rate=3e-3,
        weight_decay=0.01,
        ema_decay=0.0,
        dropout=0.1,
    )

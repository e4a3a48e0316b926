"""The sentence model, where its package is installed; and what it is used for, with a stand-in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from refine_itr.errors import MissingExtraError
from refine_itr.training.batches import Batch
from refine_itr.training.data import Split
from refine_itr.training.knowledge import CachedTeacher
from refine_itr.training.objective import Objective
from refine_itr.training.recipe import Recipe
from refine_itr.training.teacher import PACKAGE, SentenceModel, teacher_folder


class StandIn:
    """Counts its calls; embeds a text by its letters."""

    def __init__(self) -> None:
        self.calls = 0
        vocabulary = {"the": 0, "a": 1, "##ing": 2, "dog": 3, "Zürich": 4}
        self.tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="a"))
        self.tokenizer.pre_tokenizer = Whitespace()

    def encode(self, texts: list[str]) -> torch.Tensor:
        self.calls += 1
        rows = torch.zeros(len(texts), 384)
        for row, text in zip(rows, texts, strict=True):
            row[[ord(letter) for letter in text]] = 1.0
        return torch.nn.functional.normalize(rows, dim=1)


@pytest.fixture
def teacher(tmp_path: Path) -> CachedTeacher:
    return CachedTeacher(StandIn(), tmp_path, lambda *_: None)  # type: ignore[arg-type]


def test_knowledge_is_kept_on_disk(teacher: CachedTeacher, tmp_path: Path) -> None:
    split = Split(["a dog", "dogs", "cat"], np.array([0, 0, 1]), photographs=[Path("x"), Path("y")])
    first = teacher.knowledge(split)
    model = StandIn()
    again = CachedTeacher(model, tmp_path, lambda *_: None).knowledge(split)  # type: ignore[arg-type]
    assert model.calls == 0
    assert torch.equal(first.sentences, again.sentences)
    torch.testing.assert_close(first.images[1], first.sentences[2])
    torch.testing.assert_close(first.images.norm(dim=1), torch.ones(2))
    batch = Batch(np.array([1]), np.array([0]), np.array([2]), np.array([0]))
    images, sentences = first.of(batch)
    assert torch.equal(images, first.images[1:])
    assert torch.equal(sentences, first.sentences[2:])


def test_word_vectors_are_centred(teacher: CachedTeacher) -> None:
    vectors = teacher.word_vectors(["dog", "cat", "bird"])
    torch.testing.assert_close(vectors.mean(0), torch.zeros(384), atol=1e-6, rtol=0)
    assert vectors.std().item() == pytest.approx(0.4)


def test_frequent_words_are_whole_and_in_order(teacher: CachedTeacher) -> None:
    assert teacher.frequent_words() == ["the", "dog"]


def test_the_teacher_changes_the_loss(tiny_recipe: Callable[..., Recipe]) -> None:
    torch.manual_seed(0)
    recipe = tiny_recipe(teacher=True, word_dim=384)
    objective = Objective(recipe)
    images, sentences = (torch.nn.functional.normalize(torch.randn(4, 8), dim=1) for _ in "ab")
    knowledge = torch.nn.functional.normalize(torch.randn(4, 384), dim=1)
    owner = torch.arange(4)
    alone = objective(images, sentences, owner, None, 0)
    taught = objective(images, sentences, owner, (knowledge, knowledge), 0)
    assert taught.item() != pytest.approx(alone.item())
    taught.backward()
    assert objective.to_teacher.weight.grad is not None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'refine-itr\[train\]'"):
        teacher_folder()


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE}: not installed")
def test_sentences_of_one_meaning_are_near() -> None:
    model = SentenceModel(teacher_folder())
    dogs, puppies, guitar = model.encode(
        ["two dogs run in the snow", "a pair of puppies play in winter", "a man plays guitar"]
    )
    assert dogs @ puppies > 0.5
    assert abs(dogs @ guitar) < 0.2
    alone = model.encode(["a man plays guitar"])[0]  # no padding now
    torch.testing.assert_close(alone, guitar, atol=1e-5, rtol=0)

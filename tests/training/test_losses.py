"""Losses against small cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from refine_itr.training.losses import (
    distillation,
    hard_targets,
    hinge,
    info_nce,
    matches,
    soft_targets,
)

# Two images; sentences 0 and 1 belong to image 0, sentence 2 to image 1.
OWNER = torch.tensor([0, 0, 1])
SCORES = torch.tensor([[0.9, 0.5, 0.6], [0.4, 0.7, 0.8]])


def test_matches() -> None:
    assert matches(OWNER, 2).tolist() == [[True, True, False], [False, False, True]]


@pytest.mark.parametrize("hardest", [True, False])
def test_hinge_by_hand(hardest: bool) -> None:
    # Sentence 0: 0.9 beats image 1 (0.4) and sentence 2 (0.6) by more than 0.2: 0 + 0.
    # Sentence 1: 0.5 against image 1 (0.7): 0.4; against sentence 2 (0.6): 0.3.
    # Sentence 2: 0.8 against image 0 (0.6): 0; against sentences 0 (0.4) and 1 (0.7): 0.1.
    expected = (0.0 + 0.7 + 0.1) / 3
    assert hinge(SCORES, OWNER, margin=0.2, hardest=hardest).item() == pytest.approx(expected)


def test_hardest_counts_one_negative_and_all_counts_every_one() -> None:
    scores = torch.tensor([[0.5, 0.5, 0.5]] * 3)
    owner = torch.arange(3)
    assert hinge(scores, owner, margin=0.2, hardest=True).item() == pytest.approx(0.4)
    assert hinge(scores, owner, margin=0.2, hardest=False).item() == pytest.approx(0.8)


def test_info_nce_by_hand() -> None:
    scores = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)]])
    loss = info_nce(scores, *hard_targets(torch.arange(2), 2))
    assert loss.item() == pytest.approx(2 * math.log(4 / 3))


def test_info_nce_shares_an_image_among_its_sentences() -> None:
    image_targets, sentence_targets = hard_targets(OWNER, 2)
    assert image_targets.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert sentence_targets.tolist() == [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_soft_targets_by_hand() -> None:
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    sentences = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    image_targets, sentence_targets = soft_targets(
        OWNER, images, sentences, share=0.5, temperature=1.0
    )
    e = math.e
    spread = [e / (2 * e + 1), e / (2 * e + 1), 1 / (2 * e + 1)]
    assert image_targets[0].tolist() == pytest.approx([0.25 + spread[0] / 2] * 2 + [spread[2] / 2])
    assert sentence_targets[:, 0].tolist() == pytest.approx(
        [0.5 + 0.5 * e / (e + 1), 0.5 / (e + 1)]
    )
    torch.testing.assert_close(image_targets.sum(1), torch.ones(2))
    torch.testing.assert_close(sentence_targets.sum(0), torch.ones(3))


def test_no_share_is_hard() -> None:
    teacher = torch.eye(3)
    soft = soft_targets(OWNER, teacher[:2], teacher, share=0.0, temperature=0.05)
    for ours, hard in zip(soft, hard_targets(OWNER, 2), strict=True):
        torch.testing.assert_close(ours, hard)


def test_distillation_is_the_cosine_distance() -> None:
    student = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    teacher = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    assert distillation(student, teacher).item() == pytest.approx(1.0)

"""The paper's server: six Atlas 300 cards and a CPU (Refine-ITR, ICIAI 2022, Table 4)."""

from __future__ import annotations

from refine_itr.planning.batch_time import BatchTime
from refine_itr.planning.plan import Plan, PlannedStage

CHIPS_PER_CARD = 4
CARDS = 6
BATCH = 24
REASONING_S = 0.0213  # an image, at D = 1024 in batches of 24
# 24 chips at 16.8 ms an image together: each takes 24 times as long for one of its own.
CHIP_S = CARDS * CHIPS_PER_CARD * 0.0168
# What Table 4's 39.8 ms leave for the rest.
MATCHING_S = 0.0398 - 0.0168 - REASONING_S


def paper_plan(
    *, cards: int = CARDS, encoder_s: float = REASONING_S, encoder_cap: int = BATCH
) -> Plan:
    """Returns the paper's server with other numbers of cards, or another encoder.

    Each chip takes one image at a time. The CPU's stages are timed with all of its cores in use,
    as the paper measured them, so they are taken as one unit that the two share.

    Args:
        cards: Accelerator cards of four chips each.
        encoder_s: Seconds that the encoder takes for an image.
        encoder_cap: Most images of its batches.
    """
    stages = (
        PlannedStage("detect", "cann", 0, cards * CHIPS_PER_CARD, 1, BatchTime(0.0, CHIP_S), (1,)),
        PlannedStage("encode", "cpu", 1, 1, encoder_cap, BatchTime(0.0, encoder_s)),
        PlannedStage("search", "cpu", 1, 1, encoder_cap, BatchTime(0.0, MATCHING_S)),
    )
    return Plan("paper", 1, stages)

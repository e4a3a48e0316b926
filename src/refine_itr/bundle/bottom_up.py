"""Bottom-up attention: how its detector is fed and read, as a configuration."""

from __future__ import annotations

from refine_itr.bundle.detector import (
    OutputsConfig,
    PixelsConfig,
    ProposalsConfig,
    SelectionConfig,
    TwoStageConfig,
)

_CANDIDATES = 6000  # best anchors before suppression


def bottom_up_config(
    least: int = 36, most: int = 36, *, canvas: int = 1008, candidates: int = _CANDIDATES
) -> TwoStageConfig:
    """Returns the settings of Faster R-CNN with ResNet-101 C4, trained on Visual Genome.

    The first graph ends in its best ``candidates``, the second one in res5: 300 proposals to
    2,048 features (the mean over each region) and 1,601 class scores, of which the first is the
    background. Suppression works on the proposals themselves. With a fixed number the threshold
    changes nothing, as it does in the original: too few are filled up by descending score.

    Args:
        least: Regions of a picture.
        most: Equal to ``least`` for a fixed number (threshold 0.4); 10 and 100 in the original
            otherwise (threshold 0.2).
        canvas: Side of the first graph's input, at least 1000.
        candidates: Boxes that the first graph gives.

    Source: Anderson et al., Bottom-Up and Top-Down Attention (CVPR 2018), and its code.
    """
    return TwoStageConfig(
        kind="two-stage",
        pixels=PixelsConfig(
            input="images",
            layout="nchw",
            dtype="float32",
            channels="bgr",
            mean=(102.9801, 115.9465, 122.7717),
            std=(1.0, 1.0, 1.0),
            canvas=canvas,
            resize="aspect",
            short_side=600,
            long_side=1000,
        ),
        proposals=ProposalsConfig(
            boxes="candidates",
            scores="objectness",
            groups=(candidates,),
            iou=0.7,
            min_side=16.0,
            input="proposals",
        ),
        outputs=OutputsConfig(
            boxes="", box_format="xyxy", box_units="pixels", scores="scores", features="features"
        ),
        selection=SelectionConfig(
            iou=0.3,
            min_score=0.0,
            background=0,
            least=least,
            most=most,
            keep_score=0.4 if least == most else 0.2,
            inclusive=True,
        ),
    )

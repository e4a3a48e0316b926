"""The demo's photographs: those that scikit-image and scikit-learn carry in their wheels."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from refine_itr.errors import MissingExtraError

# Package, file below it, and our own sentence for the photograph.
_SAMPLES = (
    ("skimage", "data/astronaut.png", "A smiling woman in an orange suit poses for a picture."),
    ("skimage", "data/camera.png", "A man in a dark coat takes a picture in a grassy field."),
    ("skimage", "data/chelsea.png", "A close up of the face of a brown cat."),
    ("skimage", "data/coffee.png", "A cup of coffee with a spoon on a wooden table."),
    ("skimage", "data/motorcycle_left.png", "A red motorcycle is parked indoors."),
    ("skimage", "data/rocket.jpg", "A white rocket stands beside a tall tower at night."),
    ("skimage", "data/grass.png", "A close up of grass."),
    ("skimage", "data/coins.png", "Rows of old coins."),
    ("sklearn", "datasets/images/china.jpg", "An old temple with a large roof and blue sky."),
    ("sklearn", "datasets/images/flower.jpg", "A close up of an orange flower."),
)

# Sentences that fit none of the photographs.
DISTRACTORS = (
    "Two dogs run through the snow.",
    "Children play soccer on a field.",
    "A surfer rides a big wave.",
    "A group of people sit around a table in a restaurant.",
    "A man climbs a steep rock wall.",
)


def sample_photographs() -> dict[Path, str]:
    """Returns the photographs, each with a sentence that describes it.

    Raises:
        MissingExtraError: One of the packages is not installed.
    """
    samples: dict[Path, str] = {}
    for package, file, sentence in _SAMPLES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise MissingExtraError("the demo", "demo")
        path = Path(spec.origin).parent / file
        if path.is_file():  # another version of the package may carry fewer
            samples[path] = sentence
    return samples

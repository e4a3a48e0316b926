"""What a plan is made for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from refine_itr.errors import InvalidInputError

Kind = Literal["max-throughput", "throughput", "delay"]


@dataclass(frozen=True)
class Goal:
    """A goal.

    Attributes:
        kind: Most throughput; a throughput with the least delay; a delay with most throughput.
        value: Items a second for "throughput", seconds for "delay", else 0.
    """

    kind: Kind
    value: float = 0.0

    def __str__(self) -> str:
        if self.kind == "max-throughput":
            return self.kind
        return f"{self.kind}={self.value * (1e3 if self.kind == 'delay' else 1):g}"


def parse_goal(text: str) -> Goal:
    """Reads "max-throughput", "throughput=60" (a second) or "delay=300" (milliseconds).

    Raises:
        InvalidInputError: It is none of these.
    """
    if text == "max-throughput":
        return Goal("max-throughput")
    match = re.fullmatch(r"(throughput|delay)=(\d+(?:\.\d+)?)", text)
    if match is None or float(match[2]) == 0:
        raise InvalidInputError(
            "goal: expected max-throughput, throughput=NUMBER (a second) or delay=NUMBER "
            f"(milliseconds); got {text!r}"
        )
    number = float(match[2])
    return Goal("throughput", number) if match[1] == "throughput" else Goal("delay", number / 1e3)

"""A profile: what a batch takes in each stage, for each way to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from refine_itr.errors import InvalidInputError
from refine_itr.planning.batch_time import BatchTime
from refine_itr.planning.fields import Fields, load_json

REST_S = 0.05  # after so many seconds without work, waking costs all of ``wake_s``


@dataclass(frozen=True)
class StageOption:
    """One way to run a stage.

    Attributes:
        device: Where, e.g. "cpu" or "ascend:0-5".
        threads: CPU threads that are busy while a batch runs; 0 on an accelerator.
        time: Of a batch of one worker.
        max_workers: Most workers of this kind.
        sizes: Batch sizes that the device takes, ascending; none means any.
        crowding: How many times longer a batch takes when all other cores are busy: they share
            caches, memory and power.
        wake_s: Seconds more that a batch takes after a rest of ``REST_S``: cores and threads
            sleep, caches are cold.
    """

    device: str
    threads: int
    time: BatchTime
    max_workers: int
    sizes: tuple[int, ...] = ()
    crowding: float = 1.0
    wake_s: float = 0.0


@dataclass(frozen=True)
class Profile:
    """What is known of a machine.

    Attributes:
        cores: CPU threads that the stages share.
        stages: In the pipeline's order; at least one option each.
    """

    cores: int
    stages: Mapping[str, tuple[StageOption, ...]]

    def to_json(self) -> dict[str, object]:
        """Returns it as its file has it."""
        stages = [
            {"name": name, "options": [asdict(option) for option in options]}
            for name, options in self.stages.items()
        ]
        return {"cores": self.cores, "stages": stages}

    @classmethod
    def from_json(cls, data: object) -> Profile:
        """Reads it.

        Raises:
            InvalidInputError: A field is missing, unknown, of another type or out of range.
        """
        fields = Fields(data, "profile", ("cores", "stages"))
        stages: dict[str, tuple[StageOption, ...]] = {}
        for number, entry in enumerate(fields.objects("stages")):
            where = f"profile.stages[{number}]"
            stage = Fields(entry, where, ("name", "options"))
            name = stage.text("name")
            if name in stages:
                raise InvalidInputError(f"{where}.name: expected another name; got {name!r} again")
            stages[name] = tuple(
                _option(option, f"{where}.options[{i}]")
                for i, option in enumerate(stage.objects("options"))
            )
        return cls(fields.whole("cores", 1), stages)

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Reads a profile's file. Raises as ``from_json`` does."""
        return cls.from_json(load_json(path, "a profile"))


def read_time(data: object, where: str) -> BatchTime:
    """Reads t and a."""
    fields = Fields(data, where, ("setup_s", "per_item_s"))
    time = BatchTime(fields.seconds("setup_s"), fields.seconds("per_item_s"))
    if time(1) == 0:
        raise InvalidInputError(f"{where}: expected setup_s or per_item_s above 0; got 0 and 0")
    return time


def _option(data: object, where: str) -> StageOption:
    names = ("device", "threads", "time", "max_workers", "sizes", "crowding", "wake_s")
    fields = Fields(data, where, names)
    assert isinstance(data, Mapping)
    return StageOption(
        device=fields.text("device"),
        threads=fields.whole("threads", 0),
        time=read_time(data["time"], f"{where}.time"),
        max_workers=fields.whole("max_workers", 1),
        sizes=fields.sizes("sizes"),
        crowding=fields.factor("crowding"),
        wake_s=fields.seconds("wake_s"),
    )

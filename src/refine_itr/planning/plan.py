"""A plan: device, workers, threads and batch cap of each stage. It is data: save it, edit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from refine_itr.errors import InvalidInputError
from refine_itr.planning.batch_time import BatchTime
from refine_itr.planning.fields import Fields, load_json
from refine_itr.planning.profile import StageOption, read_time


@dataclass(frozen=True)
class PlannedStage:
    """How one stage runs.

    Attributes:
        name: The stage.
        device: Where it runs.
        threads: CPU threads that a worker's batch keeps busy; 0 on an accelerator.
        workers: Batches that run at the same time.
        cap: Most items of a batch.
        time: Of a batch of one worker; None if it was not measured.
        sizes: Batch sizes that the device takes, ascending; none means any.
        crowding: How many times longer a batch takes when all other cores are busy.
        wake_s: Seconds more that a batch takes after a rest of ``REST_S``.
    """

    name: str
    device: str
    threads: int
    workers: int
    cap: int
    time: BatchTime | None = None
    sizes: tuple[int, ...] = ()
    crowding: float = 1.0
    wake_s: float = 0.0

    @classmethod
    def of(cls, name: str, option: StageOption, workers: int, cap: int) -> PlannedStage:
        """Returns the stage run in one of a profile's ways."""
        return cls(
            *(name, option.device, option.threads, workers, cap),
            *(option.time, option.sizes, option.crowding, option.wake_s),
        )

    @cached_property
    def capacity(self) -> float:
        """Items a second, c b / tau(b), if each worker has its cores for itself."""
        return self.workers * self.cap / self.measured(self.cap)

    @cached_property
    def core_seconds(self) -> float:
        """CPU core-seconds that an item costs in full batches on a busy machine."""
        return self.threads * self.crowding * self.measured.per_item(self.cap)

    @property
    def measured(self) -> BatchTime:
        """The time of a batch.

        Raises:
            InvalidInputError: It was not measured.
        """
        if self.time is None:
            raise InvalidInputError(f"stage {self.name}: expected a measured time; it has none")
        return self.time


@dataclass(frozen=True)
class Plan:
    """How a pipeline runs.

    Attributes:
        goal: What it was made for.
        cores: CPU threads that the stages share.
        stages: In the pipeline's order.
        throughput: Items a second, predicted; None without measured times.
        delay_s: Seconds from an item's arrival to its result, predicted; None likewise.
    """

    goal: str
    cores: int
    stages: tuple[PlannedStage, ...]
    throughput: float | None = None
    delay_s: float | None = None

    def stage(self, name: str) -> PlannedStage:
        """Returns one stage.

        Raises:
            InvalidInputError: The plan has no such stage.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = ", ".join(stage.name for stage in self.stages)
        raise InvalidInputError(f"plan: expected a stage {name!r}; it has {names}")

    def to_json(self) -> dict[str, object]:
        """Returns it as its file has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Plan:
        """Reads it.

        Raises:
            InvalidInputError: A field is missing, unknown, of another type or out of range.
        """
        fields = Fields(data, "plan", ("goal", "cores", "stages", "throughput", "delay_s"))
        stages = [
            _stage(entry, f"plan.stages[{i}]") for i, entry in enumerate(fields.objects("stages"))
        ]
        names = [stage.name for stage in stages]
        if len(set(names)) < len(names):
            raise InvalidInputError(f"plan.stages: expected different names; got {names}")
        return cls(
            goal=fields.text("goal"),
            cores=fields.whole("cores", 1),
            stages=tuple(stages),
            throughput=fields.seconds_or_none("throughput"),
            delay_s=fields.seconds_or_none("delay_s"),
        )

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Reads a plan's file. Raises as ``from_json`` does."""
        return cls.from_json(load_json(path, "a plan"))


def _stage(data: object, where: str) -> PlannedStage:
    names = ("name", "device", "threads", "workers", "cap", "time", "sizes", "crowding", "wake_s")
    fields = Fields(data, where, names)
    assert isinstance(data, Mapping)
    time = data["time"]
    return PlannedStage(
        name=fields.text("name"),
        device=fields.text("device"),
        threads=fields.whole("threads", 0),
        workers=fields.whole("workers", 1),
        cap=fields.whole("cap", 1),
        time=None if time is None else read_time(time, f"{where}.time"),
        sizes=fields.sizes("sizes"),
        crowding=fields.factor("crowding"),
        wake_s=fields.seconds("wake_s"),
    )

"""Plans: made for goals, kept in files, corrected while they run."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr.errors import InvalidInputError
from refine_itr.planning import (
    BatchTime,
    CapController,
    Goal,
    Plan,
    PlannedStage,
    Profile,
    StageOption,
    make_plan,
    more_devices,
    parse_goal,
)

CPU = Profile(
    2,
    {
        "decode": (StageOption("cpu", 1, BatchTime(0.0, 0.002), 2),),
        "detect": (
            StageOption("cpu", 1, BatchTime(0.001, 0.012), 2, crowding=1.1),
            StageOption("cpu", 2, BatchTime(0.003, 0.008), 1),
        ),
        "encode": (StageOption("cpu", 1, BatchTime(0.002, 0.002), 2),),
    },
)
CARDS = Profile(
    2,
    {
        "detect": (StageOption("ascend:0-3", 0, BatchTime(0.02, 0.01), 4, (1, 2, 4, 8)),),
        "encode": (StageOption("cpu", 2, BatchTime(0.002, 0.005), 1),),
    },
)


def test_most_throughput_on_the_cpu() -> None:
    plan = make_plan(CPU, Goal("max-throughput"))
    detect = plan.stage("detect")
    assert (detect.workers, detect.threads) == (2, 1)  # two threads cost more core-seconds
    assert plan.throughput == pytest.approx(2 / (0.002 + 0.0135 + 0.0023), rel=0.06)
    assert more_devices(CPU, plan)[0].startswith("bound by the 2 cores that the stages share")


def test_all_cards_are_used_and_more_would_bring_nothing_beyond_the_cpu() -> None:
    plan = make_plan(CARDS, Goal("max-throughput"))
    assert plan.stage("detect").workers == 4
    assert plan.throughput == pytest.approx(193, rel=0.03)  # the encoder's
    lines = more_devices(CARDS, plan)
    assert lines[0].startswith("bound by the 2 cores")
    assert lines[1].startswith("with twice the accelerators: 19")


def test_least_delay_at_a_rate() -> None:
    fast = make_plan(CARDS, parse_goal("throughput=20"))
    assert fast.throughput == 20
    assert fast.delay_s == pytest.approx(0.03 + 0.007, rel=0.15)
    busy = make_plan(CARDS, parse_goal("throughput=120"))
    assert busy.stage("detect").cap >= 2  # one by one the cards keep up with 133, less than 150
    with pytest.raises(InvalidInputError, match=r"expected at most 1\d\d\.\d a second"):
        make_plan(CARDS, parse_goal("throughput=400"))


def test_most_throughput_within_a_delay() -> None:
    tight = make_plan(CARDS, parse_goal("delay=80"))
    loose = make_plan(CARDS, parse_goal("delay=500"))
    assert tight.stage("detect").cap < loose.stage("detect").cap
    assert tight.throughput < loose.throughput  # type: ignore[operator]
    for plan, limit in ((tight, 0.08), (loose, 0.5)):
        assert 2 * sum(s.measured(s.cap) for s in plan.stages) <= limit
        assert plan.delay_s <= limit  # type: ignore[operator]
    with pytest.raises(InvalidInputError, match="expected at least 74 ms"):
        make_plan(CARDS, parse_goal("delay=50"))


def test_a_machine_of_many_cores_is_planned_in_little_memory() -> None:
    def options(item_s: float, *threads: int) -> tuple[StageOption, ...]:
        return tuple(StageOption("cpu", n, BatchTime(0.001, item_s / n), 16 // n) for n in threads)

    profile = Profile(
        16,
        {
            "decode": options(0.002, 1),
            "detect": options(0.012, 1, 8, 16),
            "encode": options(0.004, 1, 8, 16),
            "search": options(0.0001, 1),
        },
    )
    tracemalloc.start()
    plan = make_plan(profile, parse_goal("delay=40"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert plan.delay_s is not None
    assert 2 * sum(s.measured(s.cap) for s in plan.stages) <= 0.04
    assert peak < 4 << 20  # all combinations at once take 30 MiB


@pytest.mark.parametrize(
    "text", ["", "fast", "throughput", "throughput=0", "delay=-3", "delay=1e9"]
)
def test_goals_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInputError, match="goal: expected max-throughput"):
        parse_goal(text)


@pytest.mark.parametrize("text", ["max-throughput", "throughput=60", "delay=300.5"])
def test_goals_in_words(text: str) -> None:
    assert str(parse_goal(text)) == text


@pytest.mark.parametrize("profile", [CPU, CARDS])
def test_files(profile: Profile, tmp_path: Path) -> None:
    plan = make_plan(profile, Goal("max-throughput"))
    for data, kind in ((profile, Profile), (plan, Plan)):
        file = tmp_path / "data.json"
        file.write_text(json.dumps(data.to_json()))
        assert kind.load(file) == data


def damaged(change: Any) -> Any:
    data = json.loads(json.dumps(make_plan(CARDS, Goal("max-throughput")).to_json()))
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("cores"), "plan: expected an object with goal, cores"),
        (lambda d: d.update(more=1), "plan: expected an object with"),
        (
            lambda d: d.update(cores=0),
            r"cores: expected a whole number from 1 to 65536; got 0",
        ),
        (lambda d: d["stages"][0].update(workers=10**9), "workers: expected a whole number"),
        (lambda d: d["stages"][0].update(sizes=[10**9]), "sizes: expected a list of ascending"),
        (lambda d: d.update(throughput=10**400), r"plan\.throughput: expected a number"),
        (lambda d: d.update(cores=True), r"plan\.cores: expected a whole number"),
        (lambda d: d.update(stages=[]), r"plan\.stages: expected a list"),
        (lambda d: d["stages"][0].update(cap="8"), r"plan\.stages\[0\]\.cap: expected a whole"),
        (lambda d: d["stages"][1].update(name="detect"), "expected different names"),
        (lambda d: d["stages"][0].update(sizes=[2, 1]), "sizes: expected a list of ascending"),
        (lambda d: d["stages"][0].update(crowding=0.5), "crowding: expected a number from 1"),
        (lambda d: d["stages"][0].update(wake_s=-1), r"wake_s: expected a number from 0"),
        (lambda d: d["stages"][0]["time"].update(setup_s=-1), r"time\.setup_s: expected a number"),
        (lambda d: d["stages"][0]["time"].update(setup_s=0, per_item_s=0), "above 0; got 0 and 0"),
        (lambda d: d.update(throughput=float("nan")), r"plan\.throughput: expected a number"),
    ],
)
def test_plans_edited_wrongly(change: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Plan.from_json(damaged(change))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["goal", "cores", "stages"]), inner)
    ),
)


@given(ANY_JSON)
def test_any_json_is_a_plan_or_refused(data: Any) -> None:
    for kind in (Plan, Profile):
        with pytest.raises(InvalidInputError):
            kind.from_json(data)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no such file"):
        Plan.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{" * 100_000)
    with pytest.raises(InvalidInputError, match="expected a profile in JSON"):
        Profile.load(tmp_path / "bad.json")


def test_no_such_stage() -> None:
    with pytest.raises(InvalidInputError, match="expected a stage 'decode'; it has detect, encode"):
        make_plan(CARDS, Goal("max-throughput")).stage("decode")


# -- control


def controlled(goal: str, cap: int = 8, sizes: tuple[int, ...] = ()) -> CapController:
    stage = PlannedStage("a", "card", 0, 1, cap, BatchTime(0.0, 0.01), sizes)
    return CapController(Plan(goal, 2, (stage,), 100.0, 0.16))


def test_late_batches_halve_the_cap_and_timely_ones_raise_it_by_one() -> None:
    control = controlled("delay=200")  # half of it for batches: 100 ms
    caps = [control.observe("a", 8, 0.15, waiting=9) for _ in range(4)]
    assert caps == [None, None, None, 4]
    caps = [control.observe("a", 4, 0.075, waiting=9) for _ in range(4)]
    assert caps == [None, None, None, 5]


def test_a_batch_that_fits_stays() -> None:
    control = controlled("delay=200")
    assert [control.observe("a", 8, 0.099, waiting=9) for _ in range(20)] == [None] * 20


def test_partial_batches_and_short_queues_change_nothing() -> None:
    control = controlled("delay=2000")
    assert [control.observe("a", 7, 9.0, waiting=0) for _ in range(20)] == [None] * 20
    assert [control.observe("a", 8, 0.01, waiting=7) for _ in range(20)] == [None] * 20


def test_without_a_delay_to_keep_the_cap_only_rises_to_twice_the_plan() -> None:
    control = controlled("max-throughput", cap=2)
    cap = 2
    for _ in range(100):
        cap = control.observe("a", cap, 99.0, waiting=50) or cap
    assert cap == 4


def test_a_cap_recovers_where_a_batch_has_its_price_whatever_its_size() -> None:
    time = BatchTime(0.08, 0.001)
    stage = PlannedStage("a", "card", 0, 1, 16, time)
    control = CapController(Plan("delay=200", 2, (stage,), 100.0, 0.19))
    cap = 16
    for _ in range(12):
        cap = control.observe("a", cap, 0.15, waiting=50) or cap
    assert cap == 2
    for _ in range(200):
        cap = control.observe("a", cap, time(cap), waiting=50) or cap
    assert cap >= 16


def test_gears_are_kept() -> None:
    control = controlled("delay=200", cap=4, sizes=(1, 2, 4, 8))
    cap = 4
    for _ in range(4):
        cap = control.observe("a", cap, 0.5, waiting=50) or cap
    assert cap == 2
    for _ in range(4):
        cap = control.observe("a", cap, 0.01, waiting=50) or cap
    assert cap == 4

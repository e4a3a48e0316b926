"""The simulator: known cases, bounds, and the paper's server."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_itr.errors import InvalidInputError
from refine_itr.planning import BatchTime, Plan, PlannedStage, simulate, simulate_sequential
from refine_itr.planning.make import bound
from refine_itr.planning.paper import paper_plan


def plan_of(*stages: PlannedStage, cores: int = 2) -> Plan:
    return Plan("test", cores, stages)


def card(name: str, time: BatchTime, cap: int, workers: int = 1) -> PlannedStage:
    return PlannedStage(name, "card", 0, workers, cap, time)


@pytest.mark.parametrize(
    ("rate", "cap", "dispatch", "expected_ms"),
    [
        (20, 24, "fixed", 1326),
        (20, 8, "greedy", 217),
        (45, 24, "fixed", 1009),
        (45, 8, "greedy", 409),
    ],
)
def test_two_stages_against_an_independent_simulation(
    rate: float, cap: int, dispatch: str, expected_ms: float
) -> None:
    plan = plan_of(card("a", BatchTime(0.040, 0.015), cap), card("b", BatchTime(0.060, 0.012), cap))
    found = simulate(plan, rate=rate, items=20_000, dispatch=dispatch)  # type: ignore[arg-type]
    assert 1e3 * found.delay_mean_s == pytest.approx(expected_ms, rel=0.06)


def test_table_4_as_published() -> None:
    found = simulate_sequential(paper_plan(), 24)
    assert 1e3 / found.throughput == pytest.approx(39.8)
    assert found.throughput == pytest.approx(25.1, abs=0.05)
    assert found.delay_mean_s == pytest.approx(0.955, abs=0.001)


def test_the_papers_cards_overlapped() -> None:
    found = simulate(paper_plan(), items=4000)
    # Encoding and matching share the CPU: 21.3 + 1.7 ms an image bound it, not the cards' 16.8.
    assert found.throughput == pytest.approx(1 / 0.0230, rel=0.02)
    faster = simulate(paper_plan(encoder_s=0.006), items=4000)
    assert faster.throughput == pytest.approx(1 / 0.0168, rel=0.01)
    assert faster.utilisation["detect"] > 0.97


def test_a_saturated_chain_is_as_fast_as_its_slowest_stage() -> None:
    plan = plan_of(
        card("a", BatchTime(0, 0.01), 4, 2),
        card("b", BatchTime(0.01, 0.01), 4),
        card("c", BatchTime(0, 0.002), 1),
    )
    found = simulate(plan, items=4000)
    assert found.throughput == pytest.approx(80, rel=0.01)
    assert found.utilisation["b"] > 0.99
    assert found.utilisation["a"] == pytest.approx(0.4, rel=0.02)


def test_cpu_stages_share_the_cores() -> None:
    def cpu(name: str, threads: int, workers: int, crowding: float = 1.0) -> PlannedStage:
        return PlannedStage(name, "cpu", threads, workers, 1, BatchTime(0, 0.01), crowding=crowding)

    alone = simulate(plan_of(cpu("a", 1, 2)), items=1000)
    assert alone.throughput == pytest.approx(200, rel=0.01)
    both = simulate(plan_of(cpu("a", 1, 2), cpu("b", 1, 2)), items=1000)
    assert both.throughput == pytest.approx(100, rel=0.02)
    crowded = simulate(plan_of(cpu("a", 1, 2, crowding=1.5)), items=1000)
    assert crowded.throughput == pytest.approx(200 / 1.5, rel=0.01)
    lonely = simulate(plan_of(cpu("a", 1, 1, crowding=1.5)), items=1000)
    assert lonely.throughput == pytest.approx(100, rel=0.01)


def test_a_worker_that_stood_still_takes_longer() -> None:
    sleepy = PlannedStage("b", "cpu", 1, 1, 1, BatchTime(0, 0.001), wake_s=0.004)
    rare = simulate(plan_of(sleepy), rate=0.01, items=100)
    assert rare.delay_mean_s == pytest.approx(0.005)
    # An item every 25 ms. It rests for 25 - 1 - w, so w = 4 (24 - w) / 50.
    behind = simulate(plan_of(card("a", BatchTime(0, 0.025), 1), sleepy), items=1000)
    assert behind.utilisation["b"] == pytest.approx((1 + 1.92 / 1.08) / 25, rel=0.01)
    busy = PlannedStage("a", "cpu", 1, 1, 1, BatchTime(0, 0.01), wake_s=0.02)
    assert simulate(plan_of(busy), items=1000).throughput == pytest.approx(100, rel=0.01)


STAGES = st.lists(
    st.builds(
        PlannedStage,
        name=st.just("x"),
        device=st.just("cpu"),
        threads=st.integers(0, 2),
        workers=st.integers(1, 3),
        cap=st.integers(1, 6),
        time=st.builds(BatchTime, st.floats(0, 0.01), st.floats(1e-4, 0.01)),
        sizes=st.sampled_from([(), (1, 2, 4)]),
    ),
    min_size=1,
    max_size=3,
).map(lambda stages: tuple(
    PlannedStage(f"s{i}", s.device, s.threads, s.workers, s.cap, s.time, s.sizes)
    for i, s in enumerate(stages)
))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(STAGES, st.sampled_from([None, 5.0, 60.0, 5000.0]), st.sampled_from(["greedy", "fixed"]))
def test_no_bound_is_broken(
    stages: tuple[PlannedStage, ...], rate: float | None, dispatch: str
) -> None:
    plan = plan_of(*stages)
    found = simulate(plan, rate=rate, items=400, dispatch=dispatch)  # type: ignore[arg-type]
    assert all(0 <= share <= 1 + 1e-9 for share in found.utilisation.values())
    if rate is None and not any(stage.sizes for stage in stages):
        # A window of 320 items may begin just after a batch and end with one.
        slack = 1 + sum(s.cap * s.workers for s in stages) / 300
        assert found.throughput <= slack * bound(stages, plan.cores)
    # A batch of one at the full pace is the least an item can take.
    least = sum(min(stage.measured(b) for b in range(1, stage.cap + 1)) for stage in stages)
    assert found.delay_p50_s >= least - 1e-9
    assert found.delay_p50_s <= found.delay_p90_s <= found.delay_p99_s


def test_the_same_seed_gives_the_same() -> None:
    plan = plan_of(card("a", BatchTime(0.01, 0.01), 4))
    assert simulate(plan, rate=30, seed=3) == simulate(plan, rate=30, seed=3)
    assert simulate(plan, rate=30, seed=3) != simulate(plan, rate=30, seed=4)


def test_what_cannot_be_simulated() -> None:
    with pytest.raises(InvalidInputError, match="items, rate"):
        simulate(plan_of(card("a", BatchTime(0, 1), 1)), rate=0)
    with pytest.raises(InvalidInputError, match="stage a: expected a measured time"):
        simulate(plan_of(PlannedStage("a", "cpu", 1, 1, 1)))

"""``refine-itr bench``: measurements of this machine, each answer checked before it is timed."""

from __future__ import annotations

import typer

from refine_itr.cli.bench.comparing import bench_encoders, bench_kernels, bench_top_k
from refine_itr.cli.bench.pipeline import bench_pipeline
from refine_itr.cli.bench.tables import bench_table1, bench_table3, bench_table4

bench = typer.Typer(no_args_is_help=True, help="Measure this machine; answers are checked first.")
bench.command("kernels")(bench_kernels)
bench.command("encoders")(bench_encoders)
bench.command("topk")(bench_top_k)
bench.command("pipeline")(bench_pipeline)
bench.command("table1")(bench_table1)
bench.command("table3")(bench_table3)
bench.command("table4")(bench_table4)

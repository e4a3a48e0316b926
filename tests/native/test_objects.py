"""The SIMD link trap: no object of one instruction set may offer its code to the others.

Under several -m flags an inline function or a template instance becomes a weak symbol, of which the
linker keeps any one copy: an AVX-512 copy then runs on a CPU that has none. So each object must
export its kernel table and nothing else, and have no weak symbol, at -O0 as well as optimised.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from refine_itr import _core

ROOT = Path(__file__).parents[2]
TOOLS = ("cmake", "g++", "nm")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"
)


def build_objects(folder: Path, build_type: str) -> dict[str, Path]:
    """Compiles the real targets; returns the object of each instruction set."""
    options = ["-DREFINE_ITR_BUILD_MODULE=OFF", f"-DCMAKE_BUILD_TYPE={build_type}"]
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), *options]
    subprocess.run(configure, check=True, capture_output=True)
    build = ["cmake", "--build", str(folder), "--parallel", "2", "--target", "refine_itr_isas"]
    subprocess.run(build, check=True, capture_output=True)
    prefix, suffix = "refine_itr_isa_", ".dir"
    return {
        file.relative_to(folder).parts[1].removeprefix(prefix).removesuffix(suffix): file
        for file in folder.glob(f"CMakeFiles/{prefix}*{suffix}/**/*.o")
    }


def symbols(file: Path) -> list[tuple[str, str]]:
    """Kind (nm's letter) and name of each defined symbol."""
    run = subprocess.run(
        ["nm", "--defined-only", "--demangle", str(file)],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.split(maxsplit=2) for line in run.stdout.splitlines()]
    return [(kind, name) for _, kind, name in lines]


@pytest.mark.parametrize("build_type", ["Debug", "Release"])
def test_an_object_exports_its_table_and_nothing_else(tmp_path: Path, build_type: str) -> None:
    objects = build_objects(tmp_path, build_type)
    assert set(_core.available_isas()) <= set(objects)
    for name, file in objects.items():
        exported = [symbol for kind, symbol in symbols(file) if kind.isupper()]
        assert exported == [f"refine_itr::kTable_{name}"]
        weak = [symbol for kind, symbol in symbols(file) if kind in "wWvVu"]
        assert weak == []


def test_the_check_sees_the_trap(tmp_path: Path) -> None:
    source = tmp_path / "trap.cpp"
    source.write_text(
        "template <class T> T twice(T x) { return x + x; }\n"
        "float quadruple(float x) { return twice(twice(x)); }\n"
    )
    file = tmp_path / "trap.o"
    subprocess.run(["g++", "-O0", "-c", str(source), "-o", str(file)], check=True)
    assert ("W", "float twice<float>(float)") in symbols(file)

"""Which part may import which: the arrows of docs/architecture.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import refine_itr

ROOT = Path(refine_itr.__file__).parent

# Part: the parts of refine_itr that it may import. errors, types and _core are open to all.
OPEN = {"errors", "types", "_core", "_version"}
ALLOWED = {
    "errors": set(),
    "types": set(),
    "_version": set(),
    "scoring": set(),
    "writing": set(),
    "workspace": set(),
    "torch_files": set(),
    "bundle": {"scoring", "writing"},
    "decoding": set(),
    "detection": {"bundle"},
    "exporting": {"bundle", "torch_files"},
    "pipeline": set(),
    "planning": set(),
    "assembly": {"pipeline", "planning"},
    "encoding": {"bundle", "workspace"},
    "model": {
        *("assembly", "bundle", "decoding", "detection", "encoding", "pipeline", "planning"),
        "scoring",
    },
    "query": {"model"},
    "index": {
        *("assembly", "decoding", "model", "pipeline", "query", "scoring", "workspace", "writing"),
    },
    "profiling": {"assembly", "decoding", "detection", "index", "model", "planning"},
    "bench": {
        *("assembly", "bundle", "encoding", "index", "model", "pipeline", "planning"),
        "profiling",
    },
    "searching": {"index", "model", "query", "scoring"},
    "features": set(),
    "converting": {"bundle", "torch_files"},
    "evaluation": {"features", "index", "model", "scoring"},
    "__init__": {"index", "model", "scoring", "searching"},
    "training": {"bundle", "decoding", "detection", "evaluation", "features", "model", "writing"},
    "reproduction": {
        "bench",
        *("bundle", "decoding", "detection", "encoding", "evaluation", "model", "training"),
        "writing",
    },
    "cli": {
        *("bench", "bundle", "converting", "decoding", "detection", "evaluation", "exporting"),
        *("features", "index"),
        *("model", "planning", "profiling", "reproduction", "scoring", "training"),
    },
}

USE_TORCH = {
    "bench/peers/pytorch.py",
    "bench/peers/pytorch_compiled.py",
    "cli/train.py",
    "converting/checkpoint.py",
    "exporting/state.py",
}


def imported_parts(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "refine_itr":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("refine_itr."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("refine_itr.")}
    return found


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_follow_the_picture(file: Path) -> None:
    part = file.relative_to(ROOT).parts[0].removesuffix(".py")
    assert imported_parts(file) - {part} <= ALLOWED[part] | OPEN


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_only_training_knows_torch(file: Path) -> None:
    # The train command looks whether it is there, files of its weights are read by it, and one
    # benchmark's peer is PyTorch itself.
    place = file.relative_to(ROOT)
    if place.parts[0] != "training" and str(place) not in USE_TORCH:
        assert "import torch" not in file.read_text("utf-8")


def test_only_the_training_commands_import_training() -> None:
    users = [f.name for f in ROOT.glob("cli/*.py") if "training" in imported_parts(f)]
    assert sorted(users) == ["reproduce.py", "train.py", "training_display.py"]
    users = [f.name for f in ROOT.glob("cli/*.py") if "reproduction" in imported_parts(f)]
    assert users == ["reproduce.py"]


def test_import_loads_nothing_heavy() -> None:
    heavy = {"torch", "onnxruntime", "onnx", "PIL", "typer", "rich", "tokenizers", "safetensors"}
    heavy |= {"acl", "matplotlib"}
    parts = (
        "assembly",
        "bench",
        "converting",
        "detection",
        "exporting",
        "features",
        "pipeline",
        "planning",
        "profiling",
        "reproduction",
    )
    heavy |= {f"refine_itr.{part}" for part in parts}
    code = "import refine_itr, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "numpy" in loaded.stdout.split()
    assert not heavy & set(loaded.stdout.split())


def test_files_stay_small() -> None:
    sources = [*ROOT.rglob("*.py"), *(Path(__file__).parents[1] / "src/cpp").rglob("*.*")]
    assert sources
    assert {f.name: n for f in sources if (n := len(f.read_text("utf-8").splitlines())) > 400} == {}

"""The shape of the package: which way imports point, what no module may do, and proof that the check can fail."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "anomalon"

# Down the flow of the data. A module imports from the lines above its own and from its own folder;
# neighbours on a line do not know each other. A new module needs a place here.
ORDER = """
    errors
    config
    stransverse
    kinematics
    partial
    processes
    hashing
    objects
    events
    ledger
    shards
    store
    writers
    generator
    sources simulation
    mapreduce
    selection
    distortions
    features
    batches
    streaming
    scaling
    preprocessing
    networks
    training
    models
    metrics
    generation style likelihood bumps
    search
    report
    pipeline
    cli
"""
LAYER = {name: depth for depth, line in enumerate(ORDER.split("\n")) for name in line.split()}

FORBIDDEN_IMPORTS = {
    "networks": {"sources", "simulation", "selection"},
    "models": {"sources", "simulation", "selection"},
}
ONLY_IN_TRAINING = {"lightning", "lightning_fabric", "pytorch_lightning", "lightning_utilities"}
RUNS_CODE_ON_LOADING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
DRAWERS = {"utils", "util", "helpers", "misc", "common"}


@dataclass(frozen=True)
class Module:
    """One file of the package: its path below the package and its syntax tree."""

    path: Path
    tree: ast.Module

    @property
    def part(self) -> str:
        """The line of ``ORDER`` that the file belongs to; empty for the package's own ``__init__``."""
        first = self.path.parts[0].removesuffix(".py")
        return "" if first in {"__init__", "__main__"} else first

    @property
    def imports(self) -> set[str]:
        """Dotted names that the file imports anywhere, lazily or for types only included."""
        return {name for node in ast.walk(self.tree) for name in imported_names(node, self.path)}

    @property
    def calls(self) -> set[str]:
        """Dotted names that the file calls."""
        return {ast.unparse(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}


def imported_names(node: ast.AST, path: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        folder = ["anomalon", *path.parts[:-1]]
        above = folder[: len(folder) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        return [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return []


def modules(package: Path) -> list[Module]:
    files = sorted(package.rglob("*.py"))
    return [Module(f.relative_to(package), ast.parse(f.read_text(encoding="utf-8"), str(f))) for f in files]


def parts_imported(module: Module) -> set[str]:
    """Parts of this package that a module imports, its own part left out."""
    own = {name.split(".")[1] for name in module.imports if name.startswith("anomalon.")}
    return {part for part in own if not part.startswith("__")} - {module.part}


def wrong_directions(module: Module) -> Iterator[str]:
    if not module.part:
        return
    if module.part not in LAYER:
        yield f"{module.path}: '{module.part}' has no place in ORDER"
        return
    for part in sorted(parts_imported(module)):
        if LAYER.get(part, len(LAYER) + 1) >= LAYER[module.part]:
            yield f"{module.path}: imports {part}, which comes later"
        elif part in FORBIDDEN_IMPORTS.get(module.part, ()):
            yield f"{module.path}: imports {part}, which {module.part} must not know"


def wrong_libraries(module: Module) -> Iterator[str]:
    roots = {name.split(".")[0] for name in module.imports}
    if module.path != Path("training.py"):
        yield from (f"{module.path}: imports {name}; only training.py may" for name in sorted(roots & ONLY_IN_TRAINING))
    yield from (f"{module.path}: imports {n}, which runs code on loading" for n in sorted(roots & RUNS_CODE_ON_LOADING))


def wrong_calls(module: Module) -> Iterator[str]:
    yield from (f"{module.path}: calls {name}" for name in sorted(module.calls & FORBIDDEN_CALLS))
    if "allow_pickle=True" in {ast.unparse(node) for node in ast.walk(module.tree) if isinstance(node, ast.keyword)}:
        yield f"{module.path}: allows pickle"
    if "print" in module.calls and module.part != "cli":
        yield f"{module.path}: prints; only cli may"


def wrong_places(module: Module) -> Iterator[str]:
    if len(module.path.parts) > 2:
        yield f"{module.path}: more than two folders deep"
    names = {part.removesuffix(".py").lstrip("_") for part in module.path.parts}
    yield from (f"{module.path}: '{name}' names a drawer, not a thing" for name in sorted(names & DRAWERS))


RULES = {rule.__name__: rule for rule in (wrong_directions, wrong_libraries, wrong_calls, wrong_places)}


@pytest.mark.parametrize("rule", RULES)
def test_no_module_breaks_the_rule(rule: str) -> None:
    broken = [line for module in modules(PACKAGE) for line in RULES[rule](module)]
    assert not broken, "\n".join(broken)


def test_every_module_is_seen() -> None:
    seen = {module.part for module in modules(PACKAGE)}
    assert {"errors", "config", "kinematics", "events", "features"} <= seen


BREAKS = {
    "an import that points up": ("events.py", "from anomalon.cli import main", "imports cli, which comes later"),
    "a lazy import": ("events.py", "def f():\n    import anomalon.store", "imports store, which comes later"),
    "an import for types": ("config.py", "if TYPE_CHECKING:\n    from anomalon import events", "imports events"),
    "a relative import": ("features/cloud.py", "from ..search import regions", "imports search"),
    "a relative import of a whole part": ("features/cloud.py", "from .. import search", "imports search"),
    "an import by name": ("events.py", 'import_module("anomalon.cli.main")', "imports cli"),
    "neighbours": ("sources/nanoaod.py", "from anomalon.simulation import pythia", "imports simulation"),
    "a place not given": ("novelty.py", "", "'novelty' has no place in ORDER"),
    "an import of a place not given": ("cli/main.py", "import anomalon.novelty", "imports novelty"),
    "a model that reads files": ("models/flow.py", "from anomalon.sources import nanoaod", "must not know"),
    "a network that selects": ("networks/mlp.py", "from anomalon.selection import cuts", "must not know"),
    "a trainer outside training": ("models/flow.py", "from lightning_fabric import Fabric", "only training.py may"),
    "the other trainer": ("networks/mlp.py", "import lightning.pytorch as pl", "only training.py may"),
    "pickle": ("store.py", "import pickle", "runs code on loading"),
    "joblib": ("models/classical.py", "from joblib import dump", "runs code on loading"),
    "torch.load": ("models/flow.py", "torch.load(path)", "calls torch.load"),
    "eval": ("selection/cuts.py", "eval(text)", "calls eval"),
    "numpy's pickle": ("store.py", "np.load(path, allow_pickle=True)", "allows pickle"),
    "print": ("likelihood/limits.py", "print(1)", "prints; only cli may"),
    "three folders": ("models/deep/flow/a.py", "", "more than two folders deep"),
    "a drawer": ("models/utils.py", "", "'utils' names a drawer"),
    "a private drawer": ("models/_helpers.py", "", "'helpers' names a drawer"),
}


def broken_lines(package: Path) -> list[str]:
    return [line for module in modules(package) for rule in RULES.values() for line in rule(module)]


def write(package: Path, name: str, text: str) -> None:
    file = package / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("case", BREAKS)
def test_the_check_finds(case: str, tmp_path: Path) -> None:
    name, text, message = BREAKS[case]
    write(tmp_path, name, text)
    lines = broken_lines(tmp_path)
    assert len(lines) == 1
    assert message in lines[0]


GOOD = {
    "training.py": "import lightning_fabric\nfrom anomalon.batches import Batches",
    "models/flow.py": "from anomalon.training import fit\nfrom . import contract\nnetwork.eval()",
    "models/contract.py": "from __future__ import annotations\nfrom anomalon import __version__",
    "cli/main.py": "from anomalon.pipeline import run\nprint(run)",
    "__init__.py": "from anomalon.events import Events",
}


def test_the_check_accepts_what_is_allowed(tmp_path: Path) -> None:
    for name, text in GOOD.items():
        write(tmp_path, name, text)
    assert broken_lines(tmp_path) == []


def test_the_architecture_page_has_the_same_order() -> None:
    page = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for row in rows for name in row.replace("`", "").replace(",", " ").split()] == list(LAYER)

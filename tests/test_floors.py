"""The house: imports go only downward, and the bars hold."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "batch"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOORS = (
    (
        "words",
        (
            "errors",
            "models",
            "image_limits",
            "events",
            "lines",
            "files",
            "printable",
            "keys",
            "threads",
            "processes",
            "scratch",
            "signals",
            "__version__",
        ),
    ),
    (
        "tools",
        (
            "sources",
            "media",
            "providers",
            "limits",
            "retry",
            "results",
            "credentials",
            "tally",
            "patterns",
        ),
    ),
    (
        "run",
        (
            "estimate",
            "image_estimate",
            "routes",
            "outcomes",
            "checks",
            "declined",
            "refusals",
            "suspects",
            "feedback",
            "loader",
            "plan",
            "moved",
            "twins",
            "completers",
            "runner",
        ),
    ),
    (
        "where it runs",
        ("settings", "routing", "survey", "summary", "recorder", "session", "engines", "exports"),
    ),
    ("faces", ("views", "cli", "__main__")),
)
LEVEL = {room: level for level, (_, rooms) in enumerate(FLOORS) for room in rooms}
TOOLS = set(FLOORS[1][1])

ONLY_IN = {
    "click": {"cli"},
    "tenacity": {"retry"},
    "aiohttp": {"providers"},
    "aiofiles": {"sources", "media"},
    "rich": {"views"},
    "uvloop": {"engines"},
    "PIL": {"media", "providers"},
    "jinja2": {"views"},
    "pillow_heif": {"media"},
    "pyarrow": {"exports"},
}

LONGEST_MODULE = 350
LONGEST_FUNCTION = 60
MOST_PARAMETERS = 7


def name_of(path: Path) -> str:
    """The dotted name of a module inside the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own_imports(path: Path) -> dict[str, ast.ImportFrom]:
    """Modules of the package that a module imports, by dotted name."""
    here = name_of(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    found = {}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] if name_of(path) else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            names = (
                [target] if node.module else [".".join([*base, alias.name]) for alias in node.names]
            )
            for each in names:
                found[each] = node
    return found


def room(module: str) -> str:
    """The file or folder of the package that a module stands in."""
    return module.partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_only_downward(path):
    here = room(name_of(path))
    for target in own_imports(path):
        there = room(target)
        if not here or there == here or not there:
            continue
        assert LEVEL[there] <= LEVEL[here], f"{name_of(path)} climbs to {target}"
        if here in TOOLS and there in TOOLS:
            pytest.fail(f"the tool {here} imports the tool {there}")


def test_every_room_stands_on_a_floor():
    rooms = {room(name_of(path)) for path in MODULES} - {""}
    assert rooms == set(LEVEL) - {"__version__"}


def test_no_module_imports_itself_over_others():
    graph = {name_of(path): {t for t in own_imports(path) if t} for path in MODULES}
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_hides(path):
    tree = ast.parse(path.read_text("utf-8"))
    text = path.read_text("utf-8")
    assert "TYPE_CHECKING" not in text
    if room(name_of(path)) == "cli":
        return
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                assert not (isinstance(node, ast.ImportFrom) and node.level), (
                    f"{function.name} imports our own {node.module}"
                )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_library_stays_in_its_room(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module.split(".")[0]]
        for name in names:
            if name in ONLY_IN:
                assert room(name_of(path)) in ONLY_IN[name], f"{name} in {name_of(path)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_functions_and_parameter_lists_are_short(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name
            arguments = node.args
            count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
            first = (arguments.posonlyargs + arguments.args)[:1]
            bound = bool(first) and first[0].arg in ("self", "cls")
            assert count - bound <= MOST_PARAMETERS, node.name


def test_there_is_one_broad_except():
    broad = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
        )
    ]
    assert len(broad) == 1
    assert broad[0].startswith("runner:")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_check_is_silenced(path):
    text = path.read_text("utf-8")
    for silence in ("noqa", "type: ignore", "pragma: no cover"):
        assert silence not in text

"""The arrows between the rooms, as a table; every import of every module is read, also those inside functions."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "paramedic": "bot/paramedic",
    "paramedic_demo": "bot/paramedic_demo",
    "paramedic_collector": "collector/paramedic_collector",
    "paramedic_detector": "detector/paramedic_detector",
    "paramedic_dashboard": "dashboard/paramedic_dashboard",
    "paramedic_cli": "cli/paramedic_cli",
}
# What a room may import of the others, by the start of the module's name. "" is everything.
ARROWS = {
    "paramedic": {},
    "paramedic_demo": {"paramedic": ""},
    "paramedic_collector": {"paramedic": "paramedic.contract"},
    "paramedic_detector": {
        "paramedic": "paramedic.contract",
        "paramedic_collector": ("paramedic_collector.windows", "paramedic_collector.bus"),
    },
    "paramedic_dashboard": {"paramedic": "paramedic.contract"},
    "paramedic_cli": {
        "paramedic": "",
        "paramedic_demo": "",
        "paramedic_collector": "",
        "paramedic_detector": "",
        "paramedic_dashboard": "",
    },
}
EMPTY_INIT = [room for room in ROOMS if room != "paramedic"]
# Modules that speak to a person in a terminal, or to the process that started them.
MAY_PRINT = ("paramedic_cli.", "paramedic_demo.")
# What decides in the SDK: time, chance, locks and the network come in as arguments, or not at all.
PURE = "paramedic.policy"
# What judges in the detector: values in, values out. No such room knows who stores, sends or shows what it finds.
JUDGES = tuple(f"paramedic_detector.{room}." for room in ("series", "scores", "slo", "incidents", "diagnosis"))
EDGES = tuple(f"paramedic_detector.{room}" for room in ("api", "commands", "desk", "engine", "main", "notify", "store"))
PURE_MAY_IMPORT = ("paramedic.policy", "paramedic.contract")
NOT_PURE = {"asyncio", "http", "logging", "opentelemetry", "os", "queue", "random", "socket", "threading", "time"}
SDK_MAY_IMPORT = {"opentelemetry", "paramedic"} | set(sys.stdlib_module_names)


def modules() -> list[Path]:
    return [path for folder in ROOMS.values() for path in sorted((ROOT / folder).rglob("*.py"))]


def room_of(path: Path) -> str:
    return next(room for room, folder in ROOMS.items() if path.is_relative_to(ROOT / folder))


def name_of(path: Path) -> str:
    room = room_of(path)
    inside = path.relative_to(ROOT / ROOMS[room]).with_suffix("").parts
    return ".".join((room, *inside)).removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports_of(path: Path, also_types: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported; `from a import b` gives "a.b"."""
    for node in nodes_of(tree_of(path), also_types):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def nodes_of(tree: ast.AST, also_types: bool) -> Iterator[ast.AST]:
    """All nodes, or all that run: without what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if not also_types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from nodes_of(node, also_types)


def is_allowed(importer: str, imported: str) -> bool:
    """Whether a room may import this; only modules of rooms are asked about."""
    room = imported.partition(".")[0]
    if room not in ROOMS or room == importer:
        return True
    allowed = ARROWS[importer].get(room)
    prefixes = (allowed,) if isinstance(allowed, str) else allowed or ()
    return any(not prefix or imported == prefix or imported.startswith(prefix + ".") for prefix in prefixes)


def forbidden_imports() -> Iterator[str]:
    for path in modules():
        for line, imported in imports_of(path):
            if not is_allowed(room_of(path), imported):
                yield f"{path.relative_to(ROOT)}:{line} imports {imported}"


def test_imports_follow_the_arrows():
    assert list(forbidden_imports()) == []


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("paramedic_detector", "paramedic_collector.windows.SeriesKey", True),
        ("paramedic_detector", "paramedic_collector.windows_more", False),
        ("paramedic_detector", "paramedic_collector.decode", False),
        ("paramedic_detector", "paramedic.init", False),
        ("paramedic_dashboard", "paramedic_detector.api.schemas", False),
        ("paramedic", "paramedic_demo.ports", False),
        ("paramedic_collector", "numpy.random", True),
    ],
)
def test_the_rule_itself_tells_a_right_arrow_from_a_wrong_one(importer, imported, allowed):
    assert is_allowed(importer, imported) is allowed


def test_every_room_is_there_and_has_modules():
    """Otherwise a renamed folder would make every other test here pass by reading nothing."""
    assert {room_of(path) for path in modules()} == set(ROOMS)


def test_the_sdk_imports_opentelemetry_and_the_standard_library_only():
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {imported}"
        for path in modules()
        if room_of(path) == "paramedic"
        for line, imported in imports_of(path)
        if imported.partition(".")[0] not in SDK_MAY_IMPORT
    ]
    assert found == []


def test_the_policy_of_the_sdk_is_pure():
    """Its names of types may come from anywhere: they are not there when it runs."""
    pure = [path for path in modules() if name_of(path).startswith(PURE)]
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {imported}"
        for path in pure
        for line, imported in imports_of(path, also_types=False)
        if imported.partition(".")[0] in NOT_PURE
        or (imported.startswith("paramedic.") and not imported.startswith(PURE_MAY_IMPORT))
    ]
    assert pure
    assert found == []


def test_the_shim_of_the_command_line_imports_nothing_but_the_standard_library_on_its_own():
    """`paramedic run` must start with the base install: what needs the platform is imported inside of `main`."""
    tree = tree_of(ROOT / "cli/paramedic_cli/main.py")
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name if isinstance(node, ast.Import) else str(node.module) for node in top for alias in node.names}
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("room", EMPTY_INIT)
def test_platform_packages_start_empty(room):
    """Reading a table must not load scikit-learn."""
    full = [str(p.relative_to(ROOT)) for p in (ROOT / ROOMS[room]).rglob("__init__.py") if p.read_text().strip()]
    assert full == []


def test_no_import_is_relative():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert found == []


def test_only_the_command_line_and_the_demo_print():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        if not name_of(path).startswith(MAY_PRINT)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


def test_every_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if path.read_text().strip() and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


@pytest.mark.parametrize("folder", sorted({Path(folder).parent.name for folder in ROOMS.values()}))
def test_no_module_lies_loose_beside_a_package(folder):
    """In an editable install it would be importable by its bare name, and could hide the standard library's."""
    assert [path.name for path in (ROOT / folder).glob("*.py")] == []


def test_what_judges_knows_nobody_who_stores_sends_or_shows():
    judges = [path for path in modules() if name_of(path).startswith(JUDGES)]
    assert len(judges) > 50
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {imported}"
        for path in judges
        for line, imported in imports_of(path)
        if imported.startswith(EDGES)
    ]
    assert wrong == []

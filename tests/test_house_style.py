"""What ruff and mypy cannot see: sizes, the package map, and that nothing private is committed."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import tunix_rt

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src" / "tunix_rt")))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_the_package_map_names_every_module() -> None:
    package = ROOT / "src" / "tunix_rt"
    modules = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    modules |= {path.parent.name for path in package.glob("*/__init__.py")}
    named = re.findall(r"^    (\w+) +\S", tunix_rt.__doc__ or "", re.MULTILINE)
    assert sorted(named) == sorted(modules)


def test_every_module_says_what_it_is() -> None:
    missing = [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert missing == []


def test_no_machine_path_or_index_address_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"/(?:home|root|work|Users)/\w|--(?:extra-)?index-url|files\.pythonhosted|pypi\.org")
    found = [
        f"{name}:{number}"
        for name in listed
        if name != "tests/test_house_style.py" and (ROOT / name).is_file()
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []

"""S8 and S10: nothing in the package reads bytes as code, hands text to a shell, or writes a table a spreadsheet would run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml", "jsonpickle"}
NAMES = {"eval", "exec", "compile", "sympify", "parse_expr", "literal_eval", "__import__"}
ATTRIBUTES = {("os", "system"), ("os", "popen"), ("torch", "load"), ("sympy", "sympify"), ("pandas", "read_pickle"),
              ("pandas", "eval"), ("csv", "writer"), ("csv", "DictWriter")}  # fmt: skip
KEYWORDS = {("shell", True), ("trust_remote_code", True), ("allow_pickle", True)}
METHODS = {"to_csv", "to_excel", "write_csv"}


def unsafe(text: str) -> Iterator[str]:
    """What of the list above a module's text does. A tabular export has to prefix cells that begin with = + - @ first."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module for one in names if module.split(".")[0] in MODULES or (module, one.name) in ATTRIBUTES)
            case ast.Call(func=ast.Name(id=name)) if name in NAMES:
                yield name
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (owner, name) in ATTRIBUTES:
                yield f"{owner}.{name}"
            case ast.Attribute(attr=name) if name in METHODS:
                yield name
            case ast.keyword(arg=str(name), value=ast.Constant(value=value)) if (name, value) in KEYWORDS:
                yield f"{name}={value}"


def test_no_module_does_any_of_it(root: Path) -> None:
    found = {str(path): list(unsafe(path.read_text())) for path in (root / "src").rglob("*.py")}
    assert len(found) > 150
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "import joblib as j",
        "from marshal import loads",
        "eval('1')",
        "exec(text)",
        "x = compile(text, '', 'exec')",
        "__import__('os')",
        "from os import system",
        "import os\nos.system('ls')",
        "os.popen('ls')",
        "subprocess.run('ls', shell=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "sympify(text)",
        "sympy.sympify(text)",
        "import csv\ncsv.writer(file)",
        "from csv import DictWriter",
        "frame.to_csv(path)",
    ],
)
def test_each_of_them_would_be_found(text: str) -> None:
    assert list(unsafe(text))


def test_no_weights_are_read_that_could_hold_code(root: Path) -> None:
    named = {path: path.read_text() for path in (root / "src").rglob("*.py")}
    assert [
        str(path) for path, text in named.items() if any(end in text for end in ('.bin"', '.pt"', '.pth"', '.ckpt"', '.pkl"'))
    ] == []

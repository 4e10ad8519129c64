"""Refusals of wrong input are ``UserError``: the command line shows their messages, and the traceback of the rest."""

import ast
import pickle
from pathlib import Path

import pytest

import lightning_prune
from lightning_prune import UserError
from lightning_prune.basics.user_error import NothingThere, OutOfReach

ROOT = Path(lightning_prune.__file__).parent


def raises(path: Path) -> list[str]:
    """The built-in errors that a file raises itself."""
    names = [node.exc for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise)]
    called = [name.func if isinstance(name, ast.Call) else name for name in names]
    return [name.id for name in called if isinstance(name, ast.Name)]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_package_refuses_with_user_errors(path):
    others = {"ValueError", "OSError", "FileNotFoundError", "FileExistsError", "ConnectionError"} & set(raises(path))
    assert not others, "the command line would show a traceback: raise UserError, or NothingThere for a missing file"


def test_a_user_error_is_caught_as_before():
    for kind in (ValueError, UserError, OSError, FileNotFoundError):
        with pytest.raises(kind, match="^no such file$"):
            raise NothingThere("no such file")
    assert not issubclass(UserError, OSError)
    copy = pickle.loads(pickle.dumps(UserError("lr=-1")))  # from a worker of a study
    assert (type(copy), str(copy)) == (UserError, "lr=-1")
    far = pickle.loads(pickle.dumps(OutOfReach("too far", 0.1, 0.2)))
    assert (str(far), far.density, far.least) == ("too far", 0.1, 0.2)

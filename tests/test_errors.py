"""Errors say what, where and what to do, and survive crossing a process."""

import pickle
from pathlib import Path

import pytest

from cvgl.errors import CvglError, DataError, MissingDependencyError, require


def test_message_names_problem_place_and_remedy() -> None:
    text = str(DataError("latitude 123 lies outside -90..90", where="a.csv:7", fix="mend the row"))
    assert text.splitlines() == ["latitude 123 lies outside -90..90", "  where: a.csv:7", "  to do: mend the row"]


def test_every_kind_survives_pickling_with_its_fields() -> None:
    kinds: list[type[CvglError]] = [CvglError, *CvglError.__subclasses__()]
    for kind in kinds:
        again = pickle.loads(pickle.dumps(kind("what", where="here", fix="do")))
        assert type(again) is kind
        assert (again.what, again.where, again.fix) == ("what", "here", "do")


def test_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'cvgl\[pipeline\]'"):
        require("no_such_package_at_all", extra="pipeline", purpose="test")


def test_a_defect_inside_a_package_is_not_reported_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import another_absent_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_absent_package"):
        require("broken_package", extra="pipeline", purpose="test")

import sys

import pytest

from xdr.errors import UserError
from xdr.retrieval import faiss_import


def test_faiss_loads_and_searches() -> None:
    faiss = faiss_import.load_faiss()
    assert isinstance(faiss.IndexFlatIP(2).ntotal, int)
    assert faiss_import.has_gpu(faiss) in (True, False)


def test_a_missing_faiss_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"faiss cannot be imported .*pip install 'xdr\[cpu\]'"):
        faiss_import.load_faiss()


def test_two_packages_of_faiss_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_import, "version", lambda package: "1.15.1" if package != "faiss-gpu-cuvs" else _missing())
    with pytest.raises(UserError, match="faiss-cpu and faiss-gpu are both installed"):
        faiss_import.load_faiss()


def test_the_empty_folder_of_an_uninstalled_twin_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", type(sys)("faiss"))
    with pytest.raises(UserError, match="the folder of faiss is empty"):
        faiss_import.load_faiss()


def _missing() -> str:
    raise faiss_import.PackageNotFoundError

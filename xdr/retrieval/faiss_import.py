"""Imports faiss, after torch, and explains broken installations."""

import logging
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from xdr.errors import UserError

PACKAGES = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs")
_REMEDY = "pip install 'xdr[cpu]' or, with an NVIDIA GPU on Linux, 'xdr[gpu]'"


def load_faiss() -> Any:
    """The module `faiss`. Its packages share one folder: installing a second one breaks the first, often silently."""
    installed = [name for name in PACKAGES if _is_installed(name)]
    if len(installed) > 1:
        names = " and ".join(installed)
        raise UserError(
            f"{names} are both installed and break each other: pip uninstall -y {' '.join(installed)}; then {_REMEDY}"
        )
    import torch  # noqa: F401  CUDA libraries of two versions load only in this order

    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it logs each build that it looks for
    try:
        import faiss
    except ImportError as error:
        raise UserError(f"faiss cannot be imported ({error}): {_REMEDY}") from error
    if not hasattr(faiss, "IndexFlatIP"):
        raise UserError(f"the folder of faiss is empty, as after uninstalling a second package. Reinstall: {_REMEDY}")
    return faiss


def has_gpu(faiss: ModuleType) -> bool:
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True

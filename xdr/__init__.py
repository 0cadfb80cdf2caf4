"""Cross-lingual dense retrieval: queries in many languages, passages in one.

The names below work in memory, without Hydra and without files:

    load_encoder            an encoder from a folder, a checkpoint or the hub; it encodes queries and passages
    fuse                    vectors of passages and of their generated queries to fused vectors
    hub_correction          vectors of passages and of a bank of queries to offsets of scores (CSLS)
    search                  vectors to a run, exactly
    evaluate, compare       runs and qrels to metrics, two runs to paired tests
    read_run, write_run, read_qrels     TREC files
    mteb_model              an encoder, with or without generated queries, as a model of MTEB
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdr.comparison.runs import compare, evaluate, read_qrels
    from xdr.encoders.encoder import Encoder, load_encoder
    from xdr.interop.mteb_model import mteb_model
    from xdr.retrieval.in_memory import fuse, hub_correction, search
    from xdr.retrieval.trec_runs import read_run, write_run

__version__ = "0.1.0"
__all__ = [
    "Encoder",
    "compare",
    "evaluate",
    "fuse",
    "hub_correction",
    "load_encoder",
    "mteb_model",
    "read_qrels",
    "read_run",
    "search",
    "write_run",
]

_MODULES = {
    "Encoder": "xdr.encoders.encoder",
    "load_encoder": "xdr.encoders.encoder",
    "fuse": "xdr.retrieval.in_memory",
    "hub_correction": "xdr.retrieval.in_memory",
    "search": "xdr.retrieval.in_memory",
    "evaluate": "xdr.comparison.runs",
    "compare": "xdr.comparison.runs",
    "read_qrels": "xdr.comparison.runs",
    "read_run": "xdr.retrieval.trec_runs",
    "mteb_model": "xdr.interop.mteb_model",
    "write_run": "xdr.retrieval.trec_runs",
}


def __getattr__(name: str) -> object:
    """Imports a name when it is first used, so that `import xdr` stays cheap."""
    if name not in _MODULES:
        raise AttributeError(f"module 'xdr' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)

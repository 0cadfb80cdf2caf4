"""Joining a Ray cluster, or starting one of this machine alone."""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdr.errors import UserError, first_line
from xdr.storage.files import is_alive

_PREFIX = "xdr-ray-"


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """`auto` is the cluster that this machine belongs to. None starts one of this machine alone, which ends with the block."""
    try:
        import ray
    except ImportError:
        raise UserError("a Ray cluster needs Ray. Install it with: pip install 'xdr[ray]'") from None

    folder = None
    if address is None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the home folder
        os.environ.setdefault("RAY_worker_niceness", "0")  # else workers wait for all other programs of this machine
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # else they are killed when these need much memory
        folder = _folder()
    try:
        place = {"_temp_dir": folder, "include_dashboard": False} if folder else {"address": address}
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **place)
        except (ConnectionError, ValueError, ray.exceptions.RayError) as error:
            raise UserError(f"the Ray cluster at {address} cannot be joined: {first_line(error)}") from error
        yield
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _folder() -> str:
    """For the files of a cluster of this machine alone. Removes those of commands that were killed. Its name must be short:
    sockets are in it."""
    for leftover in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        process = leftover.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not is_alive(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")

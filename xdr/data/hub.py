"""Rows of a data set on the Hugging Face hub, streamed through `datasets`. Nothing is downloaded unless a source says
`hub:`, and no code of the data set is ever run."""

from collections.abc import Iterator
from typing import Any

from xdr.data.rows import Row
from xdr.errors import DataError, UserError


def hub_rows(source: str) -> Iterator[Row]:
    """`hub:ORG/NAME:SPLIT`, `hub:ORG/NAME/CONFIG:SPLIT`, or one JSON-lines file of a repository:
    `hub:ORG/NAME/FOLDER/FILE.jsonl.gz`. SPLIT is `train` unless said. A folder of the local disk stands for ORG/NAME."""
    try:
        import datasets
    except ImportError as error:
        raise UserError("a hub id needs the package `datasets`: pip install 'xdr[hub]'") from error
    name, _, split = source.removeprefix("hub:").partition(":")
    if not name.strip("/"):
        raise DataError("a hub id is ORG/NAME, and nothing came", file=source)
    try:
        stream: Any = datasets.load_dataset(**_arguments(name), split=split or "train", streaming=True)
        for number, values in enumerate(stream, 1):
            yield Row(values, source, number)
    except (OSError, ValueError, TypeError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        if isinstance(error, DataError):
            raise
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the data set cannot be read: {first_line}",
            file=source,
            remedy="Is the id right, and the network there? A local copy works as well: name its file",
        ) from error


def _arguments(name: str) -> dict[str, Any]:
    if name.startswith(("/", ".", "~")):  # a local folder in the hub's layout
        return {"path": name}
    parts = name.split("/")
    if len(parts) > 2 and "." in parts[-1]:  # one file; this also reads repositories that still carry a loading script
        return {"path": "json", "data_files": f"hf://datasets/{name}"}
    return {"path": "/".join(parts[:2]), **({"name": "/".join(parts[2:])} if len(parts) > 2 else {})}

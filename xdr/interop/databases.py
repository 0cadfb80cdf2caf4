"""Vectors in databases of vectors: LanceDB in a folder, Qdrant in a folder or on a server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdr.errors import UserError, first_line
from xdr.interop.vector_files import as_table
from xdr.interop.vector_set import VectorSet

_AT_ONCE = 256
"""Points in a request to Qdrant."""


@dataclass(frozen=True)
class LanceDb:
    """The table `table` of a LanceDB in the folder: `id`, `vector` and, with `texts`, `title`, `text` and `language`. What made
    the vectors is in the schema's metadata, under `xdr`."""

    table: str
    texts: bool

    def write(self, vectors: VectorSet, folder: Path) -> str:
        try:
            import lancedb
        except ImportError as error:
            raise UserError("vectors=lancedb needs the package `lancedb`. Run pip install 'xdr[lancedb]'") from error
        batches = (as_table(batch) for batch in vectors.batches(self.texts))
        first = next(batches).replace_schema_metadata({"xdr": vectors.about_as_text()})
        table = lancedb.connect(folder).create_table(self.table, first)
        for rows in batches:
            table.add(rows)
        return f"{folder}, table {self.table}"


@dataclass(frozen=True)
class Qdrant:
    """A collection of a Qdrant server at `url`, or of its client's local mode in the folder. A point's id is its row; the
    passage's id is in the payload, with its texts if asked for. What made the vectors is in the collection's metadata."""

    collection: str
    texts: bool
    url: str | None

    def write(self, vectors: VectorSet, folder: Path) -> str:
        try:
            import qdrant_client
            from qdrant_client import models
        except ImportError as error:
            raise UserError("vectors=qdrant needs the package `qdrant-client`. Run pip install 'xdr[qdrant]'") from error
        where: dict[str, Any] = {"url": self.url} if self.url else {"path": str(folder)}
        named = self.url or folder
        try:
            client = qdrant_client.QdrantClient(**where)
            if client.collection_exists(self.collection):
                raise UserError(f"vectors.collection must be a new one, but {named} has {self.collection}. Remove it first")
            shape = models.VectorParams(size=vectors.dimension, distance=models.Distance.DOT)
            client.create_collection(self.collection, vectors_config=shape, metadata=dict(vectors.about))
            client.upload_points(self.collection, self._points(vectors, models.PointStruct), batch_size=_AT_ONCE, wait=True)
            client.close()
        except (OSError, RuntimeError, qdrant_client.http.exceptions.ApiException) as error:
            raise UserError(f"Qdrant at {named} failed: {first_line(error)}") from error
        return f"{named}, collection {self.collection}"

    def _points(self, vectors: VectorSet, point: Any) -> Iterator[Any]:
        for batch in vectors.batches(self.texts):
            for place, (name, vector_D) in enumerate(zip(batch.ids, batch.vectors_ND, strict=True)):
                texts = batch.passages[place] if batch.passages else None
                payload = {"title": texts.title, "text": texts.text, "language": texts.language} if texts else {}
                yield point(id=batch.first_row + place, vector=vector_D.tolist(), payload={"id": name, **payload})

"""Qdrant's REST protocol, as far as its client uses it for a collection, over the client's own local mode."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from typing import Any

from qdrant_client import QdrantClient, models


class QdrantServer(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kept = QdrantClient(":memory:")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, asked: str, given: dict[str, Any]) -> Any:
        match asked.partition("?")[0].split("/"):
            case ["GET ", "collections", name, "exists"]:
                return {"exists": self.kept.collection_exists(name)}
            case ["GET ", "collections", name]:
                return self.kept.get_collection(name).model_dump(mode="json")
            case ["PUT ", "collections", name]:
                shape = models.VectorParams(**given["vectors"])
                return self.kept.create_collection(name, vectors_config=shape, metadata=given["metadata"])
            case ["PUT ", "collections", name, "points"]:
                return self.kept.upsert(name, [models.PointStruct(**point) for point in given["points"]]).model_dump(
                    mode="json"
                )
            case ["POST ", "collections", name, "points", "query"]:
                query = models.NearestQuery(**given["query"])
                return self.kept.query_points(name, query, limit=given["limit"]).model_dump(mode="json")
        raise AssertionError(f"the client asks for {asked}")


class _Handler(BaseHTTPRequestHandler):
    server: QdrantServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/":
            answer: Any = {"title": "qdrant", "version": version("qdrant-client")}
        else:
            result = self.server.answer(f"{self.command} {self.path}", json.loads(body or "{}"))
            answer = {"result": result, "status": "ok", "time": 0.0}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *arguments: Any) -> None: ...

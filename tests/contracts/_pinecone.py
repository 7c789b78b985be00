"""A stand-in for Pinecone on this machine: the few calls of its data plane that we make, as its API pages tell them."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "pcsk_test"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Api-Key"] != KEY or not self.headers["X-Pinecone-Api-Version"]:
            self._answer(401, {"code": 16, "message": "Invalid API Key"})
            return
        if self.server.down:
            self._answer(503, {"code": 14, "message": "Service unavailable"})
            return
        with self.server.lock:
            self._answer(*self._done(body))

    def _done(self, body):
        space = self.server.spaces.get(body["namespace"])
        match self.path:
            case "/vectors/upsert":
                return self._upsert(body)
            case "/vectors/delete" if space is None:
                return 404, {"code": 5, "message": "Namespace not found"}
            case "/vectors/delete":
                for id_ in list(space) if body.get("deleteAll") else body["ids"]:
                    space.pop(id_, None)
                return 200, {}
            case "/query":
                return self._query(body, space or {})
        return 404, {"code": 5, "message": "no such call"}

    def _upsert(self, body):
        vectors = body["vectors"]
        dimensions = {len(each["values"]) for each in vectors}
        if not 1 <= len(vectors) <= 1000 or len(dimensions) != 1:
            return 400, {"code": 3, "message": "bad vectors"}
        space = self.server.spaces.setdefault(body["namespace"], {})
        space |= {each["id"]: each for each in vectors}
        return 200, {"upsertedCount": len(vectors)}

    def _query(self, body, space):
        if not 1 <= body["topK"] <= 10_000:
            return 400, {"code": 3, "message": "bad topK"}
        wanted = [set(clause["labels"]["$in"]) for clause in body.get("filter", {}).get("$and", [])]
        found = [
            {"id": id_, "score": sum(a * b for a, b in zip(each["values"], body["vector"], strict=True))}
            for id_, each in space.items()
            if all(labels & set(each["metadata"]["labels"]) for labels in wanted)
        ]
        found.sort(key=lambda each: -each["score"])
        return 200, {"matches": found[: body["topK"]], "namespace": body["namespace"]}

    def _answer(self, status, what):
        data = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spaces = {}
        self.down = False
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.Lock()


@contextmanager
def pinecone():
    """A running one, which is empty; `down` makes it refuse everything."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()

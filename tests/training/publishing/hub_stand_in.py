"""A stand-in for the Hugging Face hub's API, as far as a push needs it; it keeps what it is sent.

The real one cannot be had in a test. Addresses and answers are those that huggingface_hub asks for and checks.
"""

import base64
import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN = "hf_" + "a1B2" * 9
"""Of the kind that is kept secret."""


class Hub:
    """Repositories by name: `{"private": bool, "files": {name: bytes}}`; what was asked, with its token."""

    def __init__(self):
        self.repositories, self.stored, self.asked, self.tokens = {}, {}, [], set()
        self.refuses = {}
        """`{"METHOD part of an address": status}`."""

    def get(self, path, _):
        if path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "ada"}
        name = path.removeprefix("/api/models/")
        repository = self.repositories.get(name)
        if repository is None:
            return 404, {"error": "Repository not found"}
        siblings = [{"rfilename": file} for file in repository["files"]]
        return 200, {"id": name, "private": repository["private"], "siblings": siblings, "sha": "0" * 40}

    def post(self, path, body):
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'ada'}/{asked['name']}"
            private = asked.get("private", asked.get("visibility") == "private")
            self.repositories[name] = {"private": private, "files": {".gitattributes": b""}}
            return 200, {"url": f"{self.address}/{name}"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.endswith("/preupload/main"):
            modes = {file["path"]: file["path"].endswith(".safetensors") for file in json.loads(body)["files"]}
            told = [{"path": name, "uploadMode": "lfs" if large else "regular"} for name, large in modes.items()]
            return 200, {"files": [{**file, "shouldIgnore": False, "oid": None} for file in told]}
        if path.endswith("/info/lfs/objects/batch"):
            told = []
            for file in json.loads(body)["objects"]:
                to = {"href": f"{self.address}/put/{file['oid']}"}
                told.append(file if file["oid"] in self.stored else {**file, "actions": {"upload": to}})
            return 200, {"transfer": "basic", "objects": told}
        name = path.removeprefix("/api/models/").removesuffix("/commit/main")
        self.commit(self.repositories[name]["files"], [json.loads(line) for line in body.splitlines()])
        return 200, {"commitUrl": f"{self.address}/{name}/commit/{'c' * 40}", "commitOid": "c" * 40}

    def commit(self, files, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            else:
                self.said = value["summary"]

    def put(self, path, body):
        oid = path.removeprefix("/put/")
        assert hashlib.sha256(body).hexdigest() == oid
        self.stored[oid] = body
        return 200, {}


@contextmanager
def hub():
    """One that answers on this machine; its `address` is for HF_ENDPOINT."""
    stand_in = Hub()

    class Answers(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stand_in.asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if not path.startswith("/put/"):
                stand_in.tokens.add(self.headers.get("Authorization"))
            refused = next((s for what, s in stand_in.refuses.items() if what in f"{self.command} {path}"), None)
            status, told = (refused, {"error": "no"}) if refused else self.work()(path, body)
            text = json.dumps(told).encode()
            self.send_response(status)
            if status == 404 and self.command == "GET":
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else text)

        def work(self):
            return {"GET": stand_in.get, "POST": stand_in.post, "PUT": stand_in.put, "HEAD": lambda *_: (200, {})}[
                self.command
            ]

        do_GET = do_POST = do_PUT = do_HEAD = answer

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        stand_in.address = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield stand_in
        finally:
            server.shutdown()

"""Sends events through a ws-node to a backend of this program, and reads them with the reference libraries."""

import asyncio
import base64
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cloudevents.core.bindings.http import HTTPMessage, from_binary_event
from standardwebhooks import Webhook, WebhookVerificationError
from websockets.asyncio.client import connect

PATIENCE = 30
SECRETS = ["whsec_" + base64.b64encode(os.urandom(32)).decode() for _ in range(2)]
TRICKY = "Euro € 😀 100% \"quoted\"\r\nce-client: admin\t\u007f"
received: "queue.Queue[tuple[dict[str, str], bytes]]" = queue.Queue()


class Backend(BaseHTTPRequestHandler):
    """Keeps what comes, and answers with it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        received.put((dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def start(program: str, folder: Path, port: int) -> tuple[subprocess.Popen, str]:
    """Starts a ws-node; its address for clients."""
    (folder / "key").write_text("\n".join(SECRETS) + "\n")
    (folder / "ws-node.toml").write_text(
        f"""
        [[rules]]
        event = "bid.*"
        url = "http://127.0.0.1:{port}/bids"
        signing_key_file = "{folder}/key"
        """
    )
    arguments = ["--profile=demo", "--name=edge", "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--log-format=json"]
    # Settings of the caller are not for this ws-node.
    env = {name: value for name, value in os.environ.items() if not name.startswith("WSMESH_")}
    command = [program, *arguments, f"--config={folder}/ws-node.toml"]
    node = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    said = []
    for line in node.stderr:
        said.append(line)
        try:
            listening = json.loads(line).get("listen")
        except ValueError:
            listening = None
        if listening:
            # It must never wait for a reader of its log.
            threading.Thread(target=lambda: [None for _ in node.stderr], daemon=True).start()
            return node, listening
    raise SystemExit("the ws-node ended at its start:\n" + "".join(said))


def check(event: str, client: str, payload: object, key: "str | None") -> str:
    """Checks what came; returns its id."""
    headers, body = received.get(timeout=PATIENCE)
    parsed = from_binary_event(HTTPMessage(headers=headers, body=body))
    assert parsed.get_specversion() == "1.0"
    assert parsed.get_type() == "io.wsmesh.client.event"
    assert parsed.get_source() == "/ws-node/edge"
    assert parsed.get_subject() == event, parsed.get_subject()
    assert parsed.get_datacontenttype() == "application/json"
    assert abs(datetime.now(timezone.utc) - parsed.get_time()) < timedelta(minutes=1)
    assert parsed.get_extension("client") == client, parsed.get_extension("client")
    assert parsed.get_extension("connection")
    assert parsed.get_data() == payload, parsed.get_data()

    names = [name.lower() for name in headers]
    assert ("idempotency-key" in names) == (key is not None)
    for secret in SECRETS:
        assert Webhook(secret).verify(body, headers) == payload
    for altered in (body + b" ", b""):
        try:
            Webhook(SECRETS[0]).verify(altered, headers)
        except WebhookVerificationError:
            continue
        raise AssertionError("an altered body passes")
    signed = {name.lower(): value for name, value in headers.items()}
    assert signed["webhook-id"] == parsed.get_id(), "a backend may drop repeats by either"
    return parsed.get_id()


async def talk(address: str) -> None:
    client = "ann € 100%"
    async with connect(f"ws://{address}/?id=ann%20%E2%82%AC%20100%25") as socket:
        ids = []
        payloads = [{"amount": 7.5, "text": TRICKY}, [], None, "text", 0, {"deep": [[{}]]}, "x" * 30_000]
        for number, payload in enumerate(payloads):
            for event, key in ((f"bid.{number}", None), (f"bid.{TRICKY}", None), ("bid.keyed", "key 1 €"), ("bid.keyed", "key 1 €")):
                frame = {"event": event, "payload": payload, "callbackId": "1"}
                if key:
                    frame["idempotencyKey"] = key
                await socket.send(json.dumps(frame))
                reply = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
                assert reply["payload"] == payload, reply
                ids.append(check(event, client, payload, key))
        assert len(set(ids)) == 2 * len(payloads) + 1, "one id for each event, and one for the key"
        print(f"conformance ok: {len(ids)} events parsed and verified")


def main() -> None:
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        node, address = start(sys.argv[1], Path(folder), backend.server_port)
        try:
            asyncio.run(talk(address))
        finally:
            node.send_signal(signal.SIGTERM)
            node.wait(PATIENCE)


main()

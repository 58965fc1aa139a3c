"""An auction: keeps the highest bid, answers every bid, and tells everyone in the room. Python 3, standard library."""
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

PORT = int(os.environ.get("PORT", "8080"))
ADMIN = os.environ.get("ADMIN_URL", "http://127.0.0.1:9100")
TOKEN = os.environ.get("ADMIN_TOKEN", "")

one_at_a_time = threading.Lock()  # so that prices are published in the order in which they rise
highest = 0


def publish(event, payload):
    """Pushes an event to everyone in the room auction:7, whichever ws-node they are connected to."""
    body = json.dumps({"event": event, "payload": payload}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    try:
        urlopen(Request(f"{ADMIN}/api/v1/rooms/auction/7/messages", body, headers), timeout=3).close()
    except OSError as error:
        print("the room was not told:", error, flush=True)


class Bids(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    wbufsize = -1  # head and body of an answer leave in one piece

    def do_POST(self):
        global highest
        client = self.headers["ce-client"]
        bid = json.loads(self.rfile.read(int(self.headers["content-length"])))
        price = bid.get("price") if isinstance(bid, dict) else None
        if type(price) is not int:
            return self.answer(400, {"detail": 'a bid is {"price": WHOLE NUMBER}'})
        with one_at_a_time:
            print("bid", client, price, flush=True)
            if price <= highest:
                return self.answer(409, {"detail": f"the highest bid is {highest}"})
            highest = price
            publish("price", {"price": price, "client": client})
        self.answer(200, {"ok": True, "price": price})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json" if status == 200 else "application/problem+json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


print("the auction is open", flush=True)
ThreadingHTTPServer(("127.0.0.1", PORT), Bids).serve_forever()

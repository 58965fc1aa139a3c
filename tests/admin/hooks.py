"""What a description cannot say: lines of JSON, and values that mean something only to the admin that made them."""

import ipaddress
import json
import random
import re
import uuid

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def one_line(ctx, value):
    """A batch of one command."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.deserializer("application/x-ndjson")
def first_line(ctx, response):
    """Its result: the description is that of a line."""
    return json.loads(response.content.split(b"\n")[0])


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key belongs to one request, and a cursor comes from an answer: neither can be made up."""
    headers = case.headers or {}
    key = next((name for name in headers if name.lower() == "idempotency-key"), None)
    if key and isinstance(headers[key], str) and is_key(headers[key]):
        headers[key] = str(uuid.uuid4())
    if is_positive(case) and case.query and "cursor" in case.query:
        del case.query["cursor"]
    # Wrong tokens slow down an address, and each wrong request would be one of the same.
    case.headers = {**headers, "X-Forwarded-For": str(ipaddress.IPv4Address(random.getrandbits(32)))}
    # Nothing outside of this machine is asked.
    if isinstance(case.body, dict) and re.match("^rediss?://", str(case.body.get("url"))):
        case.body["url"] = f"redis://127.0.0.1:9#{uuid.uuid4()}"


def is_key(text):
    return 1 <= len(text) <= 128 and all("!" <= character <= "~" and character not in '"\\' for character in text)


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive

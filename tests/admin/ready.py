"""Waits until the server whose ops port is given is ready, at most 30 s."""

import sys
import time
import urllib.error
import urllib.request

URL = f"http://127.0.0.1:{sys.argv[1]}/readyz"
END = time.monotonic() + 30
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
why = None
while time.monotonic() < END:
    try:
        with opener.open(URL, timeout=2):
            sys.exit(0)
    except (urllib.error.URLError, OSError) as error:
        why = error
        time.sleep(0.05)
sys.exit(f"not ready: {why}")

#!/usr/bin/env python3
"""A collector of traces that does not do its work: silent (accepts and never answers), refusing (503 and 429 in turn, with
Retry-After), endless (answers without end), or takes everything (fine). Writes its address first.

    collector.py silent|refusing|endless|fine
"""
import socket
import sys
import threading

KIND = sys.argv[1]


def request(connection):
    """Reads one request; whether there was one."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return False
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        part = connection.recv(1 << 20)
        if not part:
            return False
        body += part
    return True


def serve(connection, number):
    try:
        if KIND == "silent":
            while connection.recv(65536):
                pass
            return
        while request(connection):
            if KIND == "refusing":
                status = b"429 Too Many Requests" if number % 2 else b"503 Service Unavailable"
                connection.sendall(b"HTTP/1.1 " + status + b"\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n")
                number += 1
            elif KIND == "endless":
                connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                while True:
                    connection.sendall(b"x" * 65536)
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    except OSError:
        pass
    finally:
        connection.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print("{}:{}".format(*listener.getsockname()), flush=True)
number = 0
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection, number), daemon=True).start()
    number += 1

"""A small reverse proxy: it adds what nginx and Caddy add, and may take its path off."""

import socket
import threading
from contextlib import closing, suppress


class Proxy:
    """Listens on a free port, and gives each request on over a connection of its own."""

    def __init__(self, port, *, strips="", host="example.com", scheme="https"):
        self._target = ("127.0.0.1", port)
        self._strips = strips.encode()
        self._added = (
            f"Host: {host}\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: {scheme}\r\nConnection: close\r\n"
        )
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._give_on, args=[client], daemon=True).start()

    def _give_on(self, client):
        with closing(client), closing(socket.create_connection(self._target)) as server, suppress(OSError):
            given = b""
            while b"\r\n\r\n" not in given:
                given += client.recv(2**16)
            head, _, body = given.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            method, path, version = first.split(b" ")
            kept = [line for line in lines if line.partition(b":")[0].lower() not in {b"host", b"connection"}]
            first = b" ".join([method, path.removeprefix(self._strips) or b"/", version])
            server.sendall(b"\r\n".join([first, *kept, self._added.encode()]) + b"\r\n" + body)
            threading.Thread(target=self._pour, args=[client, server], daemon=True).start()
            self._pour(server, client)

    @staticmethod
    def _pour(source, target):
        with suppress(OSError):
            while piece := source.recv(2**16):
                target.sendall(piece)

    def close(self):
        """Take no more connections."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

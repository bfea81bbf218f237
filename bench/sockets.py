"""Sockets of one user: how long until all have joined, and the memory that each takes."""

import time

import websocket
from servers import Failed, Party

JOIN = "40/tasks,"


def joined(party: Party, number: int) -> tuple[int, float, float]:
    """How many, seconds until all had joined the namespace, and kilobytes of memory for each."""
    url = f"ws://127.0.0.1:{party.port}/socket.io/?EIO=4&transport=websocket"
    header = [f"Authorization: Bearer {party.tokens['root']}"]
    before, began = party.memory_mb(), time.perf_counter()
    wires = [websocket.create_connection(url, header=header, timeout=60) for _ in range(number)]
    try:
        for wire in wires:
            wire.send(JOIN)
        for wire in wires:
            _wait(wire)
        took = time.perf_counter() - began
        return number, took, 1024 * (party.memory_mb() - before) / number
    finally:
        for wire in wires:
            wire.close(timeout=0)


def _wait(wire: websocket.WebSocket) -> None:
    while True:
        text = wire.recv()
        if text.startswith(JOIN):
            return
        if not text or text.startswith("44"):
            raise Failed(f"a socket was refused: {text}")

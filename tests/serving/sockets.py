"""Socket.IO connections without threads, so that a test can have a thousand."""

import websocket


class RawSocket:
    """A WebSocket in the namespace `/tasks`, or on its way there."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        self._socket = websocket.create_connection(url, header=headers, timeout=20)
        assert self._socket.recv().startswith("0")
        self._socket.send("40/tasks,")

    def wait(self) -> None:
        """Until the server has let it in."""
        while not self._socket.recv().startswith("40/tasks,"):
            pass

    def is_answering(self) -> bool:
        """Whether the other side is there: it answers a ping of the WebSocket protocol."""
        self._socket.ping("there?")
        while True:
            code, data = self._socket.recv_data(control_frame=True)
            if code == websocket.ABNF.OPCODE_PONG:
                return bool(data == b"there?")
            if code == websocket.ABNF.OPCODE_CLOSE:
                return False

    def last_words(self) -> list[str]:
        """What still comes until the server closes the connection."""
        heard = []
        try:
            while True:
                heard.append(self._socket.recv())
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return heard

    def close(self) -> None:
        """Hang up."""
        self._socket.shutdown()

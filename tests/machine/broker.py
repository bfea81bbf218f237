"""A Redis that can be cut off from one side of one process, freeze, or lose what it was given."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import ConnectionError as Lost

from tests.machine.turns import Life, Turns
from v6srv.realtime.managers import TIMEOUT_S


class Broker:
    """One server, and the connections of all processes to it."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.cut: set[tuple[str, str]] = set()
        """Process and side (`listen`, `publish`) of connections on which nothing arrives.

        What was sent arrives late if the connection outlives that, and never if it does not."""
        self.down = False
        self.frozen = False
        self.ears: list[_Ear] = []
        self._late: list[tuple[str, list[str]]] = []

    def end(self) -> None:
        """It is away."""
        self.down = True

    def freeze(self) -> None:
        """It does not answer."""
        self.frozen = True

    def restart(self) -> None:
        """All connections are gone, and what was not read yet."""
        self.down = False
        for ear in self.ears:
            ear.hang_up()

    def reset(self, process: str) -> None:
        """The listening connection of a process is gone."""
        for ear in self.ears:
            if ear.process == process:
                ear.hang_up()

    def thaw(self) -> None:
        """It goes on, with the beginning of what it was sent meanwhile on each connection."""
        self.frozen = False
        late, self._late = self._late, []
        for publisher, messages in late:
            for message in messages[: self.turns.chance.randint(0, len(messages))]:
                self.deliver(publisher, message)

    def heal(self) -> None:
        """All is well."""
        self.cut.clear()
        self.down = False
        self.thaw()

    def forget(self, process: str) -> None:
        """Its connections are gone."""
        self.ears = [ear for ear in self.ears if ear.process != process]

    def publish(self, publisher: str, messages: list[str]) -> None:
        self.turns.give()
        self._ask(publisher, "publish", messages)
        for number, message in enumerate(messages):
            if self.down:
                raise Lost(f"after {number} messages")
            self.deliver(publisher, message)
            self.turns.step()
        self.turns.give()

    def deliver(self, publisher: str, message: str) -> None:
        for ear in self.ears:
            if ear.connected:
                ear.inbox.append((publisher, message))

    def _ask(self, process: str, side: str, messages: list[str] = []) -> None:  # noqa: B006
        if self.down:
            raise Lost("refused")
        if self.frozen or (process, side) in self.cut:
            if self.frozen:
                self._late.append((process, messages))
            self.turns.sleep(TIMEOUT_S)
            raise TimeoutError(f"{side}: no answer")


class Client:
    """What `redis.Redis` is for `managers._Redis`."""

    def __init__(self, broker: Broker, life: Life) -> None:
        self._broker = broker
        self._name = life.name
        self._messages: list[str] = []

    def pipeline(self, transaction: bool) -> "Client":
        return Client(self._broker, Life(self._name))

    def publish(self, _channel: str, message: str) -> None:
        self._messages.append(message)

    def execute(self) -> None:
        self._broker.publish(self._name, self._messages)

    def ping(self) -> None:
        self._broker._ask(self._name, "publish")

    @contextmanager
    def pubsub(self) -> Iterator["_Ear"]:
        ear = _Ear(self._broker, self._name)
        self._broker.ears.append(ear)
        try:
            yield ear
        finally:
            if ear in self._broker.ears:
                self._broker.ears.remove(ear)


class _Ear:
    """A subscription; like the library's it connects and subscribes anew by itself."""

    def __init__(self, broker: Broker, process: str) -> None:
        self._broker = broker
        self.process = process
        self.inbox: deque[tuple[str, str] | str] = deque()
        self.connected = False

    @property
    def _cut(self) -> bool:
        return (self.process, "listen") in self._broker.cut

    def hang_up(self) -> None:
        self.connected = False
        self.inbox.clear()

    def subscribe(self, _channel: str) -> None:
        self._broker._ask(self.process, "listen")
        self.connected = True
        self.inbox.append("subscribe")

    def ping(self) -> None:
        if self._broker.down or not self.connected:
            raise Lost("gone")
        if not (self._broker.frozen or self._cut):
            self.inbox.append("pong")

    def get_message(self, timeout: float) -> dict[str, Any] | None:
        broker, turns = self._broker, self._broker.turns
        turns.give()
        if not self.connected:  # the library does that without a word
            self.subscribe("")
        turns.wait(lambda: bool(self._speaks and self.inbox) or not self.connected, timeout)
        if broker.down or not self.connected:
            self.hang_up()
            raise Lost("gone") if broker.down else Lost("reset")
        if not self._speaks or not self.inbox:
            return None
        heard = self.inbox.popleft()
        if isinstance(heard, str):
            return {"type": heard}
        assert turns.at is not None
        turns.at.source, data = heard
        return {"type": "message", "data": data}

    @property
    def _speaks(self) -> bool:
        return not (self._broker.frozen or self._cut)

"""What fuzzing once began with and found does no harm any more (`make fuzz` searches for more)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.targets import TARGETS
from v6srv.errors import NotFound, Upstream
from v6srv.identity import principals, tokens

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    targets.end()


def test_each_target_has_a_corpus() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_of_the_corpus_breaks_the_server(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files
    for file in files:
        try:
            TARGETS[name](file.read_bytes())
        except Exception as error:
            raise AssertionError(f"{name}/{file.name}") from error


@pytest.mark.parametrize("mistake", [KeyError, Upstream])
def test_a_mistake_is_found(monkeypatch: pytest.MonkeyPatch, mistake: type[Exception]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise mistake("x")

    monkeypatch.setattr(tokens, "read_bearer", fail)
    with pytest.raises((KeyError, AssertionError)):
        targets.token(b"{}")


def test_a_refusal_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotFound("x")

    monkeypatch.setattr(principals, "load", refuse)
    targets.token(b'{"sub": 1, "type": "access", "client_type": "user", "exp": 9999999999}')

"""YAML files: strict in the same way for whoever reads them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from v6srv.yaml_files import BadYaml, read, values


def _read(tmp_path: Path, text: str | bytes) -> object:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return values(read(path))


DEEP = "[" * 3000
BOMB = "a0: &a0 [hush, hush]\n" + "\n".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(6)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: 'a' is given twice"),
        ("a: {b: 1, c: [{d: 1, d: 2}]}", "x.yaml:1:22: 'd' is given twice"),
        ("yes: 1\n'yes': 2", "x.yaml:2:1: 'yes' is given twice"),
        ("<<: {a: 1}\n<<: {b: 1}", "x.yaml:2:1: '<<' is given twice"),
        ("<<: hush", "x.yaml:1:1: << takes the keys of mappings"),
        ("[a]: 1", "x.yaml:1:1: a name expected"),
        ("? {a: b}\n: 1", "x.yaml:1:3: a name expected"),
        ("'': 1", "x.yaml:1:1: a name expected"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: is not YAML: one document expected"),
        ("a:\n\tb: hush", "x.yaml:2:1: is not YAML: found character"),
        ("password: *hush", "x.yaml:1:11: is not YAML: found undefined alias"),
        ("password: !hush x", "x.yaml:1:11: a tag (!...) that has no meaning here"),
        ("a: !!python/name:os.system x", "x.yaml:1:4: a tag (!...)"),
        ("a: &a [*a]", "x.yaml:1:4: contains itself"),
        ("a: &a {<<: *a}", "x.yaml:1:4: contains itself"),
        (BOMB, "x.yaml: its aliases (*...) repeat too much"),
        (DEEP, "x.yaml:1:101: is nested too deeply"),
        ("- " * 100_000, "x.yaml:1:201: is nested too deeply"),
        ("{a: " * 3000, "x.yaml:1:401: is nested too deeply"),
        ('a: "hush\\0"', "x.yaml:1:4: characters that cannot be stored"),
        ('"\\ud800": 1', "x.yaml:1:4: is not YAML: found invalid Unicode character"),
        (b"a: \xff", "x.yaml: cannot be read: it is not UTF-8"),
        ("a: 1".encode("utf-16"), "x.yaml: cannot be read: it is not UTF-8"),
        (b"a: \x01hush", "x.yaml: is not YAML: "),
    ],
)
def test_a_file_that_is_not_sound_is_refused_without_quoting_it(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(BadYaml) as refused:
        _read(tmp_path, text)
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


def test_as_many_levels_as_somebody_may_write(tmp_path: Path) -> None:
    value: Any = _read(tmp_path, "[" * 100 + "]" * 100)
    for _ in range(99):
        (value,) = value
    assert value == []


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadYaml) as refused:
        _read(tmp_path, "a: 1\na: !x 2\na: 3")
    assert [fault.place for fault in refused.value.faults] == [
        *("x.yaml:2:1", "x.yaml:2:4", "x.yaml:3:1")
    ]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BadYaml, match="cannot be read: No such file"):
        read(tmp_path / "x.yaml")


def test_scalars_are_text_and_only_null_has_a_meaning(tmp_path: Path) -> None:
    text = "\ufeffa: 01067\nb: NO\nc:\nd: ~\ne: '~'\nf: [2024-02-30, 1e3, =]\n1: x"
    assert _read(tmp_path, text) == {
        **{"a": "01067", "b": "NO", "c": None, "d": None, "e": "~"},
        **{"f": ["2024-02-30", "1e3", "="], "1": "x"},
    }
    assert _read(tmp_path, "# nothing\n") is None


def test_aliases_and_merges_work_as_people_use_them(tmp_path: Path) -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: 5}\nw: {<<: *x}\nv: *x"
    found = _read(tmp_path, text)
    assert found == {
        "x": {"a": "1", "b": "2"},
        "y": {"b": "3", "c": "4"},
        "z": {"a": "5", "b": "2", "c": "4"},
        "w": {"a": "1", "b": "2"},
        "v": {"a": "1", "b": "2"},
    }


def test_numbers_can_be_asked_for_to_write_them_again(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb: [true, 1.5, text, null]")
    assert values(read(path), typed=True) == {"a": 1, "b": [True, 1.5, "text", None]}


@pytest.mark.parametrize("text", ["0012345", "1_000", "1.10", "0x1F", "0x_", "1:30", "off", "Yes"])
def test_what_would_be_written_in_another_way_stays_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"password: {text}")
    found = values(read(path), typed=True)
    path.write_text(yaml.safe_dump(found))
    assert values(read(path)) == {"password": text}

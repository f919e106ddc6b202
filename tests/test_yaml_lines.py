from pathlib import Path

import pytest

from replicate.errors import UserError
from replicate.files.yaml_lines import MAX_BYTES, parse, read

HERE = Path("spec.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 5.0e-4", 0.0005),
        ("a: .5", 0.5),
        ("a: 1.", 1.0),
        ("a: -12", -12),
        ("a: 0x1f", 31),
        ("a: true", True),
        ("a: ~", None),
        ("a: 'no'", "no"),
        ('a: "5e-4"', "5e-4"),
        ("a: y", "y"),  # text in PyYAML and in YAML 1.2
        ("a: [1, 2.5, x]", [1, 2.5, "x"]),
    ],
)
def test_reads_what_every_reader_of_yaml_reads_alike(text: str, value: object) -> None:
    assert parse(text, HERE).value == {"a": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 5e-4", "spec.yaml:1: a: '5e-4' is ambiguous in YAML: write 5.0e-4"),
        ("a: 1E3", "'1E3' is ambiguous in YAML: write 1.0e+3"),
        ("a: no", "'no' is ambiguous in YAML: write false, or quotes"),
        ("a: On", "'On' is ambiguous in YAML: write true, or quotes"),
        ("a: 012", "'012' is ambiguous"),
        ("a: 1_000", "'1_000' is ambiguous"),
        ("a: 0b11", "'0b11' is ambiguous"),
        ("a: 1:30", "'1:30' is ambiguous"),
        ("a: 2020-01-01", "'2020-01-01' is ambiguous in YAML: write it in quotes"),
        ("b: 1\na: 1\na: 2", "spec.yaml:3: a: duplicate key, first on line 2"),
        ("a: {b: 1, b: 2}", "a.b: duplicate key"),
        ("on: 1", "a key must be text"),
        ("1: 2", "a key must be text"),
        ("a: &x 1\nb: *x", "anchors and aliases are not used here"),
        ("a: {b: 1}\nc: {<<: {d: 1}}", "a key must be text"),
        ("a: !!python/name:os.system ''", "is not used here"),
        ("a: !!set {x}", "is not used here"),
        ("a: !!binary 'aGk='", "is not used here"),
        ("a: [1, 2", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("\t- a", "not valid YAML"),
        ("a: " + "[" * 5000, "not valid YAML"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_refuses_what_is_ambiguous_or_could_run_code(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(text, HERE)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_reports_every_problem_of_a_file() -> None:
    with pytest.raises(UserError) as error:
        parse("a: no\nb: 5e-4\nc: [1, {d: 012}]", HERE)
    lines = str(error.value).splitlines()
    assert [line.split(" ")[:2] for line in lines] == [
        ["spec.yaml:1:", "a:"],
        ["spec.yaml:2:", "b:"],
        ["spec.yaml:3:", "c.1.d:"],
    ]


def test_knows_the_line_of_every_value() -> None:
    document = parse("a:\n  b:\n    - 1\n    - 2\nc: 3\n", HERE)
    assert document.line(["a", "b", 1]) == 4
    assert document.line(["c"]) == 5
    assert document.line(["a", "missing", "deeper"]) == 2, "the nearest part that exists"


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    assert read(tmp_path / "empty.yaml").value is None


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a: \xff", "not UTF-8 text"), (b"#" * (MAX_BYTES + 1), "larger than")],
)
def test_refuses_files_that_are_no_text_of_ours(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(path)


def test_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: cannot be read: No such file"):
        read(tmp_path / "absent.yaml")

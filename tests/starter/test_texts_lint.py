"""The lint of translations finds each mistake that is put before it, and none in ours."""

import subprocess
import sys
from pathlib import Path

import pytest

from starter.texts.compile import compile_po
from starter.texts.lint import check

HEADER = """msgid ""
msgstr ""
"Language: fr\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"

"""
HELLO = 'msgid "Hello {name}"\nmsgstr "Bonjour {name}"\n\n'
DAYS = 'msgid "{n} day"\nmsgid_plural "{n} days"\nmsgstr[0] "{n} jour"\nmsgstr[1] "{n} jours"\n\n'
SOURCE = 't._("Hello {name}", name=1)\nt.plural("{n} day", "{n} days", 2)\n'


def mistakes(tmp_path: Path, po: str, source: str = SOURCE, *, compiled: bool = True) -> list[str]:
    folder = tmp_path / "fr" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    file = folder / "changeover.po"
    file.write_text(HEADER + po, encoding="utf-8")
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "page.py").write_text(source, encoding="utf-8")
    if compiled:
        compile_po(file)
    return check(sources, file)


def test_nothing_is_wrong_with_complete_translations(tmp_path: Path) -> None:
    assert mistakes(tmp_path, HELLO + DAYS) == []


@pytest.mark.parametrize(
    ("po", "source", "said"),
    [
        (DAYS, SOURCE, "not in the .po: 'Hello {name}'"),
        (HELLO + DAYS, SOURCE + "t._(greeting)\n", "sources/page.py:3: not a literal text"),
        (HELLO + DAYS, SOURCE + 'N_("Bye")\n', "not in the .po: 'Bye'"),
        (HELLO + DAYS, 't._("Hello {name}")\n', "no source has it any more: '{n} day'"),
        ("#, fuzzy\n" + HELLO + DAYS, SOURCE, "fuzzy: 'Hello {name}'"),
        (HELLO.replace("Bonjour {name}", "") + DAYS, SOURCE, "not translated: 'Hello {name}'"),
        (HELLO + DAYS.replace('"{n} jours"', '""'), SOURCE, "not translated: '{n} day'"),
        (HELLO.replace("Bonjour {name}", "Bonjour {nom}") + DAYS, SOURCE, "other placeholders"),
        (HELLO + DAYS.replace("{n} jours", "jours"), SOURCE, "other placeholders"),
        (HELLO.replace("Bonjour {name}", "Bonjour {name} !") + DAYS, SOURCE, "a space that can break"),
        (HELLO + DAYS + '#~ msgid "Old"\n#~ msgstr "Vieux"\n', SOURCE, "obsolete entry (#~): 'Old'"),
        (HELLO + DAYS, SOURCE.replace('"{n} days"', '"{n} Days"'), "another plural"),
    ],
)
def test_a_seeded_mistake_is_found(tmp_path: Path, po: str, source: str, said: str) -> None:
    found = mistakes(tmp_path, po, source)
    assert any(said in mistake for mistake in found), found


def test_a_missing_mo_is_found(tmp_path: Path) -> None:
    assert mistakes(tmp_path, HELLO + DAYS, compiled=False) == [
        "changeover.mo is missing: python -m starter.texts.compile"
    ]


@pytest.mark.parametrize("old", ["Bonjour", "{n} jours"])
def test_an_old_mo_is_found(tmp_path: Path, old: str) -> None:
    assert mistakes(tmp_path, HELLO + DAYS) == []
    po = tmp_path / "fr" / "LC_MESSAGES" / "changeover.po"
    po.write_text(po.read_text(encoding="utf-8").replace(old, f"Bien {old}"), encoding="utf-8")
    assert "is older than the .po" in check(tmp_path / "sources", po)[0]


def test_our_own_translations_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "starter.texts.lint"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

"""Writes the files in `layouts/` and `readings.json` again: `python -m xdr.noise.read_layouts [UNIHAN_FOLDER]`.

Needs libxkbcommon and the X keyboard database (Debian: libxkbcommon0, xkb-data). Readings need the files of Debian's
unicode-data. The other data files of this room are written by hand.
"""

import bz2
import ctypes
import json
import subprocess
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

HERE = Path(__file__).parent
LAYOUTS = {
    "us": "English (US), QWERTY",
    "de": "German, QWERTZ",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French, AZERTY",
    "tr": "Turkish, Q",
    "gr": "Greek",
    "ru": "Russian, JCUKEN",
    "ara": "Arabic, 101",
    "ir": "Persian, standard ISIRI 9147",
    "th": "Thai, Kedmanee",
    "in(ben_inscript)": "Bengali, InScript",
    "in(deva)": "Devanagari, InScript",
    "in(tel)": "Telugu, InScript",
}
"""In the X keyboard database: `layout(variant)`."""

ROWS = {"E": range(1, 13), "D": range(1, 13), "C": range(1, 12), "B": range(1, 11)}
"""ISO 9995 names: row E has the digits, B is the lowest. Position 1 is the leftmost key in everyday use."""


class _Names(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("rules", "model", "layout", "variant", "options")]


class Keymap:
    """A layout, compiled by libxkbcommon."""

    def __init__(self, name: str) -> None:
        layout, _, variant = name.rstrip(")").partition("(")
        self._library = library = ctypes.CDLL(find_library("xkbcommon") or "libxkbcommon.so.0")
        for function in ("xkb_context_new", "xkb_keymap_new_from_names"):
            getattr(library, function).restype = ctypes.c_void_p
        names = _Names(b"evdev", b"pc105", layout.encode(), variant.encode(), None)
        context = ctypes.c_void_p(library.xkb_context_new(0))
        self._keymap = ctypes.c_void_p(library.xkb_keymap_new_from_names(context, ctypes.byref(names), 0))
        if not self._keymap.value:
            raise SystemExit(f"the keyboard database has no layout {name}")

    def character(self, key: str, level: int) -> str:
        """Level 0 is without Shift, 1 with it. Empty for a key that types no character."""
        code = self._library.xkb_keymap_key_by_name(self._keymap, key.encode())
        symbols = ctypes.POINTER(ctypes.c_uint32)()
        number = self._library.xkb_keymap_key_get_syms_by_level(self._keymap, code, 0, level, ctypes.byref(symbols))
        character = chr(self._library.xkb_keysym_to_utf32(symbols[0])) if number == 1 else "\0"
        return "" if unicodedata.category(character) == "Cc" else character


def layout_rows(keymap: Keymap) -> dict[str, list[list[str]]]:
    """By row, the characters of each key: without Shift, and with it."""
    keys = {row: [f"A{row}{number:02}" for number in numbers] for row, numbers in ROWS.items()}
    return {row: [[keymap.character(key, 0), keymap.character(key, 1)] for key in own] for row, own in keys.items()}


def write_layout(name: str, version: str) -> None:
    rows = layout_rows(Keymap(name))
    described = {
        "layout": LAYOUTS[name],
        "source": f"X keyboard database, layout {name}; Debian xkb-data {version}, MIT/X11 licences; levels 1 and 2",
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in described.items()]
    lines += ['  "rows": {', ",\n".join(f"    {json.dumps(row)}: {json.dumps(rows[row], ensure_ascii=False)}" for row in rows)]
    file = HERE / "layouts" / f"{name.rstrip(')').replace('(', '_')}.json"
    file.write_text("\n".join([*"{", *lines, "  }", "}"]) + "\n", encoding="utf-8")


def _entries(folder: Path, file: str, field: str) -> Iterator[tuple[str, str]]:
    with bz2.open(folder / f"Unihan_{file}.txt.bz2", "rt", encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#") and (parts := line.rstrip("\n").split("\t"))[1:2] == [field]:
                yield chr(int(parts[0][2:], 16)), parts[2]


def homophones(folder: Path) -> dict[str, dict[str, str]]:
    """By language and reading, the common characters that share it: Joyo kanji by their first Sino-Japanese reading, and the
    characters of the first level of GB 2312 by their Mandarin reading, without tones, as people type it."""
    joyo = {character for character, _ in _entries(folder, "OtherMappings", "kJoyoKanji")}
    level_1 = {bytes((row, cell)).decode("gb2312", "ignore") for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)}
    found: dict[str, dict[str, str]] = {}
    for language, field, kept in (("ja", "kJapaneseOn", joyo), ("zh", "kMandarin", level_1)):
        groups: dict[str, str] = defaultdict(str)
        for character, readings in _entries(folder, "Readings", field):
            if character in kept:
                plain = unicodedata.normalize("NFD", readings.split()[0].lower().replace("ü", "v"))
                groups["".join(c for c in plain if not unicodedata.combining(c))] += character
        found[language] = {reading: group for reading, group in sorted(groups.items()) if len(group) > 1}
    return found


def write_readings(folder: Path) -> None:
    described = {
        "source": "Unihan (Debian unicode-data 15.0.0), Unicode licence: kJapaneseOn of Joyo kanji, kMandarin of GB 2312"
    }
    with (HERE / "readings.json").open("w", encoding="utf-8") as file:
        json.dump(described | homophones(folder), file, ensure_ascii=False, indent=1)
        file.write("\n")


if __name__ == "__main__":
    command = ["dpkg-query", "--show", "--showformat=${Version}", "xkb-data"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in LAYOUTS:
        write_layout(name, version)
    if sys.argv[1:]:
        write_readings(Path(sys.argv[1]))

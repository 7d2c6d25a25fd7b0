"""Changes of a file's content, drawn from a random generator: what `fuzz.py` does to files.

Bytes are flipped, cut, repeated and inserted, lines removed and doubled, numbers replaced by
strange ones, values of JSON by values of other types.  Formats with a container (gzip, .npz,
safetensors) are also changed within it, and compressed ones replaced by small files that become
large.  The pages of a Parquet file stay: polars ends the process where it cannot allocate the
length of a run that one states, and no option of its readers changes that (2.1.0).
"""

import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import numpy as np
import polars

Change = Callable[[bytes, Random], bytes]

NUMBERS = (b"0", b"-1", b"1e999", b"-1e308", b"9" * 30, b"9" * 5000, b"nan", b"inf", b"", b"1.5")
VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 1.5, -0.5, 1e308, 2**31, 2**70, "", "x", "1", "nan", [], {}, [[]], [5],
    [None], {"x": 1}, {"float": "0x1p-2"}, {"array": "0"},
)  # fmt: skip
WHOLE = (
    b"",
    b"\n",
    b"[]",
    b"5",
    b"null",
    b'"text"',
    b"{}",
    b"\x00" * 64,
    b"\xff\xfe",
    b"[" * 100_000,
)


def change(kind: str, content: bytes, random: Random) -> bytes:
    """Return the content of a file of a kind, changed in one to three ways."""
    changes = KINDS[kind]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        way = random.choice(changes)
        content = way(content, random)
        if way is explode:  # a second change would unpack it
            break
    return content


def flip_bits(content: bytes, random: Random) -> bytes:
    """Flip one bit, or some near each other."""
    found = bytearray(content)
    start = random.randrange(len(found) or 1)
    for _ in range(random.choice((1, 1, 2, 8)) if found else 0):
        found[min(start + random.randrange(8), len(found) - 1)] ^= 1 << random.randrange(8)
    return bytes(found)


def _part(content: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(content) + 1)
    return start, min(len(content), start + random.choice((1, 2, 8, 64, 1000)))


def cut(content: bytes, random: Random) -> bytes:
    """Remove a part."""
    start, end = _part(content, random)
    return content[:start] + content[end:]


def truncate(content: bytes, random: Random) -> bytes:
    """Remove the end."""
    return content[: random.randrange(len(content) + 1)]


def repeat(content: bytes, random: Random) -> bytes:
    """Double a part."""
    start, end = _part(content, random)
    return content[:end] + content[start:]


def insert(content: bytes, random: Random) -> bytes:
    """Insert random bytes."""
    start, _ = _part(content, random)
    return content[:start] + random.randbytes(random.choice((1, 4, 32))) + content[start:]


def replace_all(_: bytes, random: Random) -> bytes:
    """Put something else in the file's place."""
    return random.choice(WHOLE)


def change_lines(content: bytes, random: Random) -> bytes:
    """Remove a line, double it, or exchange it with another one."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(3):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case _:
            lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def change_number(content: bytes, random: Random) -> bytes:
    """Replace a number by a strange one, or a digit by another."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?(e[+-]?\d+)?", content))
    if not found:
        return content
    number = random.choice(found)
    new = random.choice(NUMBERS) if random.random() < 0.7 else b"%d" % random.randrange(1000)
    return content[: number.start()] + new + content[number.end() :]


def change_json(content: bytes, random: Random) -> bytes:
    """Replace a value of a JSON document, remove it, or double it."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content
    return json.dumps(_changed(document, random)).encode()


def _changed(document: Any, random: Random) -> Any:
    """Return a document in which a value, anywhere, is another one."""
    if not isinstance(document, dict | list) or not document or random.random() < 0.1:
        return _deep(random) if random.random() < 0.1 else random.choice(VALUES)
    key = random.choice(list(document) if isinstance(document, dict) else range(len(document)))
    match random.randrange(10):
        case 0:
            del document[key]
        case 1 if isinstance(document, dict):
            document[random.choice(("", "x", *document))] = document.pop(key)
        case 1:
            document.insert(key, document[key])
        case _:
            document[key] = _changed(document[key], random)
    return document


def _deep(random: Random) -> Any:
    value: Any = 0
    for _ in range(random.choice((30, 900))):
        value = [value] if random.random() < 0.5 else {"x": value}
    return value


def forge(content: bytes, random: Random) -> bytes:
    """Change a JSON document, and the hash of the rest that it states."""
    try:
        document = json.loads(change_json(content, random))
    except (ValueError, RecursionError):
        return content
    if isinstance(document, dict) and document.pop("sha256", None):
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(document).encode()


def change_json_line(content: bytes, random: Random) -> bytes:
    """Change a line of JSON."""
    lines = content.splitlines()
    if lines:
        line = random.randrange(len(lines))
        lines[line] = change_json(lines[line], random)
    return b"".join(line + b"\n" for line in lines)


def change_safetensors_header(content: bytes, random: Random) -> bytes:
    """Change the JSON at the beginning, and the length that is stated of it."""
    length = int.from_bytes(content[:8], "little")
    way = random.choice((change_json, change_json, flip_bits, change_number))
    header = way(content[8 : 8 + length], random)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def change_safetensors_metadata(content: bytes, random: Random) -> bytes:
    """Change the JSON documents within the metadata."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        metadata = header["__metadata__"]
        name = random.choice(list(metadata))
        metadata[name] = change_json(metadata[name].encode(), random).decode()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return content
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def change_npy_header(content: bytes, random: Random) -> bytes:
    """Change the text of the header, of the same length or of another one that is stated."""
    header = random.choice((change_number, flip_bits, cut, repeat, insert))(content[10:128], random)
    if random.random() < 0.5:
        header = header[:118].ljust(118)
    return content[:8] + len(header).to_bytes(2, "little") + header + content[128:]


def change_footer(content: bytes, random: Random) -> bytes:
    """Change what a Parquet file says after its pages, and the length that is stated of it."""
    end = len(content) - 8
    start = max(0, end - int.from_bytes(content[end : end + 4], "little"))
    footer = random.choice((flip_bits, cut, repeat, insert))(content[start:end], random)
    return content[:start] + footer + len(footer).to_bytes(4, "little") + content[-4:]


def within_gzip(inner: Change) -> Change:
    """Return a change of what a gzip file holds."""

    def changed(content: bytes, random: Random) -> bytes:
        try:
            held = gzip.decompress(content)
        except Exception:  # whatever an earlier change made of it
            return content
        return gzip.compress(inner(held, random), mtime=0)

    return changed


def within_npz(inner: Change) -> Change:
    """Return a change of a member of an .npz file."""

    def changed(content: bytes, random: Random) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
        except Exception:  # whatever an earlier change made of it
            return content
        name = random.choice(list(members))
        members[name] = inner(members[name], random)
        found = io.BytesIO()
        with zipfile.ZipFile(found, "w") as archive:
            for each, held in members.items():
                archive.writestr(each, held)
        return found.getvalue()

    return changed


def explode(content: bytes, random: Random) -> bytes:
    """Return a small file of the same format that becomes 128 MiB or more."""
    return _bomb(content[:4], random.randrange(3))


@cache
def _bomb(signature: bytes, k: int) -> bytes:
    found = io.BytesIO()
    numbers, texts = polars.zeros(2**24, eager=True), polars.Series(["x" * 2**12]).new_from_index
    table = (numbers, numbers, texts(0, 2**15))[k].to_frame("width")
    match signature:
        case b"PK\x03\x04":
            np.savez_compressed(found, X=np.zeros((2**20, 16)), y=np.zeros(2**20))
        case b"PAR1":
            table.write_parquet(found, compression="zstd")
        case b"ARRO":
            table.write_ipc(found, compression=("lz4", "zstd", "zstd")[k])
        case _:
            return gzip.compress((b"0,", b"0\n", b"\0\0")[k] * 2**26, 1, mtime=0)
    return found.getvalue()


_BYTES = (flip_bits, flip_bits, cut, truncate, repeat, insert, replace_all)
_TEXT = (*_BYTES, *[change_lines, change_number] * 3)
_NPY = (*_BYTES, *[change_npy_header] * 5)

KINDS: dict[str, tuple[Change, ...]] = {
    "binary": _BYTES,
    "text": _TEXT,
    "json": (*_TEXT, *[change_json] * 10),
    "forged": (forge,),
    "json lines": (*_TEXT, *[change_json_line] * 10),
    "safetensors": (*_BYTES, *[change_safetensors_header] * 4, *[change_safetensors_metadata] * 4),
    "npy": _NPY,
    "npz": (*_BYTES, *map(within_npz, _NPY), *[explode] * 5),
    "gzip": (*_BYTES, *map(within_gzip, _BYTES), *[explode] * 5),
    "gzipped text": (*_BYTES, *map(within_gzip, _TEXT), *[explode] * 5),
    "feather": (*_BYTES, *[explode] * 2),
    "parquet": (truncate, replace_all, *[change_footer] * 4, *[explode] * 2),
}
"""The changes of files of a kind; each is drawn as often as it is listed."""

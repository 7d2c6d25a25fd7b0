"""Encodings of tables: those that are named, byte order marks, and what is none of them."""

import pytest

from pluggable_mlp.data import DataError

pytest.importorskip("polars")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_the_encoding_may_be_said(read, encoding):
    text = "größe,stadt,y\n" + "1,Zürich,0\n2,Genève,1\n" * 9
    data = read(text.encode(encoding), encoding=encoding)
    assert data.preparation.feature_names == ("größe", "stadt=Genève", "stadt=Zürich")
    with pytest.raises(DataError, match="encoding is 'latin-l'; name one that Python knows"):
        read(text, encoding="latin-l")
    with pytest.raises(DataError, match="encoding is ''; name one that Python knows"):
        read(text, encoding="")


UTF_16 = "a,y\n1,0\n2,1\n".encode("utf-16-le")


@pytest.mark.parametrize(
    ("data", "given", "remedy"),
    [
        (UTF_16, {}, "if it is utf-16-le, --encoding utf-16-le"),
        ("a,y\n1,0\n".encode("utf-16-be"), {}, "if it is utf-16-be, --encoding utf-16-be"),
        (b"\xff\xfe" + UTF_16, {"encoding": "latin-1"}, "if it is utf-16, --encoding utf-16 "),
        (b"\xff\xfe" + UTF_16 + b"\0\0", {"encoding": "utf-16"}, "get a new copy"),
        (b"\xef\xbb\xbfa,y\n1,0\n\0\0", {}, "get a new copy"),
        ("a,y\n1,0\n".encode("utf-32-le"), {}, "get a new copy"),
    ],
)
def test_the_character_nul_is_refused(read, data, given, remedy):
    """UTF-16 without its byte order mark, or a damaged file."""
    with pytest.raises(DataError, match=r"line \d holds the character NUL") as caught:
        read(data, **given)
    assert remedy in caught.value.args[2]


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_the_encoding_that_a_byte_order_mark_says_is_proposed(read, order):
    text = "größe,stadt,y\n" + "1,Zürich,0\n2,Genève,1\n" * 9
    data = ("\ufeff" + text).encode(order)
    with pytest.raises(DataError, match=r"--encoding utf-16 \(encoding='utf-16'\)"):
        read(data)
    assert read(data, encoding="utf-16").sha256() == read(text).sha256()


def test_a_copy_that_is_marked_as_utf_8_is_the_same_table(read):
    """What is not marked is read as asked for: some text in another encoding is valid UTF-8."""
    text = "größe,stadt,y\n" + "1,Zürich,0\n2,Genève,1\n" * 9
    data = read(text.encode("latin-1"), encoding="latin-1")
    assert read(f"\ufeff{text}", encoding="latin-1").sha256() == data.sha256()
    with pytest.raises(DataError, match="not text in utf-8: line 2 holds the byte 0xfc") as caught:
        read(b"\xef\xbb\xbfa,y\nZ\xfcrich,0\n", encoding="latin-1")
    assert "--encoding" not in caught.value.args[2]
    unmarked = read(text, encoding="latin-1")
    assert unmarked.preparation.feature_names[0] == "größe".encode().decode("latin-1")

"""Downloads, from a server on loopback that serves small files."""

import gzip
import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pluggable_mlp.data import DataError, mnist
from pluggable_mlp.data.arrays import IDX_NAMES
from pluggable_mlp.data.mnist import Published, load_named

IMAGES = b"\0\0\x08\x03" + b"\0\0\0\x03\0\0\0\x01\0\0\0\x02" + b"abcdef"
LABELS = b"\0\0\x08\x01" + b"\0\0\0\x03" + b"\0\1\0"
CONTENT = {field: IMAGES if "inputs" in field else LABELS for field in IDX_NAMES}
FILES = {field: gzip.compress(data, mtime=0) for field, data in CONTENT.items()}


def sha256(files):
    return {field: hashlib.sha256(data).hexdigest() for field, data in files.items()}


HASHES = {"gzip_sha256": sha256(FILES), "sha256": sha256(CONTENT)}
NAMES = [f"{name}.gz" for name in IDX_NAMES.values()]


class Server(ThreadingHTTPServer):
    """Serves `files` and notes the paths that it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.files = {f"/{name}.gz": FILES[field] for field, name in IDX_NAMES.items()}
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.published = Published(mirrors=(self.address,), **HASHES)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def closed(monkeypatch):
    """An address without a server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as other:
        return other.address


NAME = "fashion-mnist"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the cache for the data of that name."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PLUGGABLE_MLP_DATA", raising=False)
    return tmp_path / "cache" / "pluggable-mlp" / NAME


@pytest.fixture
def load(folder, monkeypatch):
    """Load what these addresses publish."""

    def load_published(published):
        monkeypatch.setitem(mnist.PUBLISHED, NAME, published)
        return load_named(NAME)

    return load_published


def test_the_four_files_are_saved(server, folder, load):
    source = load(server.published)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert server.asked == [f"/{name}" for name in NAMES]
    assert source.splits["train"].inputs.reshape(3, 2).tolist() == [
        [97, 98],
        [99, 100],
        [101, 102],
    ]


def test_existing_files_are_not_downloaded_again(server, folder, load):
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(IMAGES)
    load(server.published)
    assert server.asked == [f"/{name}" for name in NAMES[1:]]


def test_the_next_mirror_is_tried(server, closed, folder, load):
    absent = server.address + "absent/"
    spoilt = server.address + "spoilt/"
    server.files |= {f"/spoilt/{name}": b"<html>moved</html>" for name in NAMES}
    published = Published(mirrors=(closed, absent, spoilt, server.address), **HASHES)
    load(published)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


@pytest.fixture
def failure(folder, load):
    def fail(published):
        with pytest.raises(DataError) as caught:
            load(published)
        message = str(caught.value)
        # Whatever the fault, the message says what to put where.
        assert message.startswith(f"{NAME}: ")
        assert all(name in message for name in NAMES)
        assert str(folder) in message
        assert "PLUGGABLE_MLP_DATA" in message
        return message

    return fail


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (None, "404"),
        (b"", "hash of downloaded file"),
        (b"<html>not found</html>", "hash of downloaded file"),
        (LABELS, "hash of downloaded file"),
        (FILES["test_labels"][:-3], "hash of downloaded file"),
        (gzip.compress(LABELS[:-1] + b"\1", mtime=0), HASHES["gzip_sha256"]["test_labels"]),
    ],
)
def test_a_file_that_is_not_genuine_is_not_kept(server, folder, failure, data, fault):
    server.files[f"/{NAMES[3]}"] = data
    assert fault in failure(server.published)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES[:3])


def test_offline(closed, failure):
    message = failure(Published(mirrors=(closed,), **HASHES))
    assert "could not be downloaded" in message
    assert closed in message


def test_without_pooch(folder, failure, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    message = failure(Published(mirrors=("http://127.0.0.1/",), **HASHES))
    assert "pip install 'pluggable-mlp[download]'" in message
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(server, tmp_path, failure):
    (tmp_path / "cache").touch()
    assert "could not be downloaded" in failure(server.published)

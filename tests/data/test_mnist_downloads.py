"""Downloads, from a server on loopback that serves small files."""

import gzip
import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pluggable_mlp.data import DataError, mnist
from pluggable_mlp.data.idx import FILE_NAMES, read_idx_folder
from pluggable_mlp.data.mnist import Published

IMAGES = b"\0\0\x08\x03" + b"\0\0\0\x03\0\0\0\x01\0\0\0\x02" + b"abcdef"
LABELS = b"\0\0\x08\x01" + b"\0\0\0\x03" + b"\0\1\0"
CONTENT = {field: IMAGES if "inputs" in field else LABELS for field in FILE_NAMES}
FILES = {field: gzip.compress(data, mtime=0) for field, data in CONTENT.items()}


def sha256(files):
    return {field: hashlib.sha256(data).hexdigest() for field, data in files.items()}


HASHES = {"gzip_sha256": sha256(FILES), "sha256": sha256(CONTENT)}
NAMES = [f"{name}.gz" for name in FILE_NAMES.values()]


class Server(ThreadingHTTPServer):
    """Serves `files` and notes the paths that it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.files = {f"/{name}.gz": FILES[field] for field, name in FILE_NAMES.items()}
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


def test_the_four_files_are_saved(server, tmp_path):
    folder = tmp_path / "cache" / "example"
    mnist.download("example", str(folder), server.published)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert server.asked == [f"/{name}" for name in NAMES]
    assert read_idx_folder(str(folder)).splits["train"].inputs.reshape(3, 2).tolist() == [
        [97, 98],
        [99, 100],
        [101, 102],
    ]


def test_existing_files_are_not_downloaded_again(server, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(IMAGES)
    mnist.download("example", str(tmp_path), server.published)
    assert server.asked == [f"/{name}" for name in NAMES[1:]]


def test_the_next_mirror_is_tried(server, closed, tmp_path):
    absent = server.address + "absent/"
    spoilt = server.address + "spoilt/"
    server.files |= {f"/spoilt/{name}": b"<html>moved</html>" for name in NAMES}
    published = Published(mirrors=(closed, absent, spoilt, server.address), **HASHES)
    mnist.download("example", str(tmp_path), published)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def failure(folder, published):
    with pytest.raises(DataError) as caught:
        mnist.download("example", str(folder), published)
    message = str(caught.value)
    # Whatever the fault, the message says what to put where.
    assert message.startswith("example: ")
    assert all(name in message for name in NAMES)
    assert str(folder) in message
    assert "PLUGGABLE_MLP_DATA" in message
    return message


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
def test_a_file_that_is_not_genuine_is_not_kept(server, tmp_path, data, fault):
    server.files[f"/{NAMES[3]}"] = data
    assert fault in failure(tmp_path, server.published)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES[:3])


def test_the_limit_is_above_the_published_files_and_below_a_nuisance():
    largest = 26_421_880  # bytes: Fashion-MNIST's training images, gzipped
    assert largest < mnist.LARGEST_DOWNLOAD < 4 * largest


def test_a_server_that_sends_too_much_is_cut_off(server, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "LARGEST_DOWNLOAD", 1000)
    server.files[f"/{NAMES[0]}"] = bytes(100_000)
    assert "sends more than 1000 bytes" in failure(tmp_path, server.published)
    assert list(tmp_path.iterdir()) == []


def test_offline(closed, tmp_path):
    message = failure(tmp_path, Published(mirrors=(closed,), **HASHES))
    assert "could not be downloaded" in message
    assert closed in message


def test_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    folder = tmp_path / "cache"
    message = failure(folder, Published(mirrors=("http://127.0.0.1/",), **HASHES))
    assert "pip install 'pluggable-mlp[download]'" in message
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").touch()
    assert "could not be saved" in failure(tmp_path / "file" / "example", server.published)

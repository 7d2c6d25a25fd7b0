"""Rows of files larger than memory: how many are read at a time."""

import numpy as np

from pluggable_mlp.host import lazy


def test_rows_far_apart_are_read_some_at_a_time(tmp_path, monkeypatch):
    x = np.arange(600.0).reshape(300, 2)
    np.save(tmp_path / "x.npy", x)
    stored = lazy.as_lazy(np.load(tmp_path / "x.npy", mmap_mode="r"))
    lengths, read = [], lazy.StoredArray._read

    def noting(self, start, stop):
        lengths.append(stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(lazy, "_BYTES_AT_ONCE", 50 * x[0].nbytes)
    monkeypatch.setattr(lazy.StoredArray, "_read", noting)
    places = np.asarray([0, 49, 50, 290, 299])
    assert stored.at(places).tolist() == x[places].tolist()
    assert lengths == [50, 1, 10]

"""The random numbers: published vectors, an independent Philox, exact quantiles, moments."""

import hashlib
import math

import mpmath
import numpy as np
import pytest

from pluggable_mlp.host import randomness

MASK = 2**64 - 1


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """Philox 4x64-10, transcribed from the paper in Python integers (SC 2011, section 3.2)."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = (second >> 64) ^ b ^ k, second & MASK, (first >> 64) ^ d ^ m, first & MASK
        k, m = (k + 0x9E3779B97F4A7C15) & MASK, (m + 0xBB67AE8584CAA73B) & MASK
    return [a, b, c, d]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the authors' known answers: Random123, tests/kat_vectors, "philox4x64 10"
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
        ),
        (
            (MASK, MASK, MASK, MASK),
            (MASK, MASK),
            (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
        ),
        (
            (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
            (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
        ),
    ],
)
def test_the_transcription_gives_the_published_vectors(counter, key, expected):
    assert philox(counter, key) == list(expected)


@pytest.mark.parametrize("seed", [0, 1, 12345678901234567890, 2**64 - 1])
@pytest.mark.parametrize(("purpose", "number"), [("parameters", 0), ("shuffle", 1)])
@pytest.mark.parametrize("step", [0, 7, 2**64 - 1])
def test_words_are_philox_at_their_address(seed, purpose, number, step):
    """The address is part of the promise: key (seed, purpose), counter (block, 0, step, 0).

    The generator steps before it draws: the first block has the number 1.
    """
    expected = [w for block in (1, 2, 3) for w in philox((block, 0, step, 0), (seed, number))]
    assert randomness.words(seed, purpose, step, 11).tolist() == expected[:11]


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, None])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=rf"seed is {seed}, expected .* 0 to 2\*\*64 - 1"):
        randomness.words(seed, "shuffle", 0, 1)


def test_uniforms_are_the_upper_bits_and_never_0_or_1(monkeypatch):
    extremes = np.asarray([0, 2**64 - 1, 2**63, 2**12 - 1], dtype=np.uint64)
    monkeypatch.setattr(randomness, "words", lambda *_: extremes)
    p = randomness.uniform(0, "parameters", 0, (2, 2))
    half = 2.0**-53  # half of the spacing 2^-52
    assert p.tolist() == [[half, 1.0 - half], [0.5 + half, half]]


def test_normals_are_exact_quantiles(monkeypatch):
    """Against mpmath at 60 digits, in every region of the algorithm and at its borders.

    AS 241 promises a relative accuracy of "about 1 part in 10^16"; with the rounding of some
    twenty operations on the way (each 1.1e-16, most of them damped) we allow 1e-15.
    """
    rng = np.random.default_rng(0)
    border = math.exp(-25.0)  # sqrt(-log p) = 5: the far tail begins
    p = np.concatenate(
        [
            rng.random(150),
            2.0 ** -rng.uniform(1, 53, 100),
            1.0 - 2.0 ** -rng.uniform(1, 53, 50),
            [2.0**-53, 1 - 2.0**-53, 0.5 + 2.0**-53, 0.5 - 2.0**-53, 0.075, 0.925],
            [0.075 - 1e-12, 0.925 + 1e-12, border, border * (1 - 1e-9), border * (1 + 1e-9)],
        ]
    )
    monkeypatch.setattr(randomness, "uniform", lambda *_: p)
    x = randomness.normal(0, "parameters", 0, p.shape)
    with mpmath.workdps(60):
        for probability, quantile in zip(p.tolist(), x.tolist(), strict=True):
            exact = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(probability) - 1)
            assert abs(quantile - exact) <= 1e-15 * abs(exact), probability


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_permutation_is_the_order_of_its_words(count):
    order, words = (f(5, "shuffle", 2, count) for f in (randomness.permutation, randomness.words))
    assert (order.dtype, order.tolist()) == (np.int64, np.argsort(words).tolist())


def test_words_that_differ_in_few_bits_are_in_order(monkeypatch):
    drawn = np.asarray([2**63 + 5, 7, 2**63 + 1, 7, 3], dtype=np.uint64)
    monkeypatch.setattr(randomness, "words", lambda *_: drawn.copy())
    assert randomness.permutation(0, "shuffle", 0, 5).tolist() == [4, 1, 3, 2, 0]


def test_streams_differ_by_seed_purpose_and_step():
    draws = {
        tuple(randomness.words(seed, purpose, step, 4).tolist())
        for seed in (0, 1)
        for purpose in ("parameters", "shuffle", "split")
        for step in (0, 1)
    }
    assert len(draws) == 12


def test_normals_have_the_recorded_bits():
    """Every coefficient counts to its last place: old seeds must give old results."""
    x = randomness.normal(0, "parameters", 0, (10_000,))
    digest = hashlib.sha256(x.astype("<f8").tobytes()).hexdigest()
    assert digest == "b7a53efb50076362ba220a69bd50785da68ad16261d20b934ec615441b58fa7b"

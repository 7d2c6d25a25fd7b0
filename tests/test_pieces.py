"""Pieces as text: names, parameters, lists, and the errors of what is neither."""

import pytest

from pluggable_mlp.pieces import parse_piece, parse_pieces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adam", [("adam", {})]),
        ("adam:beta1=0.95,epsilon=1e-7", [("adam", {"beta1": 0.95, "epsilon": 1e-7})]),
        ("sgd:momentum=0.9,nesterov=true", [("sgd", {"momentum": 0.9, "nesterov": True})]),
        ("step:every=100", [("step", {"every": 100})]),
        ("relu,tanh", [("relu", {}), ("tanh", {})]),
        ("leaky_relu:slope=0.2, elu:alpha=2,relu",
         [("leaky_relu", {"slope": 0.2}), ("elu", {"alpha": 2}), ("relu", {})]),
    ],
)  # fmt: skip
def test_names_and_parameters(text, expected):
    pieces = parse_pieces(text, "activation")
    assert pieces == expected
    assert repr(pieces) == repr(expected)  # an integer is not the float that equals it


@pytest.mark.parametrize("text", ["sgd:momentum", "sgd:=1", "momentum=0.9", "sgd:momentum=fast"])
def test_what_is_no_piece_is_refused_with_the_form(text):
    with pytest.raises(ValueError, match="optimizer is .*expected"):
        parse_piece(text, "optimizer")


def test_a_single_piece_is_not_two():
    with pytest.raises(ValueError, match="expected a single one"):
        parse_piece("adam,sgd", "optimizer")

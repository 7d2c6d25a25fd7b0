from pluggable_mlp.data.errors import DataError


def test_the_message_names_source_fault_and_remedy():
    error = DataError("x.csv", "is empty", "fill it")
    assert isinstance(error, ValueError)
    assert str(error) == "x.csv: is empty; fill it"

"""--micro-batch: what is trained, and that verify and --resume do the same."""

import json

TRAIN = ("--hidden", "6", "--batch-size", "256", "--arithmetic", "reproducible", "--epochs")


def test_micro_batches_are_recorded_resumed_and_verified(command, tmp_path):
    def trained(name, *options):
        result = command("train", *TRAIN, *options, "--output", tmp_path / name)
        assert result.code == 0, result.err
        config, summary = (
            json.loads((tmp_path / name / f"{file}.json").read_text())
            for file in ("config", "summary")
        )
        return config["settings"]["micro_batch"], summary["parameters_sha256"]

    assert trained("parts", "2", "--micro-batch", "100")[0] == 100
    assert command("verify", tmp_path / "parts").code == 0
    assert command("train", "--resume", tmp_path / "parts", "--epochs", "3").code == 0
    resumed = json.loads((tmp_path / "parts" / "summary.json").read_text())["parameters_sha256"]
    of_parts, of_whole = trained("three", "3", "--micro-batch", "100"), trained("whole", "3")
    assert of_parts == (100, resumed)
    assert of_whole[0] is None
    assert of_whole[1] != resumed  # their sums are rounded otherwise

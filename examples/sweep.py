"""24 networks in one training: rates, decays, dropout and seeds.

python -m pip install -e . && python examples/sweep.py
"""

from itertools import product

from pluggable_mlp import MLP, get_backend, load_dataset, sweep


def main() -> None:
    """Sweep over the digits, and print the best networks."""
    digits = load_dataset("digits")
    settings = [
        {"learning_rate": rate, "weight_decay": decay, "dropout": dropout, "seed": seed}
        for rate, decay, dropout, seed in product(
            (0.001, 0.003, 0.01), (0.0, 1e-4), (0.0, 0.2), (0, 1)
        )
    ]
    found = sweep(
        MLP([64, 50, 10], activation="relu"),
        digits.train.inputs,
        digits.train.targets,
        settings,
        backend=get_backend("numpy"),
        optimizer="adam",
        epochs=30,
        scale=digits.scale,
        validation=(digits.test.inputs, digits.test.targets),
        patience=3,
    )
    for network in sorted(found.networks, key=lambda network: network.loss)[:5]:
        print(
            f"{network.settings}: accuracy {network.scores['accuracy']:.3f} "
            f"after {network.epoch} epochs, ended by {network.ended}"
        )


if __name__ == "__main__":
    main()

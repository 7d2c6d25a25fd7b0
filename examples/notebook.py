"""The classic job: a hidden layer of 100 sigmoids learns to read digits, one example at a time.

The notebook that this project grew from, redone with the library: weights and biases from the
standard normal distribution, stochastic gradient descent with learning rate 0.01 and one example
a step, in order, in float64.  Ten epochs over MNIST take a few minutes.

    python -m pip install -e . && python examples/notebook.py --data mnist.pkl.gz
"""

import argparse
import math

from pluggable_mlp import (
    MLP,
    SGD,
    Backend,
    BackendUnavailable,
    DataError,
    Dataset,
    get_backend,
    load_dataset,
    train,
)

TRAINING_IMAGES = 50_000  # the first ones of MNIST's 60,000, as in the classic file
SHADES = " .:-=+*#%@"


def main() -> None:
    """Train, print the mean loss of each epoch, then read a digit that was not trained on."""
    backend, data, epochs = choices()
    images, labels = data.train.inputs[:TRAINING_IMAGES], data.train.targets[:TRAINING_IMAGES]
    print(f"{len(images):,} images of {images.shape[1]} pixels on {backend.name}:{backend.device}")
    mlp = MLP(
        [images.shape[1], 100, data.outputs],
        activation="sigmoid",
        loss="softmax_cross_entropy",
        initializer="standard_normal",
    )
    result = train(
        mlp,
        images,
        labels,
        scale=data.scale,
        backend=backend,
        optimizer=SGD(learning_rate=0.01),
        epochs=epochs,
        batch_size=1,
        shuffle=False,
        dtype="float64",
        seed=0,
        callbacks=[
            lambda epoch: print(
                f"epoch {epoch.epoch:2d}  mean loss {epoch.train_loss:.6f}  "
                f"{1e6 * epoch.seconds / len(images):.0f} microseconds per example",
                flush=True,
            )
        ],
    )

    pixels = data.test.inputs * (data.scale or 1.0)
    probabilities = backend.to_numpy(
        mlp.predict_proba(result.parameters, backend.asarray(pixels, dtype="float64"))
    )
    right = (probabilities.argmax(axis=1) == data.test.targets).mean()
    print(f"\n{right:.2%} of {len(pixels):,} test images are read as they should be; the first:\n")
    show(data, probabilities[0])


def choices() -> tuple[Backend, Dataset, int]:
    """Return the backend, the data and the number of epochs that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist", help="mnist, digits, or a path")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--backend", default="numpy", help="numpy, cupy, torch, jax, …")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs is {options.epochs}, expected an integer of at least 1")
    try:
        return get_backend(options.backend), load_dataset(options.data), options.epochs
    except (BackendUnavailable, DataError, ValueError) as error:
        parser.error(str(error))


def show(data: Dataset, probabilities) -> None:
    """Print the first test image, and the probability of each class for it."""
    image, side = data.test.inputs[0], math.isqrt(data.test.inputs.shape[1])
    darkness = (len(SHADES) - 1) * image.astype(float) / image.max()
    for row in darkness[: side * side].reshape(side, side):
        print("".join(2 * SHADES[round(value)] for value in row).rstrip())
    print(f"\nclass {probabilities.argmax()} (labelled {data.test.targets[0]}); probabilities:")
    print("  ".join(f"{k}: {p:.4f}" for k, p in enumerate(probabilities.tolist())))


if __name__ == "__main__":
    main()

"""A search over hidden sizes and one over `train`, on two processes of a Dask cluster.

python -m pip install -e '.[sklearn]' 'dask[distributed]' && python examples/dask_search.py
"""

import joblib
from dask.distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV

from pluggable_mlp import MLP, SGD, MLPClassifier, Training, get_backend, load_dataset, train


def trained(rate: float) -> Training:
    """Train on the digits, in a worker, with a learning rate."""
    digits = load_dataset("digits").train
    mlp, backend = MLP([64, 50, 10]), get_backend("numpy")
    inputs = digits.inputs / 16.0
    return train(mlp, inputs, digits.targets, backend=backend, optimizer=SGD(rate), epochs=5)


def main() -> None:
    """Search, and print what was found."""
    digits = load_dataset("digits").train
    classifier = MLPClassifier(early_stopping=True, random_state=0)
    search = GridSearchCV(classifier, {"hidden_layer_sizes": [(10,), (50,)]}, cv=3)
    rates = (0.1, 0.5, 2.0)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        joblib.parallel_config("dask"),
    ):
        search.fit(digits.inputs / 16.0, digits.targets)
        trainings = joblib.Parallel()(joblib.delayed(trained)(rate) for rate in rates)
    print(f"{search.best_params_}: accuracy {search.best_score_:.3f}")
    for rate, training in zip(rates, trainings, strict=True):
        print(f"rate {rate}: loss {training.history[-1]:.4f}")


if __name__ == "__main__":
    main()

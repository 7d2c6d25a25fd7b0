"""A search over hidden sizes, in two processes.

python -m pip install -e '.[sklearn]' && python examples/grid_search.py
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from pluggable_mlp import MLPClassifier


def main() -> None:
    """Search, and print the scores."""
    X, y = load_digits(return_X_y=True)
    classifier = MLPClassifier(early_stopping=True, random_state=0)
    search = GridSearchCV(
        classifier, {"hidden_layer_sizes": [(10,), (50,), (50, 50)]}, cv=3, n_jobs=2
    )
    search.fit(X / 16, y)
    for sizes, score in zip(
        search.cv_results_["param_hidden_layer_sizes"],
        search.cv_results_["mean_test_score"],
        strict=True,
    ):
        print(f"{sizes}: accuracy {score:.3f}")


if __name__ == "__main__":
    main()

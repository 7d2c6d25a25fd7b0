"""scikit-learn's example of classifiers, for its MLP: one import line is another.

python -m pip install -e '.[sklearn]' && python examples/classification.py
"""

from sklearn.datasets import make_circles, make_classification, make_moons
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pluggable_mlp import MLPClassifier  # was: from sklearn.neural_network import MLPClassifier

DATASETS = {
    "moons": make_moons(noise=0.3, random_state=0),
    "circles": make_circles(noise=0.2, factor=0.5, random_state=1),
    "linear": make_classification(
        n_features=2, n_redundant=0, n_informative=2, random_state=1, n_clusters_per_class=1
    ),
}


def main() -> None:
    """Fit and score each data set."""
    for name, (X, y) in DATASETS.items():
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
        classifier = MLPClassifier(alpha=1, max_iter=1000, random_state=42)
        pipeline = make_pipeline(StandardScaler(), classifier)
        print(f"{name}: accuracy {pipeline.fit(X_train, y_train).score(X_test, y_test):.3f}")


if __name__ == "__main__":
    main()

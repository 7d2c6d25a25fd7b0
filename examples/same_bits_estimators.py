"""The same fit on NumPy and on PyTorch, with the same bits.

python -m pip install -e '.[sklearn,torch]' && python examples/same_bits_estimators.py
"""

from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from pluggable_mlp import MLPClassifier


def main() -> None:
    """Fit on both, and print the hashes."""
    X, y = load_breast_cancer(return_X_y=True)
    for backend in ("numpy", "torch"):
        model = MLPClassifier(
            (16,), random_state=0, max_iter=5, backend=backend, arithmetic="reproducible", tol=0.0
        )
        print(f"{backend}: parameters {model.fit(scale(X), y).parameters_sha256_}")


if __name__ == "__main__":
    main()

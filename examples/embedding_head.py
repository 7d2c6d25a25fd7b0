"""A PyTorch embedding with a classifier as its head, in one pipeline, on one device.

    python -m pip install -e '.[sklearn,torch]' && python examples/embedding_head.py

The classifier follows its input: it trains and predicts with PyTorch on that device, and no array
passes through the host.  `DEVICE` may be "cuda".
"""

import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from pluggable_mlp import MLPClassifier

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Embedding(TransformerMixin, BaseEstimator):
    """A frozen network, here of random filters, in the place of a pretrained one."""

    def fit(self, images, targets=None):
        """Make the network."""
        torch.manual_seed(0)
        filters = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.network_ = torch.nn.Sequential(
            filters, torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten()
        ).to(DEVICE)
        return self

    def transform(self, images):
        """Return the features (images, 256) on the device."""
        with torch.no_grad():
            return self.network_(images.to(DEVICE))


def main() -> None:
    """Fit, and print where and how well."""
    images, labels = load_digits(return_X_y=True)
    images = torch.asarray(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    parts = train_test_split(images.numpy(), labels, random_state=0)
    X_train, X_test, y_train, y_test = map(torch.asarray, parts)
    pipeline = make_pipeline(Embedding(), MLPClassifier(max_iter=20, tol=1e-3, random_state=0))
    pipeline.fit(X_train, y_train.to(DEVICE))
    weights = pipeline[-1].coefs_[0]
    print(f"weights: {type(weights).__name__} on {weights.device}")
    print(f"accuracy {pipeline.score(X_test, y_test.to(DEVICE)):.3f}")


if __name__ == "__main__":
    main()

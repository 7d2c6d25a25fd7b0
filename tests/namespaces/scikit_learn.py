"""What of scikit-learn runs on the reproducible namespace, as a program: hashes of what it gives.

SCIPY_ARRAY_API must be 1 before SciPy is imported, hence a process of its own.  It prints JSON: by
name, the hashes on NumPy and PyTorch, or the kind of error.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from typing import Any

import array_api_compat.numpy
import array_api_compat.torch
import numpy as np
from sklearn import config_context, metrics
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import pairwise
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KernelCenterer,
    LabelBinarizer,
    LabelEncoder,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    StandardScaler,
)

from pluggable_mlp import reproducible, to_native

Program = Callable[[Any, Any, Any], Any]  # of inputs (200, 30), classes (200,) and numbers (200,)

TRANSFORMERS = (
    *(StandardScaler(), MinMaxScaler(), MaxAbsScaler(), Normalizer()),
    *(Binarizer(threshold=0.1), PolynomialFeatures(), PCA(3)),
)
REGRESSION = (
    *("mean_squared_error", "root_mean_squared_error", "mean_absolute_error"),
    *("median_absolute_error", "max_error", "mean_absolute_percentage_error"),
    *("mean_squared_log_error", "mean_pinball_loss", "mean_poisson_deviance"),
    *("mean_gamma_deviance", "d2_tweedie_score", "explained_variance_score", "r2_score"),
)
CLASSES = (
    *("accuracy_score", "balanced_accuracy_score", "f1_score", "precision_score"),
    *("recall_score", "jaccard_score", "hamming_loss", "zero_one_loss", "cohen_kappa_score"),
    "confusion_matrix",
)
PROBABILITIES = (
    *("log_loss", "brier_score_loss", "d2_log_loss_score", "d2_brier_score"),
    *("average_precision_score", "precision_recall_curve", "det_curve", "roc_curve"),
)
PAIRS = (
    *("euclidean_distances", "manhattan_distances", "cosine_distances", "cosine_similarity"),
    *("linear_kernel", "polynomial_kernel", "sigmoid_kernel", "rbf_kernel", "laplacian_kernel"),
    *("chi2_kernel", "additive_chi2_kernel", "paired_cosine_distances"),
    "paired_euclidean_distances",
)


def scaled(x: Any) -> Any:
    return StandardScaler().fit_transform(x)


def fitted(transformer: Any) -> Program:
    return lambda x, y, numbers: transformer.fit(x).transform(x)


PROGRAMS: dict[str, Program] = {
    **{type(one).__name__: fitted(one) for one in TRANSFORMERS},
    "KernelCenterer": lambda x, y, numbers: KernelCenterer().fit_transform(x @ x.T),
    "LabelEncoder": lambda x, y, numbers: LabelEncoder().fit_transform(y),
    "LabelBinarizer": lambda x, y, numbers: LabelBinarizer().fit_transform(y),
    "LogisticRegression": lambda x, y, numbers: (
        LogisticRegression().fit(scaled(x), y).predict_proba(scaled(x))
    ),
    "PoissonRegressor": lambda x, y, numbers: (
        PoissonRegressor().fit(scaled(x), numbers).predict(scaled(x))
    ),
    "Ridge": lambda x, y, numbers: Ridge().fit(x, numbers).predict(x),
    "LinearDiscriminantAnalysis": lambda x, y, numbers: (
        LinearDiscriminantAnalysis().fit(x, y).predict_proba(x)
    ),
    "GaussianNB": lambda x, y, numbers: GaussianNB().fit(x, y).predict_proba(x),
    **{
        f"GaussianMixture {kind}": lambda x, y, numbers, kind=kind: (
            GaussianMixture(2, covariance_type=kind, init_params="random", random_state=0)
            .fit(x)
            .predict_proba(x)
        )
        for kind in ("diag", "spherical", "tied", "full")
    },
    "make_pipeline": lambda x, y, numbers: (
        make_pipeline(MinMaxScaler(), GaussianNB()).fit(x, y).predict_proba(x)
    ),
    "cross_val_predict": lambda x, y, numbers: cross_val_predict(
        GaussianNB(), x, y, method="predict_proba"
    ),
    "GridSearchCV": lambda x, y, numbers: (
        GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}).fit(x, y).predict_proba(x)
    ),
    "train_test_split": lambda x, y, numbers: train_test_split(x, y, random_state=0),
    **{
        name: lambda x, y, numbers, name=name: getattr(metrics, name)(numbers, x[:, 0])
        for name in REGRESSION
    },
    **{
        name: lambda x, y, numbers, name=name: getattr(metrics, name)(y[:150], y[50:])
        for name in CLASSES
    },
    **{
        name: lambda x, y, numbers, name=name: getattr(metrics, name)(y, 1.0 / x[:, 0])
        for name in PROBABILITIES
    },
    **{
        name: lambda x, y, numbers, name=name: getattr(pairwise, name)(x, x + 1.0) for name in PAIRS
    },
}


def digest(result: Any) -> str:
    """Return the SHA-256 of a result: an array, a number, or several."""
    if isinstance(result, list | tuple):
        return " ".join(map(digest, result))
    native = to_native(result) if hasattr(result, "native") else result
    array = np.ascontiguousarray(np.asarray(native, dtype=np.float64))
    return hashlib.sha256(array.tobytes()).hexdigest()


def outcome(program: Program, xp: Any) -> str:
    """Return the hash of what a program gives on a namespace, or the kind of its error."""
    data = load_breast_cancer()
    x, y = data.data[:200], data.target[:200]
    numbers = 0.3 * x[:, 0] + x[:, 5]
    try:
        with config_context(array_api_dispatch=True):
            return digest(program(xp.asarray(x), xp.asarray(y), xp.asarray(numbers)))
    except Exception as error:
        return type(error).__name__


def main() -> None:
    """Print the outcomes of every program on every namespace."""
    warnings.simplefilter("ignore")
    namespaces = [*map(reproducible, (array_api_compat.numpy, array_api_compat.torch))]
    found = {
        name: [outcome(program, xp) for xp in namespaces] for name, program in PROGRAMS.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""Write scikit-learn's tables of breast cancer and diabetes as CSV, for the recipes on them.

python examples/recipes/tables.py
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes


def write(path: Path, data, targets) -> None:
    """Write a table with a header, the target in the last column."""
    rows = [
        ",".join([*map(repr, row), str(t)])
        for row, t in zip(data.data.tolist(), targets, strict=True)
    ]
    names = [name.replace(",", "") for name in data.feature_names]
    path.write_text("\n".join([",".join([*names, "target"]), *rows]) + "\n", "utf-8")


if __name__ == "__main__":
    cancer, diabetes = load_breast_cancer(), load_diabetes(scaled=False)
    write(Path("breast-cancer.csv"), cancer, np.asarray(cancer.target_names)[cancer.target])
    write(Path("diabetes.csv"), diabetes, diabetes.target.tolist())

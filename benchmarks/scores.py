"""Scores on tables: ours by recipe, scikit-learn's MLP, trees, a linear model, pytabkit, tabm.

    PLUGGABLE_MLP_DATA=FOLDER python benchmarks/scores.py --seeds 0 1 2 3 4 --output scores.jsonl
    python benchmarks/scores.py --table --output scores.jsonl

FOLDER/tables has adult-train, adult-test, diamonds, letter and penguins as .csv.gz; scikit-learn's
sets come with it.  A seed splits the data anew, the same for all; adult has the classic halves.
Others than ours get what their users give them: one-hot columns, medians, standardized numbers;
pytabkit, which is left out where it or Lightning is not installed, takes the columns as they are,
but for medians where numbers are missing.  The layers of the package tabm are trained on what our
recipe makes of the columns.
Each line of the output is a result, with the seconds of the processor that `fit` took; what is
there already is not computed again, so that a run may be stopped, and split by --data, --models and
--seeds over processes that write to the same file.
"""

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package

import numpy as np
import pandas as pd
import sklearn.datasets as known
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.data_folder import table_file
from benchmarks.score_table import results_of, score_table
from pluggable_mlp import TableClassifier, TableRegressor
from pluggable_mlp.training.recipes import NONE, RECIPES

TARGETS = {"adult": "income", "diamonds": "price", "letter": "class", "penguins": "species"}
REGRESSIONS = ("diamonds", "diabetes")
OURS = tuple(name for name in RECIPES if name != NONE)
PYTABKIT = {"pytabkit-td-s": "RealMLP_TD_S", "pytabkit-td": "RealMLP_TD"}
TABM = "tabm-package"
OTHERS: dict[str, tuple[Any, Any]] = {
    "mlp": (MLPClassifier, MLPRegressor),
    "linear": (lambda: LogisticRegression(max_iter=1000), Ridge),
    "trees": (HistGradientBoostingClassifier, HistGradientBoostingRegressor),
}
SETS = {
    "iris": known.load_iris,
    "wine": known.load_wine,
    "breast_cancer": known.load_breast_cancer,
    "digits": known.load_digits,
    "diabetes": known.load_diabetes,
}


def main() -> None:
    """Compute what is asked for, and append a line for each result."""
    options = _options()
    if options.table:
        print(score_table(results_of(options.output)))
        return
    for seed in options.seeds:
        for data in options.data:
            for model in options.models:
                # Read anew: another process may have been here.
                known_results = {
                    (found["data"], found["model"], found["seed"])
                    for found in results_of(options.output)
                }
                if (data, model, seed) in known_results:
                    continue
                try:
                    result = measure(data, model, seed)
                except ImportError as error:
                    print(f"{model} is left out: {error}", flush=True)
                    continue
                with options.output.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(json.dumps(result), flush=True)


def measure(data: str, model: str, seed: int) -> dict[str, Any]:
    """Return the score of a model: accuracy, or R² and the root of the mean squared error."""
    X, X_test, y, y_test = _split(data, seed)
    is_regression = data in REGRESSIONS
    estimator = _model(model, is_regression, seed)
    begin = time.process_time()  # other processes may run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
        seconds = time.process_time() - begin
        score = estimator.score(X_test, y_test)
        result = {"data": data, "model": model, "seed": seed, "score": score}
        if is_regression:
            result["rmse"] = float(np.sqrt(np.mean((estimator.predict(X_test) - y_test) ** 2)))
    return {**result, "seconds": seconds, "rows": len(X)}


def _split(data: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """Return X, X_test, y and y_test."""
    if data == "adult":
        train, test = (_read(f"adult-{part}") for part in ("train", "test"))
        target = TARGETS[data]
        return train.drop(columns=target), test.drop(columns=target), train[target], test[target]
    if data in TARGETS:
        table = _read(data)
        target = TARGETS[data]
        X, y = table.drop(columns=target), table[target]
    else:
        X, y = SETS[data](return_X_y=True, as_frame=True)
    stratify = None if data in REGRESSIONS else y
    return tuple(train_test_split(X, y, test_size=0.2, random_state=seed, stratify=stratify))


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(table_file(name))


def _model(name: str, is_regression: bool, seed: int) -> Any:
    """Return a model that takes the columns of a frame."""
    if name in OURS:
        return (TableRegressor if is_regression else TableClassifier)(name, random_state=seed)
    if name == TABM:
        from benchmarks.packages import TabM

        return TabM(is_regression, seed)
    if name in PYTABKIT:
        import pytabkit
        import torch

        kind = "Regressor" if is_regression else "Classifier"
        threads = torch.get_num_threads()  # it takes a thread for each processor otherwise
        network = getattr(pytabkit, f"{PYTABKIT[name]}_{kind}")(
            random_state=seed, device="cpu", n_threads=threads
        )
        filled = make_column_transformer(  # it refuses numbers that are missing
            (SimpleImputer(strategy="median"), make_column_selector(dtype_include=np.number)),
            remainder="passthrough",
            verbose_feature_names_out=False,
        )
        return make_pipeline(filled.set_output(transform="pandas"), network)
    model = OTHERS[name][is_regression]()
    if "random_state" in model.get_params():
        model.set_params(random_state=seed)
    texts = make_column_selector(dtype_exclude=np.number)
    numbers = make_column_selector(dtype_include=np.number)
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    filled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(make_column_transformer((filled, numbers), (one_hot, texts)), model)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    every = [*TARGETS, *SETS]
    parser.add_argument("--data", nargs="+", default=every, choices=every)
    models = [*OURS, *OTHERS, *PYTABKIT, TABM]
    parser.add_argument("--models", nargs="+", default=models, choices=models)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", type=Path, default=Path("scores.jsonl"))
    parser.add_argument("--table", action="store_true", help="show what the output has")
    return parser.parse_args()


if __name__ == "__main__":
    main()

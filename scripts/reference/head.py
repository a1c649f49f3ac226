"""Writes tests/reference/head.json: logistic regressions as scikit-learn has them.

python3 scripts/reference/head.py

Needs scikit-learn and numpy.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

# Our text, and scikit-learn's argument.
WEIGHTS = {"none": None, "auto": "balanced", "0=0.5,2=3": {0: 0.5, 1: 1, 2: 3}}
OUT = pathlib.Path(__file__).parents[2] / "tests/reference/head.json"


def case(rng, classes, count, width, penalty, class_weights="none"):
    """Features of very different scales, one of them constant. With class weights most images are of class 0."""
    labels = np.arange(count) % classes
    if class_weights != "none":
        labels = np.where(np.arange(count) % 5 < 3, 0, labels)
    centres = rng.normal(size=(classes, width))
    features = centres[labels] + 1.5 * rng.normal(size=(count, width))
    features = (features + 5) * 10.0 ** np.linspace(-4, 4, width)
    features[:, 1] = 3.25
    features = features.astype(np.float32).astype(np.float64)
    scaler = StandardScaler().fit(features)
    # With two classes scikit-learn has one vector w where ours has -w / 2 and w / 2: half the squared weights.
    c = 1 / penalty if classes > 2 else 2 / penalty
    model = LogisticRegression(C=c, tol=1e-10, max_iter=100_000, class_weight=WEIGHTS[class_weights])
    model.fit(scaler.transform(features), labels)
    weight = model.coef_ if classes > 2 else np.vstack([-model.coef_, model.coef_]) / 2
    bias = model.intercept_
    bias = bias if classes > 2 else np.concatenate([-bias, bias]) / 2
    return {
        "classes": classes,
        "penalty": penalty,
        "class_weights": class_weights,
        "features": features.tolist(),
        "labels": labels.tolist(),
        # Of standardised features.
        "weight": weight.tolist(),
        "bias": bias.tolist(),
        "probabilities": model.predict_proba(scaler.transform(features)).tolist(),
    }


def main():
    rng = np.random.default_rng(0)
    document = {
        "scikit-learn": sklearn.__version__,
        "cases": [
            case(rng, 3, 61, 9, 2.0),
            case(rng, 2, 40, 21, 0.1),
            case(rng, 4, 30, 5, 50.0),
            case(rng, 3, 59, 7, 1.5, "auto"),
            case(rng, 2, 42, 6, 0.7, "auto"),
            case(rng, 3, 50, 6, 3.0, "0=0.5,2=3"),
        ],
    }
    OUT.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()

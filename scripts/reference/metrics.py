"""Writes tests/reference/metrics.json: curves and scores as scikit-learn has them.

python3 scripts/reference/metrics.py

Needs scikit-learn, scipy and numpy.
"""

import json
import pathlib

import numpy as np
import sklearn
from scipy import optimize
from sklearn import metrics

OUT = pathlib.Path(__file__).parents[2] / "tests/reference/metrics.json"


def curves(rng, count, levels):
    """Two classes; scores rounded to `levels` steps, so that some are equal."""
    positive = rng.random(count) < 0.4
    positive[:2] = [True, False]
    scores = np.round((rng.random(count) + 0.5 * positive) * levels) / levels
    false_positive, true_positive, _ = metrics.roc_curve(
        positive, scores, drop_intermediate=False
    )
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    return {
        "scores": scores.tolist(),
        "positive": positive.tolist(),
        "roc": np.stack([false_positive, true_positive], 1).tolist(),
        "auc": metrics.roc_auc_score(positive, scores),
        # From the strictest threshold on, without the point (0, 1) that has no threshold.
        "precision_recall": np.stack([recall, precision], 1)[:-1][::-1].tolist(),
        "average_precision": metrics.average_precision_score(positive, scores),
    }


def scores(rng, count, classes):
    """Several classes; logits as a network has them."""
    labels = rng.integers(0, classes, count)
    labels[:classes] = np.arange(classes)
    logits = rng.normal(0, 2, (count, classes)).astype(np.float32)
    logits[np.arange(count), labels] += 1
    exact = logits.astype(np.float64)
    probs = np.exp(exact - exact.max(1, keepdims=True))
    probs /= probs.sum(1, keepdims=True)
    truth = np.eye(classes)[labels]
    confidence, right = probs.max(1), probs.argmax(1) == labels
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap
    return {
        "logits": [[float(value) for value in row] for row in logits],
        "labels": labels.tolist(),
        "log_loss": metrics.log_loss(labels, probs),
        "brier": float(((probs - truth) ** 2).sum(1).mean()),
        "calibration_error": float(error),
    }


def verification(rng, count, levels):
    """Pairs with a score; the equal error rate where the ROC's straight lines cross FNR = FPR."""
    same = rng.random(count) < 0.5
    same[:2] = [True, False]
    scores = np.round((rng.random(count) + 0.4 * same) * levels) / levels
    fpr, tpr, thresholds = metrics.roc_curve(same, scores, drop_intermediate=False)
    fnr = 1 - tpr
    rate = optimize.brentq(lambda x: 1 - x - np.interp(x, fpr, tpr), 0, 1, xtol=1e-14)
    # The first threshold accepts nothing.
    nearest = 1 + np.argmin(np.abs(fpr - fnr)[1:])
    return {
        "scores": scores.tolist(),
        "same": same.tolist(),
        "det": np.stack([fpr, fnr], 1).tolist(),
        "auc": metrics.roc_auc_score(same, scores),
        "equal_error_rate": rate,
        "equal_error_threshold": float(thresholds[nearest]),
        "accuracy": metrics.accuracy_score(same, scores >= thresholds[nearest]),
        "false_acceptance": [float(fpr[fnr <= most].min()) for most in (0.01, 0.1)],
    }


def main():
    rng = np.random.default_rng(7)
    reference = {
        "made_by": {"scikit-learn": sklearn.__version__},
        "curves": [curves(rng, 5, 4), curves(rng, 60, 8), curves(rng, 200, 1000)],
        "scores": [scores(rng, 40, 2), scores(rng, 60, 5)],
    }
    # Numbers of their own: the others stay as they are.
    rng = np.random.default_rng(11)
    cases = [(6, 4), (80, 20), (300, 1000)]
    reference["verification"] = [verification(rng, *case) for case in cases]
    OUT.write_text(json.dumps(reference) + "\n")


if __name__ == "__main__":
    main()

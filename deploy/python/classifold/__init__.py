"""Image classifiers of classifold, and other ONNX classifiers, from Python.

    >>> from classifold import Classifier
    >>> classifier = Classifier("model.onnx")
    >>> prediction = classifier.predict("bee.jpg")
    >>> prediction.label, prediction.probability
    ('bees', 0.998...)

The model file holds class names and preprocessing, so an image is a path, the bytes of a file, a PIL image or a numpy
array, and nothing is resized or normalised by hand. The package never downloads anything.
"""

import os

# Builds of ONNX Runtime from 1.29 on send telemetry unless this is set before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from .card import Card
from .classifier import Classifier, Prediction
from .encoder import Encoder
from .errors import ArgumentError, Error, ImageError, ModelError, RuntimeLibraryError
from .evaluation import Evaluation, evaluate
from .scorer import Scorer

__all__ = [
    "ArgumentError",
    "Card",
    "Classifier",
    "Encoder",
    "Error",
    "Evaluation",
    "ImageError",
    "ModelError",
    "Prediction",
    "RuntimeLibraryError",
    "Scorer",
    "evaluate",
]

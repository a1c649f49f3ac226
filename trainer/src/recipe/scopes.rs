//! Settings that only some trainings have, by their names.

/// Settings of the training loop, for which a classification layer at its minimum has no use.
pub(super) const LOOP_ONLY: [&str; 16] = [
    "epochs",
    "batch",
    "accumulate",
    "lr",
    "optimizer",
    "weight-decay",
    "momentum",
    "scheduler",
    "warmup",
    "clip-norm",
    "weight-average",
    "label-smoothing",
    "sampling",
    "early-stop",
    "save",
    "best-by",
];

/// Settings of the custom ResNet alone.
pub(super) const CUSTOM_ONLY: [&str; 5] = ["width", "cells", "growth", "cell", "size"];

/// Settings of a fine-tuning alone.
pub(super) const FINE_TUNE_ONLY: [&str; 5] = [
    "head-lr-factor",
    "first-lr-factor",
    "batch-norm",
    "tuned-share",
    "keep",
];

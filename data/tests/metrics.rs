//! Curves and scores against scikit-learn's (`scripts/reference/metrics.py`), to 1e-9.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use classifold_data::card::ScoreKind;
use classifold_data::metrics::{self, Binning, Det, ScoredPair, VerificationScores};
use classifold_data::{PairKind, Tally};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    curves: Vec<Curves>,
    scores: Vec<Scores>,
    verification: Vec<Verification>,
}

#[derive(Deserialize)]
struct Verification {
    scores: Vec<f64>,
    same: Vec<bool>,
    det: Vec<[f64; 2]>,
    auc: f64,
    equal_error_rate: f64,
    equal_error_threshold: f64,
    accuracy: f64,
    false_acceptance: [f64; 2],
}

#[derive(Deserialize)]
struct Curves {
    scores: Vec<f64>,
    positive: Vec<bool>,
    roc: Vec<[f64; 2]>,
    auc: f64,
    precision_recall: Vec<[f64; 2]>,
    average_precision: f64,
}

#[derive(Deserialize)]
struct Scores {
    logits: Vec<Vec<f32>>,
    labels: Vec<u32>,
    log_loss: f64,
    brier: f64,
    calibration_error: f64,
}

fn reference() -> Reference {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/reference/metrics.json"
    );
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

fn same(found: &[[f64; 2]], expected: &[[f64; 2]]) -> bool {
    let close = |(a, b): (&[f64; 2], &[f64; 2])| close(a[0], b[0]) && close(a[1], b[1]);
    found.len() == expected.len() && found.iter().zip(expected).all(close)
}

#[test]
fn curves_are_those_of_scikit_learn() {
    for case in reference().curves {
        let roc = metrics::roc(&case.scores, &case.positive).unwrap();
        assert!(same(&roc.points, &case.roc), "{:?}", roc.points);
        assert!(close(roc.area, case.auc), "{} {}", roc.area, case.auc);
        let curve = metrics::precision_recall(&case.scores, &case.positive).unwrap();
        // scikit-learn ends where every positive is found; ours continues to the last threshold.
        let points = &curve.points[..case.precision_recall.len()];
        assert!(same(points, &case.precision_recall), "{points:?}");
        assert!(close(curve.area, case.average_precision));
    }
}

#[test]
fn scores_are_those_of_scikit_learn() {
    for case in reference().scores {
        let images = || case.logits.iter().zip(&case.labels);
        let count = case.labels.len() as f64;
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / count;
        let loss = images().map(|(row, label)| metrics::negative_log_likelihood(row, *label));
        assert!(close(mean(loss.collect()), case.log_loss));
        let brier = images().map(|(row, label)| metrics::brier(&Tally::probabilities(row), *label));
        assert!(close(mean(brier.collect()), case.brier));
        let answers: Vec<(f64, bool)> = images()
            .map(|(row, &label)| {
                let probs = Tally::probabilities(row);
                let best = probs.iter().copied().fold(0.0, f64::max);
                (best, probs[label as usize] == best)
            })
            .collect();
        let bins = metrics::reliability(&answers, Binning::Width(15));
        let error = metrics::calibration_error(&bins);
        assert!(close(error, case.calibration_error), "{error}");
    }
}

#[test]
fn scores_of_pairs_are_those_of_scikit_learn() {
    for case in reference().verification {
        let det = Det::new(&case.scores, &case.same).unwrap();
        assert!(same(&det.points, &case.det), "{:?}", det.points);
        let pair = |(score, same): (&f64, &bool)| ScoredPair {
            score: *score,
            kind: match same {
                true => PairKind::Same,
                false => PairKind::Different,
            },
            identity: 0,
        };
        let pairs: Vec<ScoredPair> = case.scores.iter().zip(&case.same).map(pair).collect();
        let found =
            VerificationScores::new(&pairs, ScoreKind::Probability, case.equal_error_threshold)
                .unwrap();
        assert_eq!(found.equal_error_threshold, case.equal_error_threshold);
        for (found, expected) in [
            (found.auc, case.auc),
            (found.equal_error_rate, case.equal_error_rate),
            (found.accuracy, case.accuracy),
            (found.false_acceptance_at_1, case.false_acceptance[0]),
            (found.false_acceptance_at_10, case.false_acceptance[1]),
        ] {
            assert!(close(found, expected), "{found} {expected}");
        }
    }
}

//! Example findings with every figure, for tests of comparisons and reports. Measures nothing.

use std::collections::BTreeMap;

use data::PairKind;
use data::card::ScoreKind;
use data::metrics::{ScoredPair, VerificationScores};

use crate::accuracy::Accuracy;
use crate::cold::{ColdCosts, Memory};
use crate::findings::{BenchResult, Findings};
use crate::key::Key;
use crate::stages::StageTimes;
use crate::stats::{Block, Latency};
use crate::system::SystemInfo;
use crate::verification::Verification;

/// A result with every figure there is.
pub fn result(provider: &str, rate: f64, p50: f64) -> BenchResult {
    let block = Block {
        runs: 20,
        images_per_second: rate,
        mean_ms: Some(p50),
        p50_ms: Some(p50),
    };
    BenchResult {
        key: Key {
            model: "runs/1/model.onnx".to_owned(),
            provider: provider.to_owned(),
            precision: "fp32".to_owned(),
            batch: 1,
            feed: "host".to_owned(),
            streams: 1,
            threads: 2,
            scenario: "single-stream".to_owned(),
            rate: None,
        },
        runs: 200,
        images_per_second: rate,
        latency_ms: Latency {
            mean: Some(p50),
            p50: Some(p50),
            p90: Some(1.2 * p50),
            p95: Some(1.3 * p50),
            p99: None,
            p999: None,
            max: Some(2.0 * p50),
        },
        interval_95: BTreeMap::from([
            ("images_per_second".to_owned(), [0.98 * rate, 1.02 * rate]),
            ("p50".to_owned(), [0.99 * p50, 1.01 * p50]),
        ]),
        log_error: BTreeMap::from([
            ("images_per_second".to_owned(), 0.01),
            ("p50".to_owned(), 0.005),
        ]),
        cold_ms: ColdCosts {
            load: Some(11.0),
            session: 42.5,
            build: None,
            first_run: 7.25,
            new_shape: Some(9.0),
        },
        split_ms: StageTimes {
            decode: Some(2.1),
            preprocess: Some(1.1),
            host_to_device: None,
            compute: Some(p50),
            device_to_host: None,
            post: Some(0.0004),
        },
        memory: Memory {
            host_bytes: Some(120_000_000),
            device_bytes: None,
        },
        nodes_by_provider: BTreeMap::from([("cpu".to_owned(), 49)]),
        top1: Some(0.95),
        accuracy: Some(Accuracy {
            count: 20,
            correct: 19,
            interval: [0.764, 0.991],
            flips: Vec::new(),
            mcnemar: data::metrics::mcnemar(0, 0),
            max_logit_difference: Some(0.0),
        }),
        verification: None,
        blocks: vec![block; 10],
        quantiles_ms: (0..=100)
            .map(|percent| p50 * (0.9 + 0.002 * f64::from(percent)))
            .collect(),
    }
}

/// Scores of a verifier on four pairs, one of which it gets wrong.
pub fn verification() -> Verification {
    let pairs = [
        (0.9, PairKind::Same),
        (0.4, PairKind::Same),
        (0.45, PairKind::Forged),
        (0.1, PairKind::Different),
    ];
    let pairs = pairs.map(|(score, kind)| ScoredPair {
        score,
        kind,
        identity: 0,
    });
    let scores = VerificationScores::new(&pairs, ScoreKind::Probability, 0.5);
    Verification {
        scores: scores.expect("there are pairs of both answers"),
        compared: 4,
        max_score_difference: Some(1e-7),
    }
}

/// Findings of these results.
pub fn findings(results: Vec<BenchResult>) -> Findings {
    Findings {
        tool: "deploy 0.1.0".to_owned(),
        date: "2026-11-26T00:00:00Z".to_owned(),
        runtime: "1.28.0".to_owned(),
        machine: SystemInfo {
            system: "linux x86_64".to_owned(),
            processor: Some("A Processor".to_owned()),
            cores: 2,
            governor: None,
            ..SystemInfo::default()
        },
        seed: 0,
        partial: false,
        results,
        skipped: Vec::new(),
        pareto: Vec::new(),
        recommendation: None,
        warnings: Vec::new(),
        comparison: Vec::new(),
        peak_process_bytes: Some(300_000_000),
    }
}

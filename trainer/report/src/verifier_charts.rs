//! Charts of a verifier: detection error tradeoffs and distributions of scores.

use console::chart::{Axis, Mark, Plot, Scaling};
use data::PairKind;
use data::card::ScoreKind;
use data::metrics::{Det, VerificationScores};

use crate::pair_answers::PairAnswers;
use crate::verifier_contents::VerifierContents;

/// First percentages of an axis, the finest that has several pairs below it is taken.
const FIRST: [f64; 6] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
/// Last percentage of an axis, unless an equal error rate is above [`HIGH_ERROR`].
const LAST: f64 = 60.0;
const HIGH_ERROR: f64 = 0.3;
const LAST_OF_HIGH: f64 = 95.0;
/// Most bars of a distribution, and the pairs that one stands for at least.
const MOST_BINS: usize = 25;
const PAIRS_PER_BIN: usize = 8;

/// The kinds of pairs whose answer is `different`, with their names.
pub(crate) const OTHERS: [(PairKind, &str); 2] = [
    (PairKind::Forged, "forgeries"),
    (PairKind::Different, "other identities"),
];

/// A curve of a detection error tradeoff.
#[derive(Clone, Debug)]
pub(crate) struct Tradeoff {
    pub(crate) name: String,
    pub(crate) series: usize,
    pub(crate) is_dashed: bool,
    pub(crate) det: Det,
    /// Pairs of the rarer answer: no share is finer than one of them.
    pub(crate) rarer: usize,
}

impl Tradeoff {
    /// The curve of pairs against others of these kinds; none where pairs of one answer are missing.
    pub(crate) fn new(
        answers: &PairAnswers,
        others: &[PairKind],
        (name, series, is_dashed): (&str, usize, bool),
    ) -> Option<Self> {
        let count = |kind: &PairKind| answers.of(*kind).count();
        let num_others: usize = others.iter().map(count).sum();
        Some(Self {
            name: name.to_owned(),
            series,
            is_dashed,
            det: answers.det(others)?,
            rarer: num_others.min(count(&PairKind::Same)),
        })
    }

    /// The curve between the ends of both axes, in percent, with a point beyond either end.
    fn points(&self, [first, last]: [f64; 2]) -> Vec<[f64; 2]> {
        let points: Vec<[f64; 2]> = self
            .det
            .points
            .iter()
            .map(|point| point.map(|share| 100.0 * share))
            .collect();
        let is_inside = |point: &[f64; 2]| point.iter().all(|share| (first..=last).contains(share));
        let (Some(start), Some(end)) = (
            points.iter().position(is_inside),
            points.iter().rposition(is_inside),
        ) else {
            return Vec::new();
        };
        let shown = &points[start.saturating_sub(1)..(end + 2).min(points.len())];
        // A step has two ends; the points between them say nothing.
        let is_corner = |index: &usize| {
            let Some([before, here, after]) = shown.get(index.wrapping_sub(1)..index + 2) else {
                return true;
            };
            let is_along = |side: usize| before[side] == here[side] && here[side] == after[side];
            !is_along(0) && !is_along(1)
        };
        let corners = (0..shown.len()).filter(is_corner);
        corners.map(|index| shown[index]).collect()
    }
}

/// False rejection by false acceptance on axes of normal deviates, on which the curve of normally distributed scores is
/// a line: Martin et al. 1997, "The DET curve in assessment of detection task performance". `decisions` are the
/// errors `[false acceptance, false rejection]` at the threshold, with their names and series.
pub(crate) fn tradeoff(curves: &[Tradeoff], decisions: &[(String, usize, [f64; 2])]) -> Plot {
    let axis = ends(curves);
    let mut marks = vec![Mark::Guide {
        name: "equal errors".into(),
        from: [axis[0]; 2],
        to: [axis[1]; 2],
    }];
    marks.extend(curves.iter().map(|curve| Mark::Curve {
        name: curve.name.clone(),
        series: curve.series,
        is_dashed: curve.is_dashed,
        points: curve.points(axis),
    }));
    marks.extend(decisions.iter().map(|(name, series, errors)| Mark::Dots {
        name: name.clone(),
        label: String::new(),
        series: *series,
        points: vec![errors.map(|share| 100.0 * share)],
        is_ringed: true,
    }));
    let [first, last] = axis;
    let side = |label: &str| {
        Axis::new(label)
            .scaled(Scaling::NormalDeviate)
            .over(first, last)
    };
    Plot {
        title: "false rejection by false acceptance".into(),
        x: side("false acceptance (%)"),
        y: side("false rejection (%)"),
        marks,
        is_square: true,
        ..Plot::default()
    }
}

/// First and last percentage of both axes.
fn ends(curves: &[Tradeoff]) -> [f64; 2] {
    let rarer = curves.iter().map(|curve| curve.rarer).max().unwrap_or(0);
    let is_seen = |first: &&f64| **first * rarer as f64 >= 100.0;
    let first = FIRST.iter().find(is_seen).unwrap_or(&FIRST[5]);
    let rates = curves.iter().map(|curve| curve.det.equal_error().rate);
    let last = match rates.fold(0.0, f64::max) {
        rate if rate > HIGH_ERROR => LAST_OF_HIGH,
        _ => LAST,
    };
    [*first, last]
}

/// The curve of a run, or those of several with their names and a ring each for the errors at the file's threshold.
pub(crate) fn det(runs: &[(&str, &VerifierContents)]) -> Plot {
    if let [(_, verifier)] = runs
        && let (Some(summary), Some(answers)) = (&verifier.summary, &verifier.answers)
    {
        let split = summary.split.name();
        return of_splits(
            &summary.scores,
            split,
            answers,
            verifier.validation.as_ref(),
        );
    }
    let all = OTHERS.map(|(kind, _)| kind);
    let curves = runs
        .iter()
        .enumerate()
        .filter_map(|(series, (name, verifier))| {
            let answers = verifier.answers.as_ref()?;
            Tradeoff::new(answers, &all, (name, series, false))
        });
    let decisions = runs
        .iter()
        .enumerate()
        .filter_map(|(series, (_, verifier))| {
            let scores = &verifier.summary.as_ref()?.scores;
            let errors = [scores.false_acceptance, scores.false_rejection];
            Some((String::new(), series, errors))
        });
    tradeoff(&curves.collect::<Vec<_>>(), &decisions.collect::<Vec<_>>())
}

/// The curve of the final evaluation, that of validation, and the errors at the threshold.
pub(crate) fn of_splits(
    scores: &VerificationScores,
    split: &str,
    answers: &PairAnswers,
    validation: Option<&PairAnswers>,
) -> Plot {
    let all = OTHERS.map(|(kind, _)| kind);
    // Runs without a test are scored on validation.
    let validation = validation.filter(|_| split != data::Split::Val.name());
    let curves = [
        validation.and_then(|found| Tradeoff::new(found, &all, ("validation", 0, true))),
        Tradeoff::new(answers, &all, (split, 0, false)),
    ];
    let curves: Vec<Tradeoff> = curves.into_iter().flatten().collect();
    let threshold = format!("{split} at the threshold");
    let errors = [scores.false_acceptance, scores.false_rejection];
    tradeoff(&curves, &[(threshold, 0, errors)])
}

/// The curves against forgeries and against other identities; none where there are not both.
pub(crate) fn of_kinds(
    scores: &VerificationScores,
    split: &str,
    answers: &PairAnswers,
    validation: Option<&PairAnswers>,
) -> Option<Plot> {
    let (forged, different) = (scores.forged.as_ref()?, scores.different.as_ref()?);
    let validation = validation.filter(|_| split != data::Split::Val.name());
    let mut curves = vec![];
    for (series, (kind, name)) in (1..).zip(OTHERS) {
        let of_validation = format!("{name}, validation");
        curves.extend(validation.and_then(|found| {
            Tradeoff::new(found, &[kind], (of_validation.as_str(), series, true))
        }));
        curves.extend(Tradeoff::new(answers, &[kind], (name, series, false)));
    }
    let decisions: Vec<(String, usize, [f64; 2])> = (1..)
        .zip([forged, different])
        .map(|(series, against)| {
            let errors = [against.false_acceptance, scores.false_rejection];
            (String::new(), series, errors)
        })
        .collect();
    Some(tradeoff(&curves, &decisions))
}

/// Distributions of the scores of each kind of pairs, with the threshold.
pub(crate) fn distributions(answers: &PairAnswers, threshold: f64) -> Plot {
    let kinds = [
        (PairKind::Same, "same identity"),
        (PairKind::Forged, "forgeries"),
        (PairKind::Different, "other identities"),
    ];
    let largest = answers.rows.iter().map(|row| row.score).fold(0.0, f64::max);
    let (label, last) = match answers.score {
        ScoreKind::Probability => ("probability of the same identity", 1.0),
        ScoreKind::Distance => ("distance", largest.max(threshold).max(f64::MIN_POSITIVE)),
    };
    let bins = (answers.rows.len() / PAIRS_PER_BIN).clamp(4, MOST_BINS);
    let mut marks: Vec<Mark> = (0..)
        .zip(kinds)
        .filter_map(|(series, (kind, name))| {
            let scores: Vec<f64> = answers.of(kind).map(|row| row.score).collect();
            (!scores.is_empty()).then(|| Mark::Curve {
                name: name.into(),
                series,
                is_dashed: false,
                points: outline(&scores, last, bins),
            })
        })
        .collect();
    marks.push(Mark::Vertical {
        name: format!("threshold {threshold:.4}"),
        x: threshold,
    });
    Plot {
        title: "distribution of the scores".into(),
        x: Axis::new(label).over(0.0, last),
        y: Axis::new("pairs of the kind (%)"),
        marks,
        ..Plot::default()
    }
}

/// Outline of a histogram from 0 to `last`, in percent of the scores: bars of several kinds would cover each other.
fn outline(scores: &[f64], last: f64, bins: usize) -> Vec<[f64; 2]> {
    let mut counts = vec![0_usize; bins];
    for score in scores {
        let bin = (score / last * bins as f64).max(0.0) as usize;
        counts[bin.min(bins - 1)] += 1;
    }
    let edge = |bin: usize| last * bin as f64 / bins as f64;
    let mut points = vec![[0.0, 0.0]];
    for (bin, count) in counts.iter().enumerate() {
        let height = 100.0 * *count as f64 / scores.len() as f64;
        points.extend([[edge(bin), height], [edge(bin + 1), height]]);
    }
    points.push([last, 0.0]);
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair_answers::PairAnswer;

    fn answers(scores: &[(f64, PairKind)]) -> PairAnswers {
        let row = |(score, kind): &(f64, PairKind)| PairAnswer {
            path_a: "a".into(),
            path_b: "b".into(),
            kind: *kind,
            score: *score,
        };
        PairAnswers {
            score: ScoreKind::Probability,
            rows: scores.iter().map(row).collect(),
        }
    }

    /// So many of each answer, 10 % of which are beyond all of the other one.
    fn of_ten_percent(each: usize) -> PairAnswers {
        let score = |i: usize, is_same: bool| {
            let base = match (is_same, i < each / 10) {
                (true, false) => 0.7,
                (false, false) => 0.2,
                (true, true) => 0.05,
                (false, true) => 0.9,
            };
            base + 0.05 * i as f64 / each as f64
        };
        let rows = (0..each).flat_map(|i| {
            [
                (score(i, true), PairKind::Same),
                (score(i, false), PairKind::Different),
            ]
        });
        answers(&rows.collect::<Vec<_>>())
    }

    #[test]
    fn a_curve_passes_the_equal_error_rate_and_keeps_its_corners_alone() {
        let answers = of_ten_percent(200);
        let curve = Tradeoff::new(&answers, &[PairKind::Different], ("test", 0, false)).unwrap();
        assert!((curve.det.equal_error().rate - 0.1).abs() < 1e-12);
        assert_eq!(ends(std::slice::from_ref(&curve)), [0.5, 60.0]);
        let points = curve.points([0.5, 60.0]);
        // Down to the corner and on to the right, with a point beyond either end.
        let rounded: Vec<[f64; 2]> = points
            .iter()
            .map(|point| point.map(|share| (10.0 * share).round() / 10.0))
            .collect();
        assert_eq!(rounded, [[10.0, 60.5], [10.0, 10.0], [60.5, 10.0]]);
        // What is cut off lies beyond the ends of the axes.
        let few = Tradeoff { rarer: 30, ..curve };
        assert_eq!(ends(&[few]), [5.0, 60.0]);
        let perfect = answers_of_none_wrong();
        let perfect = Tradeoff::new(&perfect, &[PairKind::Different], ("test", 0, false)).unwrap();
        assert_eq!(perfect.points([5.0, 60.0]), Vec::<[f64; 2]>::new());
    }

    fn answers_of_none_wrong() -> PairAnswers {
        answers(&[(0.9, PairKind::Same), (0.1, PairKind::Different)])
    }

    #[test]
    fn forgeries_and_other_identities_are_apart_where_there_are_both() {
        let pairs = answers(&[
            (0.9, PairKind::Same),
            (0.4, PairKind::Same),
            (0.6, PairKind::Forged),
            (0.1, PairKind::Different),
        ]);
        let scored: Vec<data::metrics::ScoredPair> = pairs
            .rows
            .iter()
            .map(|row| data::metrics::ScoredPair {
                score: row.score,
                kind: row.kind,
                identity: 0,
            })
            .collect();
        let scores = |pairs: &[data::metrics::ScoredPair]| {
            VerificationScores::new(pairs, ScoreKind::Probability, 0.5).unwrap()
        };
        let plot = of_kinds(&scores(&scored), "test", &pairs, Some(&pairs)).unwrap();
        let names: Vec<&str> = plot
            .marks
            .iter()
            .filter_map(|mark| match mark {
                Mark::Curve { name, .. } => Some(name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(
            names,
            [
                "forgeries, validation",
                "forgeries",
                "other identities, validation",
                "other identities"
            ]
        );
        assert!(of_kinds(&scores(&scored[..3]), "test", &pairs, None).is_none());
        let decision = |plot: &Plot| match plot.marks.last() {
            Some(Mark::Dots { points, .. }) => points.clone(),
            other => panic!("{other:?}"),
        };
        let plot = of_splits(&scores(&scored), "test", &pairs, None);
        assert_eq!(decision(&plot), [[50.0, 50.0]]);
    }

    #[test]
    fn an_outline_has_every_score_once() {
        let points = outline(&[0.0, 0.3, 0.3, 1.0], 1.0, 4);
        let heights: Vec<f64> = points[1..points.len() - 1]
            .chunks_exact(2)
            .map(|bar| bar[0][1])
            .collect();
        assert_eq!(heights, [25.0, 50.0, 0.0, 25.0]);
        assert_eq!((points[0], points[9]), ([0.0, 0.0], [1.0, 0.0]));
        let plot = distributions(&answers_of_none_wrong(), 0.42);
        assert!(matches!(plot.marks.last(), Some(Mark::Vertical { x, .. }) if *x == 0.42));
        assert_eq!(plot.marks.len(), 3, "no curve of a kind without pairs");
    }
}

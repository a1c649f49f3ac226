//! The charts of one run or of several over each other.

use std::fmt;

use clap::ValueEnum;
use console::chart::{Axis, Chart, Mark, Matrix, Plot, Scaling};
use data::metrics;

use super::figures::{Figures, Ranking};
use super::record::Record;
use crate::train::EpochRow;

/// More runs than this are shown by their validation alone.
const MOST_WITH_TRAINING: usize = 3;
/// Rates further apart than this are shown by their logarithms.
const LINEAR_RANGE: f64 = 20.0;

/// What a chart is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Cross-entropy by epoch
    Loss,
    /// Accuracy by epoch
    Accuracy,
    /// Learning rate by epoch
    Lr,
    /// Images per second by epoch
    Rate,
    /// Which class was taken for which; a file for each run
    Confusion,
    /// Confidence against accuracy
    Reliability,
    /// False against true positive rate, of two classes
    Roc,
    /// Recall against precision, of two classes
    Pr,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// A run to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'a> {
    /// What the folder holds.
    pub record: &'a Record,
    /// What follows from its predictions.
    pub figures: Option<&'a Figures>,
}

impl<'a> Drawn<'a> {
    /// What follows from the predictions of each run.
    pub fn figures(records: &[Record]) -> Vec<Option<Figures>> {
        let answers = records.iter().map(|record| record.answers.as_ref());
        answers.map(|answers| Figures::new(answers?)).collect()
    }

    /// The runs, each with its figures.
    pub fn all(records: &'a [Record], figures: &'a [Option<Figures>]) -> Vec<Self> {
        let pairs = records.iter().zip(figures);
        pairs
            .map(|(record, figures)| Drawn {
                record,
                figures: figures.as_ref(),
            })
            .collect()
    }
}

/// The chart of a kind, of at least one run.
///
/// # Errors
/// The run that lacks what the chart shows, and what it lacks.
pub fn chart<'a>(kind: Kind, runs: &[Drawn<'a>]) -> Result<Chart, (&'a Record, &'static str)> {
    let epochs = matches!(kind, Kind::Loss | Kind::Accuracy | Kind::Lr | Kind::Rate);
    for Drawn { record, figures } in runs {
        let lacks = match kind {
            _ if epochs => record
                .epochs
                .is_empty()
                .then_some("it has no `metrics.csv`"),
            Kind::Confusion => match &record.summary {
                None => Some("it has no `summary.json`"),
                Some(summary) if summary.scores.classes.len() > Matrix::MOST_CLASSES => {
                    Some("it has more than 100 classes")
                }
                Some(_) => None,
            },
            _ if figures.is_none() => Some("it has no `predictions.csv`"),
            Kind::Roc | Kind::Pr => figures
                .and_then(|figures| figures.ranking.as_ref())
                .is_none()
                .then_some("it takes images of both of two classes"),
            _ => None,
        };
        if let Some(lacks) = lacks {
            return Err((record, lacks));
        }
    }
    Ok(match kind {
        Kind::Loss => loss(runs).into(),
        Kind::Accuracy => accuracy(runs).into(),
        Kind::Lr => rate_of_learning(runs).into(),
        Kind::Rate => rate(runs).into(),
        Kind::Confusion => confusion(runs[0].record).into(),
        Kind::Reliability => reliability(runs).into(),
        Kind::Roc => roc(runs).into(),
        Kind::Pr => precision_recall(runs).into(),
    })
}

fn loss(runs: &[Drawn<'_>]) -> Plot {
    by_epoch(
        runs,
        "cross-entropy (nats)",
        Some(&|row| row.train_loss),
        &|row| row.val_loss,
    )
}

fn accuracy(runs: &[Drawn<'_>]) -> Plot {
    by_epoch(
        runs,
        "accuracy (%)",
        Some(&|row| row.train_accuracy),
        &|row| row.val_accuracy,
    )
}

fn rate(runs: &[Drawn<'_>]) -> Plot {
    let mut plot = by_epoch(
        runs,
        "images per second",
        Some(&|row| row.train_images_per_second),
        &|row| row.val_images_per_second,
    );
    let values = plot.marks.iter().filter_map(|mark| match mark {
        Mark::Line { points, .. } => Some(points.iter().map(|point| point[1])),
        _ => None,
    });
    let [least, most] = range(values.flatten());
    plot.y = from_zero(plot.y, [least, most]);
    plot
}

/// An axis from zero on, or a logarithmic one where values are far apart.
fn from_zero(axis: Axis, [least, most]: [f64; 2]) -> Axis {
    if least > 0.0 && most > LINEAR_RANGE * least {
        return axis.scaled(Scaling::Log);
    }
    axis.over(0.0, if most > 0.0 { 1.15 * most } else { 1.0 })
}

/// The least above zero and the largest.
fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values
        .filter(|value| *value > 0.0)
        .fold([f64::INFINITY, 0.0], |[least, most]: [f64; 2], value| {
            [least.min(value), most.max(value)]
        })
}

fn rate_of_learning(runs: &[Drawn<'_>]) -> Plot {
    let mut plot = by_epoch(runs, "learning rate", None, &|row| row.lr);
    let rates = runs
        .iter()
        .flat_map(|run| &run.record.epochs)
        .map(|row| row.lr);
    plot.y = from_zero(plot.y, range(rates));
    plot
}

type Column<'a> = &'a dyn Fn(&EpochRow) -> f64;

/// Lines over the epochs; the exported epoch of a single run is marked.
fn by_epoch(runs: &[Drawn<'_>], label: &str, train: Option<Column<'_>>, val: Column<'_>) -> Plot {
    let alone = runs.len() == 1;
    let has_training = runs.len() <= MOST_WITH_TRAINING;
    let mut marks = vec![];
    for (place, Drawn { record, .. }) in runs.iter().enumerate() {
        let points = |of: Column<'_>| -> Vec<[f64; 2]> {
            let row = |row: &EpochRow| [row.epoch as f64, of(row)];
            record.epochs.iter().map(row).collect()
        };
        let name = |what: &str| match (alone, train.is_some()) {
            (true, true) => what.to_owned(),
            (true, false) => String::new(),
            (false, true) if has_training => format!("{}, {what}", record.name),
            (false, _) => record.name.clone(),
        };
        if let Some(summary) = record.summary.as_ref().filter(|_| alone && train.is_some()) {
            marks.push(Mark::Vertical {
                name: format!("exported: epoch {}", summary.epoch),
                x: summary.epoch as f64,
            });
        }
        if let Some(train) = train.filter(|_| has_training) {
            marks.push(Mark::Line {
                name: name("training"),
                series: if alone { 1 } else { place },
                is_dashed: true,
                points: points(train),
            });
        }
        marks.push(Mark::Line {
            name: name("validation"),
            series: place,
            is_dashed: false,
            points: points(val),
        });
    }
    Plot {
        title: format!("{label} by epoch"),
        x: Axis::new("epoch").scaled(Scaling::Whole),
        y: Axis::new(label),
        marks,
        ..Plot::default()
    }
}

/// Which class was taken for which; of a run without scores, nothing.
pub(super) fn confusion(record: &Record) -> Matrix {
    let scores = record.summary.as_ref().map(|summary| &summary.scores);
    Matrix {
        title: "confusion matrix".into(),
        classes: scores
            .map(|scores| scores.classes.clone())
            .unwrap_or_default(),
        counts: scores
            .map(|scores| scores.confusion.clone())
            .unwrap_or_default(),
    }
}

fn reliability(runs: &[Drawn<'_>]) -> Plot {
    let mut marks = vec![Mark::Guide {
        name: "as right as confident".into(),
        from: [0.0, 0.0],
        to: [100.0, 100.0],
    }];
    let mut least: f64 = 100.0;
    for (series, Drawn { record, figures }) in runs.iter().enumerate() {
        let bins = figures.iter().flat_map(|figures| &figures.bins);
        let points: Vec<([f64; 2], [f64; 2])> = bins
            .map(|bin| {
                let (low, high) = metrics::wilson(bin.correct, bin.count);
                let point = [bin.confidence, bin.accuracy].map(percent);
                (point, [low, high].map(percent))
            })
            .collect();
        least = points
            .iter()
            .fold(least, |least, (point, _)| least.min(point[0]));
        let name = if runs.len() == 1 {
            "answers, with 95 % interval".into()
        } else {
            record.name.clone()
        };
        marks.push(Mark::Points {
            name,
            series,
            points,
        });
    }
    // Nothing lies below 1/K.
    let first = (least / 10.0 - 1e-9).floor().max(0.0) * 10.0;
    if let [Mark::Guide { from, .. }, ..] = &mut marks[..] {
        *from = [first, first];
    }
    Plot {
        title: "confidence against accuracy".into(),
        x: Axis::new("probability of the answer (%)").over(first, 100.0),
        y: Axis::new("right answers (%)").over(0.0, 100.0),
        marks,
        is_square: true,
        ..Plot::default()
    }
}

fn roc(runs: &[Drawn<'_>]) -> Plot {
    let chance = Mark::Guide {
        name: "chance".into(),
        from: [0.0, 0.0],
        to: [100.0, 100.0],
    };
    let line = |ranking: &Ranking| ranking.roc.points.iter().map(|p| p.map(percent)).collect();
    let positive = positive(runs);
    ranked(
        runs,
        chance,
        [
            "false positive rate (%)".into(),
            format!("true positive rate (%); positive: {positive}"),
        ],
        &|ranking| (format!("AUC {:.3}", ranking.auc.value), line(ranking)),
    )
}

fn precision_recall(runs: &[Drawn<'_>]) -> Plot {
    let first = runs.first().and_then(|run| run.figures?.ranking.as_ref());
    let share = first.map_or(0.0, |ranking| percent(ranking.share));
    let chance = Mark::Guide {
        name: "chance".into(),
        from: [0.0, share],
        to: [100.0, share],
    };
    let positive = positive(runs);
    ranked(
        runs,
        chance,
        [
            "recall (%)".into(),
            format!("precision (%); positive: {positive}"),
        ],
        &|ranking| {
            let curve = &ranking.precision_recall;
            (
                format!("average precision {:.3}", curve.area),
                steps(&curve.points),
            )
        },
    )
}

fn positive(runs: &[Drawn<'_>]) -> String {
    let first = runs.first().and_then(|run| run.figures?.ranking.as_ref());
    first
        .map(|ranking| ranking.positive.clone())
        .unwrap_or_default()
}

/// Between two thresholds, precision does not rise: steps, not slopes.
fn steps(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut steps = vec![];
    let mut recall = 0.0;
    for point in points {
        steps.push([percent(recall), percent(point[1])]);
        steps.push(point.map(percent));
        recall = point[0];
    }
    steps
}

type Line<'a> = &'a dyn Fn(&Ranking) -> (String, Vec<[f64; 2]>);

fn ranked(runs: &[Drawn<'_>], chance: Mark, [x, y]: [String; 2], line: Line<'_>) -> Plot {
    let mut marks = vec![chance];
    for (series, Drawn { record, figures }) in runs.iter().enumerate() {
        let Some(ranking) = figures.and_then(|figures| figures.ranking.as_ref()) else {
            continue;
        };
        let (area, points) = line(ranking);
        let name = if runs.len() == 1 {
            area
        } else {
            format!("{}: {area}", record.name)
        };
        marks.push(Mark::Curve {
            name,
            series,
            points,
        });
    }
    Plot {
        title: format!("{y} by {x}"),
        x: Axis::new(x).over(0.0, 100.0),
        y: Axis::new(y).over(0.0, 100.0),
        marks,
        is_square: true,
        ..Plot::default()
    }
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

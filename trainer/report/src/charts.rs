//! Charts of one run, or of several runs over each other.

use std::fmt;
use std::str::FromStr;

use console::chart::{Axis, Chart, Mark, Matrix, Plot, Scaling};

use crate::error::{Error, Result};
use crate::probability_metrics::{ProbabilityMetrics, Ranking};
use crate::run_contents::RunContents;
use crate::run_files::EpochRow;
use crate::verifier_charts;

/// More runs than this are shown by their validation alone.
const MOST_WITH_TRAINING: usize = 3;
/// Rates further apart than this are shown by their logarithms.
const LINEAR_RANGE: f64 = 20.0;

/// Kind of chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChartKind {
    Loss,
    Accuracy,
    Lr,
    Rate,
    Confusion,
    Reliability,
    Roc,
    Pr,
    Det,
}

impl ChartKind {
    /// All kinds with their names and what they show, in the order of the help.
    pub const ALL: [(Self, &'static str, &'static str); 9] = [
        (Self::Loss, "loss", "Cross-entropy by epoch"),
        (Self::Accuracy, "accuracy", "Accuracy by epoch"),
        (Self::Lr, "lr", "Learning rate by epoch"),
        (Self::Rate, "rate", "Images, or pairs, per second by epoch"),
        (
            Self::Confusion,
            "confusion",
            "Confusion matrix; a file for each run",
        ),
        (
            Self::Reliability,
            "reliability",
            "Confidence against accuracy",
        ),
        (
            Self::Roc,
            "roc",
            "False against true positive rate, of two classes",
        ),
        (Self::Pr, "pr", "Recall against precision, of two classes"),
        (
            Self::Det,
            "det",
            "False acceptance against false rejection, of verifiers",
        ),
    ];
}

impl ChartKind {
    /// Whether it has a point for each epoch.
    pub(crate) fn is_by_epoch(self) -> bool {
        matches!(self, Self::Loss | Self::Accuracy | Self::Lr | Self::Rate)
    }
}

impl fmt::Display for ChartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = Self::ALL.iter().find(|(kind, ..)| kind == self);
        f.write_str(row.map_or("", |(_, name, _)| name))
    }
}

impl FromStr for ChartKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let row = Self::ALL.iter().find(|(_, name, _)| *name == text);
        row.map(|(kind, ..)| *kind)
            .ok_or_else(|| format!("`{text}` is no kind of chart"))
    }
}

/// A run with the metrics of its predictions.
#[derive(Clone, Debug)]
pub struct PlottedRun<'a> {
    pub(crate) run: &'a RunContents,
    /// None where the run has no predictions.
    pub(crate) metrics: Option<ProbabilityMetrics>,
}

impl<'a> PlottedRun<'a> {
    /// Computes the metrics of the run's predictions.
    pub fn new(run: &'a RunContents) -> Self {
        let metrics = run.answers.as_ref().and_then(ProbabilityMetrics::new);
        PlottedRun { run, metrics }
    }

    pub(crate) fn ranking(&self) -> Option<&Ranking> {
        self.metrics.as_ref()?.ranking.as_ref()
    }
}

/// The charts of a kind with names for their files: one of all runs, or one of each.
pub fn named_charts(kind: ChartKind, runs: &[PlottedRun<'_>]) -> Result<Vec<(String, Chart)>> {
    if kind != ChartKind::Confusion || runs.len() == 1 {
        return Ok(vec![(kind.to_string(), chart(kind, runs)?)]);
    }
    let names: Vec<String> = runs.iter().map(|run| run.run.folder_name()).collect();
    let charts = runs.iter().enumerate().map(|(index, run)| {
        let name = &names[index];
        // Runs of the same name in two folders would overwrite each other's file.
        let suffix = match names[..index].contains(name) {
            true => format!("-{}", index + 1),
            false => String::new(),
        };
        Ok((
            format!("{kind}-{name}{suffix}"),
            chart(kind, std::slice::from_ref(run))?,
        ))
    });
    charts.collect()
}

/// The chart of a kind, of at least one run.
///
/// # Errors
/// [`Error::NothingToPlot`] for the first run that lacks what the chart shows.
pub fn chart(kind: ChartKind, runs: &[PlottedRun<'_>]) -> Result<Chart> {
    for run in runs {
        if let Some(reason) = missing(kind, run) {
            return Err(Error::NothingToPlot {
                run: run.run.folder.clone(),
                kind: kind.to_string(),
                reason,
            });
        }
    }
    Ok(match kind {
        ChartKind::Loss => loss(runs).into(),
        ChartKind::Accuracy => accuracy(runs).into(),
        ChartKind::Lr => learning_rate(runs).into(),
        ChartKind::Rate => images_per_second(runs).into(),
        ChartKind::Confusion => confusion(runs[0].run).into(),
        ChartKind::Reliability => reliability(runs).into(),
        ChartKind::Roc => roc(runs).into(),
        ChartKind::Pr => precision_recall(runs).into(),
        ChartKind::Det => det(runs).into(),
    })
}

/// What a run lacks for a chart, if anything.
fn missing(kind: ChartKind, plotted: &PlottedRun<'_>) -> Option<&'static str> {
    let run = plotted.run;
    match (kind, &run.summary) {
        _ if kind.is_by_epoch() => run.epochs.is_empty().then_some("it has no `metrics.csv`"),
        (ChartKind::Det, _) => match &run.verifier {
            None => Some("it classifies images"),
            Some(verifier) if verifier.answers.is_none() => Some("it has no `predictions.csv`"),
            Some(_) => None,
        },
        _ if run.verifier.is_some() => Some("it compares pairs of images"),
        (ChartKind::Confusion, None) => Some("it has no `summary.json`"),
        (ChartKind::Confusion, Some(summary)) => {
            let is_large = summary.scores.classes.len() > Matrix::MOST_CLASSES;
            is_large.then_some("it has more than 100 classes")
        }
        _ if plotted.metrics.is_none() => Some("it has no `predictions.csv`"),
        (ChartKind::Roc | ChartKind::Pr, _) if plotted.ranking().is_none() => {
            Some("it takes images of both of two classes")
        }
        _ => None,
    }
}

fn loss(runs: &[PlottedRun<'_>]) -> Plot {
    let is_contrastive = runs.iter().any(|plotted| plotted.run.is_contrastive());
    let label = if is_contrastive {
        "loss"
    } else {
        "cross-entropy (nats)"
    };
    by_epoch(runs, label, Some(&|row| row.train_loss), &|row| {
        row.val_loss
    })
}

fn accuracy(runs: &[PlottedRun<'_>]) -> Plot {
    by_epoch(
        runs,
        "accuracy (%)",
        Some(&|row| row.train_accuracy),
        &|row| row.val_accuracy,
    )
}

fn images_per_second(runs: &[PlottedRun<'_>]) -> Plot {
    let examples = runs
        .first()
        .map_or("images", |plotted| plotted.run.examples());
    let mut plot = by_epoch(
        runs,
        &format!("{examples} per second"),
        Some(&|row| row.train_images_per_second),
        &|row| row.val_images_per_second,
    );
    let values = plot.marks.iter().filter_map(|mark| match mark {
        Mark::Line { points, .. } => Some(points.iter().map(|point| point[1])),
        _ => None,
    });
    let [least, most] = positive_range(values.flatten());
    plot.y = from_zero(plot.y, [least, most]);
    plot
}

/// An axis from zero on, or a logarithmic one where values are far apart.
fn from_zero(axis: Axis, [least, most]: [f64; 2]) -> Axis {
    if least > 0.0 && most > LINEAR_RANGE * least {
        return axis.scaled(Scaling::Log);
    }
    // 15 % of room above the highest line.
    axis.over(0.0, if most > 0.0 { 1.15 * most } else { 1.0 })
}

/// The least above zero and the largest.
fn positive_range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values
        .filter(|value| *value > 0.0)
        .fold([f64::INFINITY, 0.0], |[least, most]: [f64; 2], value| {
            [least.min(value), most.max(value)]
        })
}

fn learning_rate(runs: &[PlottedRun<'_>]) -> Plot {
    let mut plot = by_epoch(runs, "learning rate", None, &|row| row.lr);
    let rates = runs
        .iter()
        .flat_map(|plotted| &plotted.run.epochs)
        .map(|row| row.lr);
    plot.y = from_zero(plot.y, positive_range(rates));
    plot
}

type Column<'a> = &'a dyn Fn(&EpochRow) -> f64;

/// Lines over the epochs; the exported epoch of a single run is marked.
fn by_epoch(
    runs: &[PlottedRun<'_>],
    label: &str,
    train: Option<Column<'_>>,
    val: Column<'_>,
) -> Plot {
    let alone = runs.len() == 1;
    let has_training = runs.len() <= MOST_WITH_TRAINING;
    let mut marks = vec![];
    for (index, PlottedRun { run, .. }) in runs.iter().enumerate() {
        let points = |column: Column<'_>| -> Vec<[f64; 2]> {
            let row = |row: &EpochRow| [row.epoch as f64, column(row)];
            run.epochs.iter().map(row).collect()
        };
        let name = |what: &str| match (alone, train.is_some()) {
            (true, true) => what.to_owned(),
            (true, false) => String::new(),
            (false, true) if has_training => format!("{}, {what}", run.name),
            (false, _) => run.name.clone(),
        };
        if let Some(training) = run.training().filter(|_| alone && train.is_some()) {
            marks.push(Mark::Vertical {
                name: format!("exported: epoch {}", training.epoch),
                x: training.epoch as f64,
            });
        }
        // One run: a colour for training and one for validation. Several runs: a colour each, training dashed.
        if let Some(train) = train.filter(|_| has_training) {
            marks.push(Mark::Line {
                name: name("training"),
                series: if alone { 1 } else { index },
                is_dashed: true,
                points: points(train),
            });
        }
        marks.push(Mark::Line {
            name: name("validation"),
            series: index,
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

/// Confusion matrix; empty for a run without scores.
pub(crate) fn confusion(run: &RunContents) -> Matrix {
    let scores = run.summary.as_ref().map(|summary| &summary.scores);
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

fn reliability(runs: &[PlottedRun<'_>]) -> Plot {
    let mut marks = vec![Mark::Guide {
        name: "as right as confident".into(),
        from: [0.0, 0.0],
        to: [100.0, 100.0],
    }];
    let mut least: f64 = 100.0;
    for (series, PlottedRun { run, metrics }) in runs.iter().enumerate() {
        let bins = metrics.iter().flat_map(|metrics| &metrics.bins);
        let points: Vec<([f64; 2], [f64; 2])> = bins
            .map(|bin| {
                let (low, high) = data::metrics::wilson(bin.correct, bin.count);
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
            run.name.clone()
        };
        marks.push(Mark::Points {
            name,
            series,
            points,
        });
    }
    // The probability of the answer is at least 1/K: an axis from 0 would be half empty for two classes.
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

fn roc(runs: &[PlottedRun<'_>]) -> Plot {
    // A classifier without skill ranks at random: the diagonal.
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

fn precision_recall(runs: &[PlottedRun<'_>]) -> Plot {
    let first = runs.first().and_then(PlottedRun::ranking);
    // A classifier without skill has the share of positive images as its precision.
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

fn positive(runs: &[PlottedRun<'_>]) -> String {
    let first = runs.first().and_then(PlottedRun::ranking);
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

fn det(runs: &[PlottedRun<'_>]) -> Plot {
    let verifiers = runs.iter().filter_map(|plotted| {
        let verifier = plotted.run.verifier.as_ref()?;
        Some((plotted.run.name.as_str(), verifier))
    });
    verifier_charts::det(&verifiers.collect::<Vec<_>>())
}

type Line<'a> = &'a dyn Fn(&Ranking) -> (String, Vec<[f64; 2]>);

fn ranked(runs: &[PlottedRun<'_>], chance: Mark, [x, y]: [String; 2], line: Line<'_>) -> Plot {
    let mut marks = vec![chance];
    for (series, plotted) in runs.iter().enumerate() {
        let Some(ranking) = plotted.ranking() else {
            continue;
        };
        let (area, points) = line(ranking);
        let name = if runs.len() == 1 {
            area
        } else {
            format!("{}: {area}", plotted.run.name)
        };
        marks.push(Mark::Curve {
            name,
            series,
            is_dashed: false,
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

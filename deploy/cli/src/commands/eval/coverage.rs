//! The risk-coverage curve of `deploy eval`, and the choice of the least probability that is answered.

use console::Printer;
use data::metrics::{CoveragePoint, Selective};
use data::{Dataset, Split};
use deploy::Classifier;
use deploy::eval::{EvalOptions, Evaluation, evaluate};
use serde::Serialize;

use crate::cli::EvalArgs;
use crate::cli_error::CliError;

/// Shares of the images that the curve shows.
const SHARES: [f64; 6] = [1.0, 0.95, 0.9, 0.8, 0.7, 0.5];

/// A threshold that was chosen on validation images.
#[derive(Serialize)]
pub(super) struct Chosen {
    target_accuracy: f64,
    /// On the images that it was chosen on.
    val: CoveragePoint,
    /// On the images that are scored.
    scored: CoveragePoint,
}

/// The answers of an evaluation.
pub(super) fn selective(evaluation: &Evaluation) -> Selective {
    let answers = evaluation.predictions.iter();
    // In the precision of `Prediction::probability`, which the threshold is compared with.
    Selective::new(answers.map(|p| (p.probability as f32, p.predicted == p.label)))
}

pub(super) fn curve(evaluation: &Evaluation) -> Vec<CoveragePoint> {
    let selective = selective(evaluation);
    let mut points: Vec<_> = SHARES.map(|share| selective.at_coverage(share)).into();
    points.dedup();
    points
}

/// Chooses the threshold on the validation images, and measures it on those of `evaluation`.
pub(super) fn choose(
    (classifier, dataset): (&Classifier, &Dataset),
    evaluation: &Evaluation,
    (target_accuracy, args): (f64, &EvalArgs),
    printer: &Printer,
) -> anyhow::Result<Chosen> {
    let samples = dataset.samples(Split::Val);
    if samples.is_empty() || args.split == Split::Val {
        let message = "a threshold is chosen on validation images and measured on others";
        let hint = match args.split {
            Split::Val => "leave `--split val` out",
            _ => "give data with a validation split, or leave `--target-accuracy` out",
        };
        return Err(CliError::with_hint(message, hint).into());
    }
    let progress = printer.image_bar("validation", samples.len() as u64);
    let options = EvalOptions {
        batch: classifier.preferred_batch(),
        threads: args.machine.threads.map(usize::from),
        strict: args.strict_images,
        progress: &|done| progress.set_position(done as u64),
    };
    let validation = evaluate(classifier, samples, &dataset.classes, &options);
    progress.finish_and_clear();
    let val = selective(&validation?).threshold(target_accuracy);
    let val = val.ok_or_else(|| {
        CliError::with_hint(
            format!(
                "even the surest answers to validation images are not right in {:.1} % of cases",
                100.0 * target_accuracy
            ),
            "choose a lower `--target-accuracy`, or train a better model",
        )
    })?;
    Ok(Chosen {
        target_accuracy,
        val,
        scored: selective(evaluation).at(val.threshold),
    })
}

/// The curve as a table.
pub(super) fn table(points: &[CoveragePoint]) -> String {
    let mut lines = vec!["answered   accuracy  95 % interval    from probability".to_owned()];
    for point in points {
        let [low, high] = point.interval.map(|share| 100.0 * share);
        let accuracy = 100.0 * point.accuracy.unwrap_or(0.0);
        lines.push(format!(
            "{:6.1} %   {accuracy:6.2} %  {:<15}  {:.4}",
            100.0 * point.coverage,
            format!("{low:.1} to {high:.1} %"),
            point.threshold
        ));
    }
    lines.join("\n")
}

/// What was chosen, what it gives, and how to keep it.
pub(super) fn text(chosen: &Chosen, split: Split, path: &std::path::Path) -> String {
    let point = |point: &CoveragePoint| match point.accuracy {
        Some(accuracy) => {
            let [low, high] = point.interval.map(|share| 100.0 * share);
            format!(
                "{:.1} % of the images answered, {:.2} % of the answers right (95 % interval {low:.1} to {high:.1} %)",
                100.0 * point.coverage,
                100.0 * accuracy
            )
        }
        None => "nothing answered".to_owned(),
    };
    let threshold = chosen.val.threshold;
    format!(
        "for {:.1} % right answers: probability {threshold} or more, \"unknown\" below\n  val:  {}\n  {split}: {}\n\
         keep it: deploy card attach {} --from {} --reject {threshold}",
        100.0 * chosen.target_accuracy,
        point(&chosen.val),
        point(&chosen.scored),
        path.display(),
        path.display()
    )
}

//! Scores of every configuration: a classifier's beside fp32 on the CPU, a verifier's beside its encoder. Measures no run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bench::accuracy::{self, Accuracy};
use bench::cold::OpenedConfig;
use bench::plan::Plan;
use bench::verification::{self, Verification};
use console::Printer;
use deploy::eval::Evaluation;
use deploy::{Precision, Provider};

use super::open::{self, OpenedConfigs};
use crate::source;

/// Scores of a configuration, of one kind at most.
#[derive(Clone, Debug, Default)]
pub(super) struct ConfigScores {
    pub(super) accuracy: Option<Accuracy>,
    pub(super) verification: Option<Verification>,
}

/// The scores of every configuration; none of those after an interruption.
///
/// # Errors
/// A model or its images cannot be scored.
pub(super) fn scores(
    plan: &Plan,
    open: &mut OpenedConfigs<'_>,
    stop: &Arc<AtomicBool>,
    printer: &Printer,
) -> anyhow::Result<Vec<ConfigScores>> {
    let verifications = verifications(plan, open, stop, printer)?;
    let accuracies = accuracies(plan, open, stop, printer)?;
    let both = accuracies.into_iter().zip(verifications);
    Ok(both
        .map(|(accuracy, verification)| ConfigScores {
            accuracy,
            verification,
        })
        .collect())
}

/// Scores each verifier once, and compares the sessions that were timed with that.
fn verifications(
    plan: &Plan,
    open: &OpenedConfigs<'_>,
    stop: &AtomicBool,
    printer: &Printer,
) -> anyhow::Result<Vec<Option<Verification>>> {
    let mut found = vec![None; open.configs.len()];
    for (index, model) in plan.models.iter().enumerate() {
        let (Some(data), Some(preprocess)) = (&model.pairs, &model.preprocess) else {
            continue;
        };
        if stop.load(Ordering::SeqCst) {
            break;
        }
        printer.log(format!("scoring {}", model.file.path().display()));
        let evaluation = verification::evaluate(model, data)?;
        source::warn_unreadable(&evaluation.unreadable, printer);
        for (opened, found) in open.configs.iter().zip(&mut found) {
            if opened.config.model == index {
                let worker = &opened.sessions.workers[0];
                let verification = verification::compare(worker, data, preprocess, &evaluation)?;
                *found = Some(verification);
            }
        }
    }
    Ok(found)
}

/// Scores every configuration and compares it with fp32 on the CPU; `None` after an interruption.
fn accuracies(
    plan: &Plan,
    open: &mut OpenedConfigs<'_>,
    stop: &Arc<AtomicBool>,
    printer: &Printer,
) -> anyhow::Result<Vec<Option<Accuracy>>> {
    let mut found: Vec<Option<Evaluation>> = Vec::new();
    let score = |opened: &OpenedConfig| -> anyhow::Result<Option<Evaluation>> {
        let model = plan.model(&opened.config);
        let Some(data) = model.data.as_ref().filter(|_| !stop.load(Ordering::SeqCst)) else {
            return Ok(None);
        };
        let worker = &opened.sessions.workers[0];
        match accuracy::evaluate_worker(worker, model, data, stop) {
            Ok(evaluation) => Ok(Some(evaluation)),
            Err(_) if stop.load(Ordering::SeqCst) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    for opened in &open.configs {
        if plan.model(&opened.config).data.is_some() {
            printer.log(format!("scoring {}", plan.key(&opened.config)));
        }
        found.push(score(opened)?);
    }
    let mut accuracies = vec![None; open.configs.len()];
    for model in 0..plan.models.len() {
        let is_of_model = |index: &usize| open.configs[*index].config.model == model;
        let indices: Vec<usize> = (0..open.configs.len()).filter(is_of_model).collect();
        let is_reference = |index: &usize| {
            let config = &open.configs[*index].config;
            let own = Precision::Fp32.in_file(plan.model(config).contents.precision);
            (config.provider, config.precision) == (Provider::Cpu, own)
        };
        let other;
        let reference = match indices.iter().copied().find(is_reference) {
            Some(index) => &found[index],
            None => {
                let first = indices
                    .first()
                    .map(|index| open.configs[*index].config.clone());
                let Some(first) = first else {
                    continue;
                };
                other = score(&open::reference(&mut open.opener, &first)?)?;
                &other
            }
        };
        for index in indices {
            accuracies[index] = found[index]
                .as_ref()
                .zip(reference.as_ref())
                .map(|(found, reference)| accuracy::compare(found, reference));
        }
    }
    // Every configuration reads the same files.
    if let Some(evaluation) = found.iter().flatten().next() {
        source::warn_unreadable(&evaluation.unreadable, printer);
    }
    Ok(accuracies)
}

//! Sections of a verifier's run: how well it tells pairs of the same identity from others.

pub(crate) mod answers;
pub(crate) mod charts;
mod errors;
mod headline;
mod scores;

use std::path::Path;

use console::page;
use data::run_files as files;
use maud::Markup;

use crate::run_contents::{RunContents, if_any, json, note};
use crate::run_files::PairSummary;
use crate::thumbnails::Thumbnails;
use answers::PairAnswers;

/// What a verifier's run folder has in place of a classifier's scores and predictions.
#[derive(Debug)]
pub(crate) struct VerifierContents {
    pub(crate) summary: Option<PairSummary>,
    /// Of the final evaluation.
    pub(crate) answers: Option<PairAnswers>,
    /// Of the validation pairs, which chose the threshold. Earlier versions did not write them.
    pub(crate) validation: Option<PairAnswers>,
}

impl VerifierContents {
    /// Reads a run folder; what cannot be understood goes to `notes`.
    pub(crate) fn open(folder: &Path, notes: &mut Vec<String>) -> Self {
        let mut answers = |name: &str| note(notes, if_any(&folder.join(name), PairAnswers::open));
        Self {
            answers: answers(files::PREDICTIONS),
            validation: answers(files::VAL_PREDICTIONS),
            summary: note(notes, json(&folder.join(files::SUMMARY))),
        }
    }
}

/// The first screen.
pub(crate) fn headline(run: &RunContents, verifier: &VerifierContents) -> Markup {
    headline::section(run, verifier)
}

/// What the scores of pairs are; none where the run was not scored.
pub(crate) fn scores(verifier: &VerifierContents) -> Option<Markup> {
    let (summary, answers) = (verifier.summary.as_ref()?, verifier.answers.as_ref()?);
    let body = scores::body(summary, answers, verifier.validation.as_ref());
    let lead = "The threshold decides: what lies on its wrong side is an error.";
    Some(page::section("scores", "The scores", lead, &body))
}

/// The worst errors; none where the run was not scored.
pub(crate) fn errors(verifier: &VerifierContents, thumbnails: &Thumbnails) -> Option<Markup> {
    let (summary, answers) = (verifier.summary.as_ref()?, verifier.answers.as_ref()?);
    Some(errors::section(summary, answers, thumbnails))
}

//! Scores and predictions in a verifier's run folder. It draws nothing.

use std::path::Path;

use data::run_files as files;

use crate::pair_answers::PairAnswers;
use crate::reading::{if_any, json, note};
use crate::run_files::{PairFolds, PairSeeds, PairSummary};

/// What a verifier's run folder has in place of a classifier's scores and predictions.
#[derive(Debug)]
pub(crate) struct VerifierContents {
    pub(crate) summary: Option<PairSummary>,
    /// Of the final evaluation.
    pub(crate) answers: Option<PairAnswers>,
    /// Of the validation pairs, which chose the threshold. Earlier versions did not write them.
    pub(crate) validation: Option<PairAnswers>,
    /// Scores of held-out identities.
    pub(crate) folds: Option<PairFolds>,
    /// Scores of other seeds.
    pub(crate) seeds: Option<PairSeeds>,
}

impl VerifierContents {
    /// Reads a run folder; what cannot be understood goes to `notes`.
    pub(crate) fn open(folder: &Path, notes: &mut Vec<String>) -> Self {
        let mut answers = |name: &str| note(notes, if_any(&folder.join(name), PairAnswers::open));
        Self {
            answers: answers(files::PREDICTIONS),
            validation: answers(files::VAL_PREDICTIONS),
            summary: note(notes, json(&folder.join(files::SUMMARY))),
            folds: note(notes, json(&folder.join(files::FOLDS))),
            seeds: note(notes, json(&folder.join(files::SEEDS))),
        }
    }
}

//! Sections of a verifier's run: how well it tells pairs of the same identity from others.

mod comparison;
mod errors;
mod headline;
mod paired;
mod scores;
mod stability;

use console::page;
use maud::Markup;

use crate::run_contents::RunContents;
use crate::thumbnails::Thumbnails;
use crate::verifier_contents::VerifierContents;

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

/// Scores of held-out identities and of other seeds; none where there are neither.
pub(crate) fn stability(verifier: &VerifierContents, thumbnails: &Thumbnails) -> Option<Markup> {
    stability::section(verifier, thumbnails)
}

/// The page of several runs, all of them verifiers'.
pub(crate) fn comparison(runs: &[RunContents], thumbnails: &Thumbnails) -> Markup {
    comparison::body(runs, thumbnails)
}

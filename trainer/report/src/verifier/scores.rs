//! Section "The scores": their distributions, and the errors against each kind of other pairs.

use console::page;
use maud::{Markup, html};

use crate::pair_answers::PairAnswers;
use crate::run_files::PairSummary;
use crate::verifier_charts;

pub(super) fn body(
    summary: &PairSummary,
    answers: &PairAnswers,
    validation: Option<&PairAnswers>,
) -> Markup {
    let (scores, split) = (&summary.scores, summary.split.name());
    let distributions = verifier_charts::distributions(answers, scores.threshold);
    let caption = "Each outline is a histogram of the pairs of a kind, in percent of these.";
    let kinds = verifier_charts::of_kinds(scores, split, answers, validation);
    let of_kinds = "The rings are the errors at the threshold, which is one for both.";
    html! {
        div.grid {
            (page::figure(&distributions.into(), &format!("Distribution, {split} pairs"), caption))
            @if let Some(kinds) = kinds {
                (page::figure(&kinds.into(), "Forgeries and other identities", of_kinds))
            }
        }
    }
}

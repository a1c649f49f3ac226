//! Head of a verifier's page: the equal error rate with its interval, the errors at the threshold, and their tradeoff.

use console::numbers::{percent, percents, thousands};
use console::page;
use data::metrics::{Against, VerificationScores};
use maud::{Markup, html};

use crate::headline::{Strip, common_facts, head, verified};
use crate::run_contents::RunContents;
use crate::run_files::PairSummary;
use crate::verifier_charts;
use crate::verifier_contents::VerifierContents;

/// Equal error rate of scores that say nothing.
const CHANCE: f64 = 0.5;

pub(super) fn section(run: &RunContents, verifier: &VerifierContents) -> Markup {
    html! {
        (head(run))
        @match &verifier.summary {
            Some(summary) => (scored(run, verifier, summary)),
            None => {
                section.hero {
                    p.verdict { "This run was not scored: it has no " code { "summary.json" } "." }
                }
            }
        }
    }
}

fn scored(run: &RunContents, verifier: &VerifierContents, summary: &PairSummary) -> Markup {
    let scores = &summary.scores;
    let strip = Strip {
        name: "equal error rate",
        value: scores.equal_error_rate,
        interval: scores.equal_error_interval,
        baseline: ("guessing", CHANCE),
    };
    let split = summary.split.name();
    html! {
        section.hero {
            div.grid {
                div {
                    p.big {
                        (percent(scores.equal_error_rate, 1)) " "
                        small { "equal error rate" }
                    }
                    p.verdict { (verdict(scores, split)) }
                    @if let Some(warning) = summary.training.warning() {
                        p.verdict { span.bad { "Fine-tuning: " } (warning) "." }
                    }
                    (strip.draw())
                    (page::facts(&facts(summary)))
                    (verified(run, "scores"))
                }
                div {
                    @if let Some(answers) = &verifier.answers {
                        @let plot = verifier_charts::of_splits(scores, split, answers, verifier.validation.as_ref());
                        (page::figure(&plot.into(), "Detection error tradeoff", CAPTION))
                    }
                    (by_kind(scores))
                }
            }
        }
    }
}

const CAPTION: &str = "Every threshold is a point of the curve: how many others it accepts, and how many of the same \
                       identity it rejects. The ring is the threshold in the file. Normal deviate axes.";

fn verdict(scores: &VerificationScores, split: &str) -> Markup {
    html! {
        "Of " (thousands(scores.count)) " " (split) " pairs, as large a share of the same identity can be rejected as of others \
         accepted. "
        @match scores.equal_error_interval {
            Some([low, high]) => {
                "The true rate lies between "
                strong { (format!("{:.1} and {:.1} %", 100.0 * low, 100.0 * high)) }
                " (95 %, bootstrap over " (scores.num_identities) " identities). "
                @if high < CHANCE {
                    span.good { "Better" }
                } @else if low > CHANCE {
                    span.bad { "Worse" }
                } @else {
                    span.bad { "Not shown to be better" }
                }
                " than guessing, which has 50 %."
            },
            None => {
                span.bad { "No interval: " }
                "that takes " (VerificationScores::LEAST_IDENTITIES) " identities, and these pairs are of "
                (scores.num_identities) "."
            },
        }
    }
}

fn facts(summary: &PairSummary) -> Vec<(&'static str, String)> {
    let scores = &summary.scores;
    let area_interval = match scores.auc_interval {
        Some([low, high]) => format!(" ({low:.3} to {high:.3})"),
        None => String::new(),
    };
    let mut facts = vec![
        (
            "area under ROC",
            format!("{:.3}{area_interval}", scores.auc),
        ),
        (
            "threshold in the file",
            format!("{} {:.4}", scores.score.name(), scores.threshold),
        ),
        (
            "threshold of equal errors here",
            format!("{:.4}", scores.equal_error_threshold),
        ),
        (
            "right at the file's threshold",
            format!(
                "{} ({})",
                percent(scores.accuracy, 1),
                percents(scores.interval)
            ),
        ),
        (
            "same identity, rejected",
            percent(scores.false_rejection, 1),
        ),
        ("others, accepted", percent(scores.false_acceptance, 1)),
        (
            "others accepted where 1 % are rejected",
            percent(scores.false_acceptance_at_1, 1),
        ),
        (
            "others accepted where 10 % are rejected",
            percent(scores.false_acceptance_at_10, 1),
        ),
    ];
    facts.extend(common_facts(&summary.training));
    facts
}

/// Forgeries and other identities apart.
fn by_kind(scores: &VerificationScores) -> Markup {
    let row = |name: &str, against: &Against| {
        vec![
            name.to_owned(),
            thousands(against.count),
            format!("{:.3}", against.auc),
            percent(against.equal_error_rate, 1),
            percent(against.false_acceptance, 1),
        ]
    };
    let all = Against {
        count: scores.count - scores.num_same,
        auc: scores.auc,
        equal_error_rate: scores.equal_error_rate,
        false_acceptance: scores.false_acceptance,
    };
    let kinds = [
        (verifier_charts::OTHERS[0].1, &scores.forged),
        (verifier_charts::OTHERS[1].1, &scores.different),
    ];
    let mut rows: Vec<Vec<String>> = kinds
        .into_iter()
        .filter_map(|(name, against)| Some(row(name, against.as_ref()?)))
        .collect();
    if rows.len() > 1 {
        rows.push(row("all others", &all));
    }
    let header = ["against", "pairs", "AUC", "equal error", "accepted"];
    html! {
        (page::table(&header, &rows))
        p.small { "Each beside the " (thousands(scores.num_same)) " pairs of the same identity; accepted: at the file's threshold." }
    }
}

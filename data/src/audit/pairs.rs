//! Audit of pairs: flaws of names and tables, forgeries that are copies of genuine images.

use super::{Audit, Finding, Kind, Severity};
use crate::Pairs;
use crate::pairs::{Flaw, FlawKind, is_forged};

impl Audit {
    /// The audit of the images of `pairs`, with the flaws of these: without the findings about classes, for an identity
    /// is in one split alone, and two images of it are enough.
    #[must_use]
    pub fn of_pairs(mut self, pairs: &Pairs, flaws: &[Flaw]) -> Self {
        let of_classes = [
            Kind::ClassNames,
            Kind::EmptyClass,
            Kind::OneClass,
            Kind::EmptySplit,
            Kind::TinyClass,
            Kind::Imbalance,
        ];
        self.findings
            .retain(|finding| !of_classes.contains(&finding.kind));
        for finding in &mut self.findings {
            add_forgeries(finding);
        }
        self.findings.extend(flaws.iter().map(finding));
        self.sort();
        self.pairs = pairs.counts();
        self
    }
}

/// Marks a copy of a genuine image among the forgeries. What only looks like it is what a skilled forgery is.
fn add_forgeries(finding: &mut Finding) {
    let is_copy = matches!(finding.kind, Kind::Leak | Kind::TwoLabels | Kind::Duplicate);
    let num_forged = finding.paths.iter().filter(|path| is_forged(path)).count();
    if is_copy && num_forged > 0 && num_forged < finding.paths.len() {
        finding.message += ", genuine and forged";
    }
}

fn finding(flaw: &Flaw) -> Finding {
    let (kind, severity) = match flaw.kind {
        FlawKind::SeveralSplits => (Kind::IdentityLeak, Severity::Error),
        FlawKind::WithItself => (Kind::SelfPair, Severity::Error),
        FlawKind::TwoLabels => (Kind::PairOfTwoLabels, Severity::Error),
        FlawKind::MissingAnswer => (Kind::MissingAnswer, Severity::Error),
        FlawKind::SingleImage => (Kind::SingleImage, Severity::Warning),
        FlawKind::Repeated => (Kind::RepeatedPair, Severity::Warning),
    };
    let message = match flaw.line {
        Some(line) => format!("line {line}: {}", flaw.message),
        None => flaw.message.clone(),
    };
    Finding::new(kind, severity, message, flaw.paths.clone())
}

//! Report of training runs: one HTML page per run or per comparison, and charts. It knows the files of a
//! run folder and no training; `trainer` writes the files.
//!
//! [`RunContents`] reads a run folder, [`ProbabilityMetrics`] follow from its predictions, [`charts`] draws
//! both, and one module per section turns them into HTML. A page needs nothing but itself: no network, no
//! script, no font.

#![allow(
    missing_docs,
    reason = "only our programs use it: a doc comment says what a name does not"
)]

mod audit_page;
mod audit_text;
mod calibration;
pub mod charts;
mod comparison;
pub mod contact_sheet;
mod curves;
mod dataset;
mod error;
mod headline;
mod inspected;
mod mistakes;
mod pair_answers;
mod predictions;
mod probability_metrics;
mod provenance;
mod reading;
mod run_contents;
pub mod run_files;
mod stability;
mod thumbnails;
mod verifier;
mod verifier_charts;
mod verifier_contents;

pub use audit_page::audit_page;
pub use audit_text::{audit_line, audit_text};
pub use charts::ChartKind;
pub use error::{Error, Result};
pub use predictions::{Answer, Answers};
pub use probability_metrics::{Estimate, ProbabilityMetrics};
pub use run_contents::{RunContents, RunSettings};
pub use thumbnails::Thumbnails;

use charts::PlottedRun;
use console::page::Page;
use maud::{Markup, html};

/// Writes the run's own page into its folder; returns the files that could not be understood, each with the
/// reason.
pub fn write_run_page(run: RunContents, thumbnails: &Thumbnails) -> Result<Vec<String>> {
    let page = run_page(&run, thumbnails);
    data::write::atomically(&run.page_path(), page.as_bytes())?;
    Ok(run.unreadable)
}

/// The page of one run, as HTML.
pub fn run_page(run: &RunContents, thumbnails: &Thumbnails) -> String {
    let plotted = PlottedRun::new(run);
    let scored = match &run.verifier {
        Some(verifier) => [
            Some(verifier::headline(run, verifier)),
            verifier::scores(verifier),
            verifier::errors(verifier, thumbnails),
            verifier::stability(verifier, thumbnails),
        ],
        None => [
            Some(headline::section(&plotted)),
            mistakes::section(run, thumbnails),
            None,
            None,
        ],
    };
    let of_either = [
        curves::section(run),
        calibration::section(&plotted),
        stability::section(run, thumbnails),
        inspected::section(run),
        Some(dataset::section(run, thumbnails)),
        Some(provenance::section(run)),
    ];
    let body = html! {
        @for section in scored.into_iter().chain(of_either).flatten() { (section) }
    };
    page(&format!("{}: report", run.name), body)
}

/// The page that compares several runs of one task, as HTML.
pub fn comparison_page(runs: &[RunContents], thumbnails: &Thumbnails) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let title = format!("{}: comparison", names.join(", "));
    let is_verifier = |run: &RunContents| run.verifier.is_some();
    let body = match runs.iter().all(is_verifier) {
        true => verifier::comparison(runs, thumbnails),
        false => comparison::body(runs, thumbnails),
    };
    page(&title, body)
}

fn page(title: &str, body: Markup) -> String {
    let page = Page {
        title,
        tool: concat!("trainer ", env!("CARGO_PKG_VERSION")),
        style: include_str!("report.css"),
        body,
    };
    page.html()
}

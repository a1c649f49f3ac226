//! Runs as one page that needs nothing but itself: no network, no script, no font. It reads what
//! the run folders hold and trains nothing.
//!
//! A [`Record`] is what a folder holds, [`Figures`] what follows from its predictions, [`charts`]
//! draws both, and one file per section turns them into HTML.

mod audit;
pub mod charts;
mod compare;
mod curves;
mod figures;
mod headline;
mod inspected;
mod mistakes;
mod origin;
mod pictures;
mod record;
mod resampled;
mod trust;

pub use figures::{Estimate, Figures};
pub use pictures::Pictures;
pub use record::{Record, Summary};

use console::page::Page;
use maud::{Markup, html};

use crate::error::Result;

/// Writes a run's own page; gives the files that could not be understood, and why.
pub fn write(record: Record, pictures: &Pictures) -> Result<Vec<String>> {
    let page = single(&record, pictures);
    data::write::atomically(&record.run.report(), page.as_bytes())?;
    Ok(record.notes)
}

/// The page of one run.
pub fn single(record: &Record, pictures: &Pictures) -> String {
    let figures = record.answers.as_ref().and_then(Figures::new);
    let sections: Vec<Option<Markup>> = vec![
        Some(headline::hero(record, figures.as_ref())),
        mistakes::section(record, pictures),
        curves::section(record),
        figures
            .as_ref()
            .and_then(|figures| trust::section(record, figures)),
        resampled::section(record, pictures),
        inspected::section(record),
        Some(audit::section(record, pictures)),
        Some(origin::section(record)),
    ];
    let body = html! {
        @for section in sections.into_iter().flatten() { (section) }
    };
    page(&format!("{}: report", record.name), body)
}

/// The page of several runs beside each other.
pub fn several(records: &[Record], pictures: &Pictures) -> String {
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    let title = format!("{}: comparison", names.join(", "));
    page(&title, compare::body(records, pictures))
}

fn page(title: &str, body: Markup) -> String {
    let page = Page {
        title,
        tool: concat!("trainer ", env!("CARGO_PKG_VERSION")),
        style: include_str!("report/report.css"),
        body,
    };
    page.html()
}

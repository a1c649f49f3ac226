//! The data: how many of what, what an audit found, and what training makes of a picture.

use std::collections::{BTreeMap, BTreeSet};

use data::{Preprocess, Sample, Split};
use maud::{Markup, html};

use super::files::{Audit, Bar, Finding};
use super::parts;
use super::pictures::{self, Pictures};
use super::record::Record;
use crate::chart::{Axis, Chart, Mark, Plot};
use crate::sheet;

/// Pictures of the sheet of augmented samples: rows and columns.
const SHEET: (usize, usize) = (5, 7);
/// Side of a picture of the sheet.
const TILE: u32 = 128;
/// Paths named with a finding.
const MOST_PATHS: usize = 3;

/// Counts, audit and augmentation.
pub(super) fn section(record: &Record, pictures: &Pictures) -> Markup {
    let body = html! {
        (counts(record))
        @if let Some(audit) = &record.audit { (findings(audit)) }
        (augmentation(record, pictures))
    };
    parts::section("data", "The data", "", &body)
}

fn counts(record: &Record) -> Markup {
    let counts = record.counts();
    let classes: BTreeSet<&str> = counts.values().flat_map(BTreeMap::keys).copied().collect();
    let splits: Vec<Split> = counts.keys().copied().collect();
    let header: Vec<String> = ["class".to_owned()]
        .into_iter()
        .chain(splits.iter().map(Split::to_string))
        .collect();
    let of = |split: &Split, class: &str| counts[split].get(class).copied().unwrap_or(0);
    let mut rows: Vec<Vec<String>> = classes
        .iter()
        .map(|class| {
            let counts = splits
                .iter()
                .map(|split| parts::thousands(of(split, class)));
            [(*class).to_owned()].into_iter().chain(counts).collect()
        })
        .collect();
    let total = |split| parts::thousands(counts[split].values().sum());
    let totals = ["together".to_owned()]
        .into_iter()
        .chain(splits.iter().map(total));
    rows.push(totals.collect());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    parts::table(&header, &rows)
}

fn findings(audit: &Audit) -> Markup {
    let size = |spread: &Option<super::files::Spread>| {
        spread
            .as_ref()
            .map(|s| format!("{:.0} to {:.0}, median {:.0}", s.min, s.max, s.median))
    };
    let sizes: Vec<(&str, String)> = [("width (px)", &audit.width), ("height (px)", &audit.height)]
        .into_iter()
        .filter_map(|(name, spread)| Some((name, size(spread)?)))
        .collect();
    html! {
        h3 { "Audit" }
        @if audit.findings.is_empty() { p { "Nothing found." } }
        ul.plain { @for finding in &audit.findings { (found(finding)) } }
        (parts::facts(&sizes))
        div.grid {
            @if !audit.aspect.is_empty() {
                (parts::figure(&histogram("width : height", &audit.aspect), "Shapes", ""))
            }
            @if !audit.megapixels.is_empty() {
                (parts::figure(&histogram("size (megapixels)", &audit.megapixels), "Sizes", ""))
            }
        }
    }
}

fn found(finding: &Finding) -> Markup {
    let more = finding.paths.len().saturating_sub(MOST_PATHS);
    html! {
        li title=(finding.kind) {
            span class={ "badge " (finding.severity) } { (finding.severity) }
            (finding.message)
            @for path in finding.paths.iter().take(MOST_PATHS) {
                @if !finding.message.contains(path) { br; span.small { (path) } }
            }
            @if more > 0 { br; span.small { "and " (more) " more" } }
        }
    }
}

fn histogram(label: &str, bars: &[Bar]) -> Chart {
    let bars = bars
        .iter()
        .map(|bar| [bar.from, bar.to, bar.count as f64])
        .collect();
    Chart::from(Plot {
        title: format!("images by {label}"),
        x: Axis::new(label),
        y: Axis::new("images"),
        marks: vec![Mark::Bars {
            name: String::new(),
            series: 0,
            bars,
        }],
        is_square: false,
    })
}

fn augmentation(record: &Record, pictures: &Pictures) -> Markup {
    let recipe = &record.recipe;
    html! {
        h3 { "What training sees" }
        @if !record.is_augmented() {
            p {
                "Every training image as it is, without augmentation"
                @if !recipe.augment.ops.is_empty() {
                    ": the frozen part looks at each once (" code { "--views 1" } ")"
                }
                "."
            }
        } @else {
            p {
                code { (recipe.augment) } ". On the left each picture as validation sees it, then as \
                training does."
            }
            @match drawn(record, pictures) {
                Some(address) => {
                    img.wide src=(address) alt="training images, each as it is and varied";
                }
                None => p.small { "The training images are no longer where they were." },
            }
        }
    }
}

fn drawn(record: &Record, pictures: &Pictures) -> Option<String> {
    let train = record
        .images
        .iter()
        .filter(|row| row.split == Some(Split::Train));
    let samples: Vec<Sample> = train
        .filter_map(|row| {
            let path = pictures.locate(&row.path)?;
            Some(Sample {
                path,
                relative: row.path.clone(),
                label: 0,
            })
        })
        .collect();
    let (rows, columns) = SHEET;
    let chosen = sheet::spread(&samples, rows);
    if chosen.is_empty() {
        return None;
    }
    let card = record.card.as_ref();
    let preprocess = card.map_or_else(Preprocess::imagenet, |card| card.preprocess.clone());
    let seed = record.recipe.seed;
    let sheet = sheet::sheet(
        &chosen,
        &record.recipe.augment,
        &preprocess,
        (columns, seed),
    )
    .ok()?;
    pictures::jpeg(&pictures::within(&sheet, TILE * columns as u32))
}

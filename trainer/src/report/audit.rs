//! The data: how many of what, what an audit found, and what training makes of a picture.

use std::collections::{BTreeMap, BTreeSet};

use console::chart::{Axis, Chart, Mark, Plot};
use console::{numbers, page};
use data::audit::{Audit, Bin, Depth, Finding, Kind, Range, Severity};
use data::{Preprocess, Sample, Split};
use maud::{Markup, html};

use super::pictures::{self, Pictures};
use super::record::Record;
use crate::contact_sheet;
use crate::inspect::overlay::short;

/// Pictures of the sheet of augmented samples: rows and columns.
const SHEET: (usize, usize) = (5, 7);
/// Side of a picture of the sheet.
const TILE: u32 = 128;
/// Findings shown of a kind and severity.
const MOST_FINDINGS: usize = 10;
/// Paths named with a finding.
const MOST_PATHS: usize = 3;

/// Counts, audit and augmentation.
pub(super) fn section(record: &Record, pictures: &Pictures) -> Markup {
    let body = html! {
        (counts(record))
        @if let Some(audit) = &record.audit { (findings(audit)) }
        (augmentation(record, pictures))
    };
    page::section("data", "The data", "", &body)
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
                .map(|split| numbers::thousands(of(split, class)));
            [(*class).to_owned()].into_iter().chain(counts).collect()
        })
        .collect();
    let total = |split| numbers::thousands(counts[split].values().sum());
    let totals = ["together".to_owned()]
        .into_iter()
        .chain(splits.iter().map(total));
    rows.push(totals.collect());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    page::table(&header, &rows)
}

fn findings(audit: &Audit) -> Markup {
    let size = |range: &Option<Range>| {
        range.map(|r| format!("{} to {}, median {}", r.min, r.max, r.median))
    };
    let sizes: Vec<(&str, String)> = [("width (px)", &audit.width), ("height (px)", &audit.height)]
        .into_iter()
        .filter_map(|(name, range)| Some((name, size(range)?)))
        .collect();
    html! {
        h3 { "Audit" }
        @if audit.findings.is_empty() { p { "Nothing found." } }
        @if audit.depth == Depth::Files {
            p.small { "Bytes and headers only; " code { "trainer audit" } " looks at pixels too." }
        }
        ul.plain {
            @for group in grouped(&audit.findings).values() {
                @for finding in group.iter().take(MOST_FINDINGS) { (found(finding)) }
                @if let Some(more) = group.len().checked_sub(MOST_FINDINGS).filter(|more| *more > 0) {
                    li { span.small { "and " (numbers::thousands(more as u64)) " more of " code { (group[0].kind.name()) } } }
                }
            }
        }
        (page::facts(&sizes))
        div.grid {
            @if !audit.aspect.is_empty() {
                (page::figure(&histogram("width : height", &audit.aspect), "Shapes", ""))
            }
            @if !audit.megapixels.is_empty() {
                (page::figure(&histogram("size (megapixels)", &audit.megapixels), "Sizes", ""))
            }
        }
    }
}

/// Findings of a severity and kind, the worst first.
fn grouped(findings: &[Finding]) -> BTreeMap<(std::cmp::Reverse<Severity>, Kind), Vec<&Finding>> {
    let mut groups: BTreeMap<_, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let key = (std::cmp::Reverse(finding.severity), finding.kind);
        groups.entry(key).or_default().push(finding);
    }
    groups
}

fn found(finding: &Finding) -> Markup {
    let more = finding.paths.len().saturating_sub(MOST_PATHS);
    let severity = finding.severity.name();
    html! {
        li title=(finding.kind.name()) {
            span class={ "badge " (severity) } { (severity) }
            (finding.message)
            @for path in finding.paths.iter().take(MOST_PATHS) {
                @if !finding.message.contains(path) { br; span.small { (path) } }
            }
            @if more > 0 { br; span.small { "and " (more) " more" } }
        }
    }
}

/// Bars of one width, whatever their bins: a panorama would make all the others thin.
fn histogram(label: &str, bins: &[Bin]) -> Chart {
    let bars = (0..).zip(bins);
    let bars = bars.map(|(place, bin)| [f64::from(place), f64::from(place + 1), bin.count as f64]);
    let last = bins.last().map(|bin| bin.to);
    let edges = bins.iter().map(|bin| bin.from).chain(last);
    Chart::from(Plot {
        title: format!("images by {label}"),
        x: Axis::new(label).named(edges.map(|edge| short(edge as f32)).collect()),
        y: Axis::new("images"),
        marks: vec![Mark::Bars {
            name: String::new(),
            series: 0,
            bars: bars.collect(),
        }],
        ..Plot::default()
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
    let chosen = contact_sheet::spread(&samples, rows);
    if chosen.is_empty() {
        return None;
    }
    let card = record.card.as_ref();
    let preprocess = card.map_or_else(Preprocess::imagenet, |card| card.preprocess.clone());
    let seed = record.recipe.seed;
    let sheet = contact_sheet::contact_sheet(
        &chosen,
        &record.recipe.augment,
        &preprocess,
        (columns, seed),
    )
    .ok()?;
    pictures::jpeg(&pictures::within(&sheet, TILE * columns as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: Kind, severity: Severity, message: String) -> Finding {
        Finding {
            kind,
            severity,
            message,
            paths: vec![],
        }
    }

    fn audit(findings: Vec<Finding>) -> Audit {
        let mut audit: Audit = serde_json::from_str(
            r#"{"depth": "files", "counts": {}, "findings": [], "width": null, "height": null,
                "aspect": [], "megapixels": []}"#,
        )
        .unwrap();
        audit.findings = findings;
        audit
    }

    #[test]
    fn ten_findings_of_a_kind_are_shown_and_how_many_there_are() {
        let copies = (0..31).map(|i| {
            finding(
                Kind::Duplicate,
                Severity::Warning,
                format!("copy {i} of {i}"),
            )
        });
        let leak = finding(Kind::Leak, Severity::Error, "a leak".into());
        let page = findings(&audit(copies.chain([leak]).collect())).into_string();
        assert_eq!(page.matches(">warning</span>").count(), 10);
        assert!(
            page.contains("and 21 more of <code>duplicate</code>"),
            "{page}"
        );
        assert!(page.find("a leak") < page.find("copy 0"), "{page}");
    }

    #[test]
    fn what_was_not_looked_at_is_said() {
        let page = findings(&audit(vec![])).into_string();
        assert!(page.contains("Nothing found."), "{page}");
        assert!(page.contains("Bytes and headers only"), "{page}");
        let mut deep = audit(vec![]);
        deep.depth = Depth::Pixels;
        assert!(!findings(&deep).into_string().contains("headers only"));
    }

    #[test]
    fn a_panorama_does_not_make_the_other_bars_thin() {
        let bin = |from, to, count| Bin { from, to, count };
        let bins = [bin(1.0, 1.25, 5), bin(1.25, 1.5, 3), bin(4.0, 300.0, 1)];
        let Chart::Plot(plot) = histogram("width : height", &bins) else {
            panic!("a plot")
        };
        let Mark::Bars { bars, .. } = &plot.marks[0] else {
            panic!("bars")
        };
        assert_eq!(
            bars[..],
            [[0.0, 1.0, 5.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]]
        );
        let page = plot.svg(console::chart::Theme::Page).into_string();
        for edge in ["1.00", "1.25", "4.00", "300"] {
            assert!(page.contains(&format!(">{edge}</text>")), "{edge}: {page}");
        }
    }
}

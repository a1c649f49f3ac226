//! Section "The data": numbers of images, findings of the audit, and augmented images.

use std::collections::{BTreeMap, BTreeSet};

use console::chart::{Axis, Chart, Mark, Plot};
use console::{numbers, page};
use data::audit::{Audit, Bin, Depth, Finding, Kind, Range, Severity};
use data::{PairCounts, Preprocess, Sample, Split};
use maud::{Markup, html};

use crate::audit_text;
use crate::contact_sheet::{self, ContactSheet};
use crate::run_contents::RunContents;
use crate::thumbnails::{self, Thumbnails};

/// Images of the contact sheet.
const ROWS: usize = 5;
const COLUMNS: usize = 7;
/// Side of an image of the contact sheet.
const TILE_PX: u32 = 128;
/// Findings shown of a kind and severity.
const MOST_FINDINGS: usize = 10;
/// Paths named with a finding.
const MOST_PATHS: usize = 3;

pub(crate) fn section(run: &RunContents, thumbnails: &Thumbnails) -> Markup {
    let body = html! {
        @match run.audit.as_ref().filter(|audit| !audit.pairs.is_empty()) {
            Some(audit) => (pair_counts(audit)),
            None => (counts(run)),
        }
        @if let Some(audit) = &run.audit { (findings(audit)) }
        (augmentation(run, thumbnails))
    };
    page::section("data", "The data", "", &body)
}

fn counts(run: &RunContents) -> Markup {
    let counts = run.counts();
    // Of all splits, since a split may lack a class.
    let classes: BTreeSet<&str> = counts.values().flat_map(BTreeMap::keys).copied().collect();
    let splits: Vec<Split> = counts.keys().copied().collect();
    let header: Vec<String> = ["class".to_owned()]
        .into_iter()
        .chain(splits.iter().map(Split::to_string))
        .collect();
    let count = |split: &Split, class: &str| counts[split].get(class).copied().unwrap_or(0);
    let mut rows: Vec<Vec<String>> = classes
        .iter()
        .map(|class| {
            let counts = splits
                .iter()
                .map(|split| numbers::thousands(count(split, class)));
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

/// A row per split: there may be thousands of identities.
fn pair_counts(audit: &Audit) -> Markup {
    let header = [
        "split",
        "identities",
        "images",
        "pairs of one identity",
        "with forgeries",
        "of two identities",
    ];
    let row = |(split, counts): (&Split, &PairCounts)| {
        let PairCounts {
            identities,
            images,
            same,
            forged,
            different,
        } = *counts;
        let numbers = [identities, images, same, forged, different];
        let cells = numbers.map(|number| numbers::thousands(number as u64));
        std::iter::once(split.to_string()).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = audit.pairs.iter().map(row).collect();
    page::table(&header, &rows)
}

fn findings(audit: &Audit) -> Markup {
    let size = |range: &Option<Range>| {
        range.map(|range| match range {
            Range { min, max, .. } if min == max => format!("{min}, all images"),
            Range { min, max, median } => format!("{min} to {max}, median {median}"),
        })
    };
    let sizes: Vec<(&str, String)> = [("width (px)", &audit.width), ("height (px)", &audit.height)]
        .into_iter()
        .filter_map(|(name, range)| Some((name, size(range)?)))
        .collect();
    html! {
        h3 { "Audit" }
        @if audit.findings.is_empty() { p { "Nothing found." } }
        @if audit.depth == Depth::Files {
            p.small { "Bytes and headers only; " code { (audit_text::command(audit)) } " looks at pixels too." }
        }
        ul.plain {
            @for group in grouped(&audit.findings).values() {
                @for finding in group.iter().take(MOST_FINDINGS) { (list_item(finding)) }
                @if let Some(more) = group.len().checked_sub(MOST_FINDINGS).filter(|more| *more > 0) {
                    li { span.small { "and " (numbers::thousands(more as u64)) " more of " code { (group[0].kind.name()) } } }
                }
            }
        }
        (page::facts(&sizes))
        div.grid {
            // One bar says no more than the sizes above.
            @if audit.aspect.len() > 1 {
                (page::figure(&histogram("width : height", &audit.aspect), "Shapes", ""))
            }
            @if audit.megapixels.len() > 1 {
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

fn list_item(finding: &Finding) -> Markup {
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
    let bars = bars.map(|(index, bin)| [f64::from(index), f64::from(index + 1), bin.count as f64]);
    let last = bins.last().map(|bin| bin.to);
    let edges = bins.iter().map(|bin| bin.from).chain(last);
    Chart::from(Plot {
        title: format!("images by {label}"),
        x: Axis::new(label).named(edges.map(|edge| numbers::short(edge as f32)).collect()),
        y: Axis::new("images"),
        marks: vec![Mark::Bars {
            name: String::new(),
            series: 0,
            bars: bars.collect(),
        }],
        ..Plot::default()
    })
}

fn augmentation(run: &RunContents, thumbnails: &Thumbnails) -> Markup {
    let augment = &run.settings.augment;
    html! {
        h3 { "What training sees" }
        @if !run.is_augmented() {
            p {
                "Every training image as it is, without augmentation"
                @if !augment.ops.is_empty() {
                    ": the frozen part sees each image once (" code { "--views 1" } ")"
                }
                "."
            }
        } @else {
            p {
                code { (augment) } ". On the left each image as validation sees it, then as training does."
            }
            @match augmented_images(run, thumbnails) {
                Some(url) => {
                    img.wide src=(url) alt="training images, each as it is and augmented";
                }
                None => p.small { "The training images are no longer where they were." },
            }
        }
    }
}

/// The contact sheet of some training images as a `data:` URL; none where the images are gone.
fn augmented_images(run: &RunContents, thumbnails: &Thumbnails) -> Option<String> {
    let train = run
        .images
        .iter()
        .filter(|row| row.split == Some(Split::Train));
    let samples = train.filter_map(|row| {
        Some(Sample {
            path: thumbnails.locate(&row.path)?,
            relative: row.path.clone(),
            label: 0,
        })
    });
    let samples: Vec<Sample> = samples.collect();
    let images = contact_sheet::spread(&samples, ROWS);
    if images.is_empty() {
        return None;
    }
    let card = run.card.as_ref();
    let sheet = ContactSheet {
        augment: &run.settings.augment,
        // A run that was not exported has no card. Only the size of the images depends on it.
        preprocess: &card.map_or_else(Preprocess::imagenet, |card| card.preprocess.clone()),
        columns: COLUMNS,
        seed: run.settings.seed,
    };
    let image = sheet.draw(&images).ok()?;
    thumbnails::jpeg(&thumbnails::shrink(&image, TILE_PX * COLUMNS as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: Kind, severity: Severity, message: String) -> Finding {
        Finding::new(kind, severity, message, vec![])
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
    fn a_check_of_headers_alone_is_named() {
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

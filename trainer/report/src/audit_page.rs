//! Contact sheet of an audit: the images of its findings, for a person to judge.

use console::{numbers, page};
use data::audit::{Audit, Finding, Kind, Severity};
use maud::{Markup, html};

use crate::page as whole_page;
use crate::thumbnails::{CaptionedImage, Thumbnails};

/// Findings with images; at about 8 kB an image, a page stays below some 10 MB.
const MOST_FINDINGS: usize = 200;
/// Images shown of a finding.
const MOST_IMAGES: usize = 6;

/// The page of an audit, as HTML. `data` is the name of the data set.
pub fn audit_page(audit: &Audit, data: &str, thumbnails: &Thumbnails) -> String {
    let shown: Vec<&Finding> = audit.findings.iter().filter(|f| has_images(f)).collect();
    let lead = "Of near duplicates, the similarity to the first image of the group stands below each: the \
                correlation of their gray values, 1 for copies.";
    let body = html! {
        header.top {
            h1 { "Audit of " (data) }
            p { (numbers::count(shown.len(), "finding", "findings")) " with images" }
        }
        @if shown.is_empty() { p.verdict { "Nothing to look at." } }
        @for group in shown[..shown.len().min(MOST_FINDINGS)].chunk_by(|a, b| a.kind == b.kind) {
            @let kind = group[0].kind;
            @let lead = if kind == Kind::NearDuplicate { lead } else { "" };
            (page::section(kind.name(), kind.name(), lead, &html! {
                @for finding in group { (images(finding, thumbnails)) }
            }))
        }
        @if let Some(more) = shown.len().checked_sub(MOST_FINDINGS).filter(|more| *more > 0) {
            p { "and " (numbers::thousands(more as u64)) " more findings; " code { "--json" } " has all" }
        }
    };
    whole_page(&format!("{data}: audit"), body)
}

/// Whether a look at the images decides something.
fn has_images(finding: &Finding) -> bool {
    let is_shown = finding.severity > Severity::Note || finding.kind == Kind::NearDuplicate;
    is_shown && finding.kind != Kind::Unreadable && !finding.paths.is_empty()
}

fn images(finding: &Finding, thumbnails: &Thumbnails) -> Markup {
    let shown = finding.paths.iter().take(MOST_IMAGES).enumerate();
    let images: Vec<CaptionedImage> = shown
        .map(|(index, path)| CaptionedImage {
            path: path.clone(),
            caption: match finding.similarities.get(index) {
                Some(similarity) if index > 0 => format!("{similarity:.2}"),
                _ => String::new(),
            },
        })
        .collect();
    let more = finding.paths.len() - images.len();
    html! {
        p {
            span class={ "badge " (finding.severity.name()) } { (finding.severity.name()) }
            (finding.message)
        }
        (thumbnails.gallery(&images))
        @if more > 0 { p.small { "and " (more) " more" } }
    }
}

//! Audit of duplicates: one image in two splits (a leak), under two labels, or twice in one split.

use super::{Finding, Hash, Kind, ScannedSample, Severity, counted, joined, near_duplicates};
use crate::{Dataset, Split};
use std::collections::BTreeMap;

/// Findings among images that can be read. `same` says what copies have in common that have one hash, such as `the same
/// file`.
pub(super) fn findings(dataset: &Dataset, seen: &[ScannedSample<'_>], same: &str) -> Vec<Finding> {
    let mut images: BTreeMap<Hash, Vec<ScannedSample<'_>>> = BTreeMap::new();
    for seen in seen {
        if let Some(identity) = seen.scan.identity() {
            images.entry(identity).or_default().push(*seen);
        }
    }
    let copies = images.values().filter(|copies| copies.len() > 1);
    let mut findings: Vec<Finding> = copies
        .flat_map(|copies| copy_findings(dataset, copies, same))
        .collect();
    // One of each set of copies: near duplicates are searched among different images.
    let with_thumbnails = images.values().filter_map(|copies| {
        let thumbnail = copies.first()?.scan.thumbnail.as_ref()?;
        Some((thumbnail, copies))
    });
    let (thumbnails, copies): (Vec<_>, Vec<_>) = with_thumbnails.unzip();
    let search = near_duplicates::Search::new(&thumbnails);
    for group in search.groups() {
        let mut members: Vec<(usize, ScannedSample<'_>)> = group
            .into_iter()
            .flat_map(|index| copies[index].iter().map(move |copy| (index, *copy)))
            .collect();
        members.sort_by_key(|(_, member)| member.path());
        let (first, _) = members[0];
        let similarity = |&(index, _): &(usize, _)| match index == first {
            true => 1.0,
            // A member is near to the first, or to enough others.
            false => search.similarity(first, index).unwrap_or_default(),
        };
        let similarities = members.iter().map(similarity).collect();
        let members: Vec<ScannedSample<'_>> =
            members.into_iter().map(|(_, member)| member).collect();
        findings.push(Finding {
            similarities,
            ..near_duplicate(dataset, &members)
        });
    }
    findings
}

/// Findings of one image in several files.
fn copy_findings(dataset: &Dataset, copies: &[ScannedSample<'_>], same: &str) -> Vec<Finding> {
    let (splits, labels) = (splits(copies), labels(dataset, copies));
    // Equal pixels in different files: another format, or other metadata.
    let one_file = copies
        .iter()
        .all(|copy| copy.scan.hash == copies[0].scan.hash);
    let what = if one_file { same } else { "the same pixels" };
    let finding = |kind, severity, detail: String| {
        Finding::new(kind, severity, format!("{what} {detail}"), paths(copies))
    };
    let mut findings = Vec::new();
    if splits.len() > 1 {
        let detail = format!("in {}", joined(&splits));
        findings.push(finding(Kind::Leak, Severity::Error, detail));
    }
    if labels.len() > 1 {
        let detail = format!("as {}", joined(&labels));
        findings.push(finding(Kind::TwoLabels, Severity::Warning, detail));
    }
    if findings.is_empty() {
        let detail = format!("{} times in {}", copies.len(), joined(&splits));
        findings.push(finding(Kind::Duplicate, Severity::Warning, detail));
    }
    findings
}

/// The finding of several images that look alike. Whether that is a mistake, a person must tell.
fn near_duplicate(dataset: &Dataset, members: &[ScannedSample<'_>]) -> Finding {
    let (splits, labels) = (splits(members), labels(dataset, members));
    let mut message = format!(
        "{} that look alike in {}",
        counted(members.len(), "file"),
        joined(&splits)
    );
    if labels.len() > 1 {
        message += &format!(", as {}", joined(&labels));
    }
    let severity = if splits.len() > 1 || labels.len() > 1 {
        Severity::Warning
    } else {
        Severity::Note
    };
    Finding::new(Kind::NearDuplicate, severity, message, paths(members))
}

fn splits(seen: &[ScannedSample<'_>]) -> Vec<String> {
    let has = |split: &Split| seen.iter().any(|seen| seen.split == *split);
    Split::ALL
        .into_iter()
        .filter(has)
        .map(|split| split.to_string())
        .collect()
}

fn labels(dataset: &Dataset, seen: &[ScannedSample<'_>]) -> Vec<String> {
    let mut labels: Vec<u32> = seen.iter().map(|seen| seen.sample.label).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
        .into_iter()
        .map(|label| format!("`{}`", dataset.classes[label as usize]))
        .collect()
}

fn paths(seen: &[ScannedSample<'_>]) -> Vec<String> {
    let mut paths: Vec<String> = seen.iter().map(ScannedSample::path).collect();
    paths.sort_unstable();
    paths
}

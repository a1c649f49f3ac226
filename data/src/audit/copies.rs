//! The same picture more than once: in two splits, under two labels, or for nothing.

use super::{Finding, Hash, Kind, Seen, Severity, alike, counted, listed};
use crate::{Dataset, Split};
use std::collections::BTreeMap;

pub(super) fn findings(dataset: &Dataset, seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut pictures: BTreeMap<Hash, Vec<Seen<'_>>> = BTreeMap::new();
    for seen in seen.iter().filter(|seen| seen.look.facts.is_ok()) {
        if let Some(identity) = seen.look.identity() {
            pictures.entry(identity).or_default().push(*seen);
        }
    }
    let copies = pictures.values().filter(|copies| copies.len() > 1);
    let mut findings: Vec<Finding> = copies.flat_map(|copies| same(dataset, copies)).collect();
    let marked = pictures.values().filter_map(|copies| {
        let mark = copies.first()?.look.mark.as_ref()?;
        Some((mark, copies))
    });
    let (marks, copies): (Vec<_>, Vec<_>) = marked.unzip();
    for group in alike::groups(&marks) {
        let members: Vec<Seen<'_>> = group
            .into_iter()
            .flat_map(|at| copies[at])
            .copied()
            .collect();
        findings.push(near(dataset, &members));
    }
    findings
}

/// One picture in several files.
fn same(dataset: &Dataset, copies: &[Seen<'_>]) -> Vec<Finding> {
    let (splits, labels) = (splits(copies), labels(dataset, copies));
    let one_file = copies
        .iter()
        .all(|copy| copy.look.hash == copies[0].look.hash);
    let what = if one_file {
        "the same file"
    } else {
        "the same pixels"
    };
    let finding = |kind, severity, place: String| Finding {
        kind,
        severity,
        message: format!("{what} {place}"),
        paths: paths(copies),
    };
    let mut findings = Vec::new();
    if splits.len() > 1 {
        let place = format!("in {}", listed(&splits));
        findings.push(finding(Kind::Leak, Severity::Error, place));
    }
    if labels.len() > 1 {
        let place = format!("as {}", listed(&labels));
        findings.push(finding(Kind::TwoLabels, Severity::Warning, place));
    }
    if findings.is_empty() {
        let place = format!("{} times in {}", copies.len(), listed(&splits));
        findings.push(finding(Kind::Duplicate, Severity::Warning, place));
    }
    findings
}

/// Several pictures that look alike; nobody can tell from here whether that is a mistake.
fn near(dataset: &Dataset, members: &[Seen<'_>]) -> Finding {
    let (splits, labels) = (splits(members), labels(dataset, members));
    let mut message = format!(
        "{} that look alike in {}",
        counted(members.len(), "file"),
        listed(&splits)
    );
    if labels.len() > 1 {
        message += &format!(", as {}", listed(&labels));
    }
    let severity = if splits.len() > 1 || labels.len() > 1 {
        Severity::Warning
    } else {
        Severity::Note
    };
    Finding {
        kind: Kind::NearDuplicate,
        severity,
        message,
        paths: paths(members),
    }
}

fn splits(seen: &[Seen<'_>]) -> Vec<String> {
    let has = |split: &Split| seen.iter().any(|seen| seen.split == *split);
    Split::ALL
        .into_iter()
        .filter(has)
        .map(|split| split.to_string())
        .collect()
}

fn labels(dataset: &Dataset, seen: &[Seen<'_>]) -> Vec<String> {
    let mut labels: Vec<u32> = seen.iter().map(|seen| seen.sample.label).collect();
    labels.sort_unstable();
    labels.dedup();
    let name = |label: u32| dataset.classes.get(label as usize);
    labels
        .into_iter()
        .filter_map(name)
        .map(|class| format!("`{class}`"))
        .collect()
}

fn paths(seen: &[Seen<'_>]) -> Vec<String> {
    let mut paths: Vec<String> = seen.iter().map(Seen::path).collect();
    paths.sort_unstable();
    paths
}

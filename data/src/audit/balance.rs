//! Audit of class range: empty and tiny classes, imbalance.

use super::{Finding, Kind, Severity, counted, joined};
use crate::{Dataset, Split};
use std::collections::BTreeMap;

/// A class with fewer training images is tiny.
const FEW: usize = 10;
/// Ratio of the largest to the smallest class, in training images, from which classes are imbalanced.
const IMBALANCED: usize = 4;

/// Images per split and class, including classes without any.
pub(super) fn counts(dataset: &Dataset) -> BTreeMap<Split, BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for split in Split::ALL {
        let samples = dataset.samples(split);
        if samples.is_empty() {
            continue;
        }
        let mut class_counts: BTreeMap<String, usize> = dataset
            .classes
            .iter()
            .map(|class| (class.clone(), 0))
            .collect();
        for sample in samples {
            let class = dataset.classes[sample.label as usize].clone();
            *class_counts.entry(class).or_default() += 1;
        }
        counts.insert(split, class_counts);
    }
    counts
}

pub(super) fn findings(dataset: &Dataset) -> Vec<Finding> {
    let counts = counts(dataset);
    let mut findings = Vec::new();
    let mut add = |kind, severity, message: String| {
        findings.push(Finding::new(kind, severity, message, Vec::new()));
    };
    for (&split, classes) in &counts {
        let with_count = |range: std::ops::Range<usize>| {
            let classes = classes.iter().filter(|(_, count)| range.contains(count));
            classes
                .map(|(class, count)| (format!("`{class}`"), *count))
                .collect::<Vec<_>>()
        };
        let (empty, tiny) = (with_count(0..1), with_count(1..FEW));
        if !empty.is_empty() {
            let (kind, severity) = match split {
                Split::Train => (Kind::EmptyClass, Severity::Error),
                Split::Val | Split::Test => (Kind::TinyClass, Severity::Warning),
            };
            let names: Vec<String> = empty.into_iter().map(|(class, _)| class).collect();
            let message = format!("no {split} images of {}", joined(&names));
            add(kind, severity, message);
        }
        if split == Split::Train && !tiny.is_empty() {
            let each = |(class, count): (String, usize)| format!("{class} ({count})");
            let names: Vec<String> = tiny.into_iter().map(each).collect();
            let message = format!("fewer than {FEW} train images of {}", joined(&names));
            add(Kind::TinyClass, Severity::Warning, message);
        }
    }
    let Some(train) = counts.get(&Split::Train) else {
        return findings;
    };
    if let [class] = dataset.classes.as_slice() {
        add(
            Kind::OneClass,
            Severity::Error,
            format!("one class only: `{class}`"),
        );
    }
    if dataset.val.is_empty() {
        let message = "no validation images, and too few train images to cut some off".into();
        add(Kind::EmptySplit, Severity::Error, message);
    }
    let least = train
        .iter()
        .filter(|(_, count)| **count > 0)
        .min_by_key(|(_, count)| **count);
    let most = train.iter().max_by_key(|(_, count)| **count);
    if let (Some((small, &few)), Some((large, &many))) = (least, most)
        && many >= IMBALANCED * few
    {
        let message = format!(
            "`{large}` has {} times as many train images as `{small}`: {} and {few}",
            many / few,
            counted(many, "image"),
        );
        add(Kind::Imbalance, Severity::Warning, message);
    }
    findings
}

//! Files that are not what one expects of a photo: one finding per kind, with all its files.

use super::{Finding, Kind, Seen, Severity, counted};
use crate::decode::Facts;
use crate::{Dataset, Split};
use std::collections::BTreeMap;

/// A shorter side below this many pixels is enlarged seven times and more.
const SMALL_PX: u32 = 32;
/// A longer side of more than this many times the shorter one loses most of itself in a crop.
const NARROW: u32 = 4;
/// Above this many pixels decoding takes most of a second.
const LARGE_PX: u64 = 50_000_000;
/// More than 1 in this many unreadable files are an error in training.
const MOST_UNREADABLE: usize = 20;

pub(super) fn findings(dataset: &Dataset, seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut findings = unreadable(seen);
    let mut find = |kind, severity, odd: &dyn Fn(&Seen<'_>) -> bool, what: &str, note: &str| {
        let paths: Vec<String> = seen.iter().filter(|s| odd(s)).map(Seen::path).collect();
        if !paths.is_empty() {
            let message = format!("{}{what}: {note}", counted(paths.len(), "picture"));
            findings.push(Finding {
                kind,
                severity,
                message,
                paths,
            });
        }
    };
    let fact = |seen: &Seen<'_>, odd: fn(&Facts) -> bool| seen.look.facts.as_ref().is_ok_and(odd);
    let blank = |seen: &Seen<'_>| seen.look.is_blank();
    find(
        Kind::Blank,
        Severity::Warning,
        &blank,
        " of one colour",
        "nothing to see",
    );
    let size = |seen: &Seen<'_>| fact(seen, is_extreme);
    let note = format!(
        "a side below {SMALL_PX} px, more than {NARROW}:1, or above {} million pixels",
        LARGE_PX / 1_000_000
    );
    find(
        Kind::ExtremeSize,
        Severity::Warning,
        &size,
        " of an extreme size",
        &note,
    );
    let several = |seen: &Seen<'_>| fact(seen, |facts| facts.several);
    let what = " with animation or pages";
    find(
        Kind::SeveralPictures,
        Severity::Warning,
        &several,
        what,
        "the first is taken",
    );
    let note = Severity::Note;
    let other = |seen: &Seen<'_>| has_other_extension(seen);
    let what = " of another format than the extension says";
    find(
        Kind::WrongExtension,
        note,
        &other,
        what,
        "the content counts",
    );
    let turned = |seen: &Seen<'_>| fact(seen, |facts| facts.turned);
    find(
        Kind::Rotated,
        note,
        &turned,
        " turned by EXIF",
        "decoding turns them upright",
    );
    let gray = |seen: &Seen<'_>| fact(seen, |facts| facts.gray);
    find(
        Kind::Gray,
        note,
        &gray,
        " without colours",
        "three equal channels",
    );
    let cmyk = |seen: &Seen<'_>| fact(seen, |facts| facts.cmyk);
    find(
        Kind::Cmyk,
        note,
        &cmyk,
        " in CMYK",
        "converted without a colour profile, as PIL does",
    );
    let alpha = |seen: &Seen<'_>| fact(seen, |facts| facts.alpha);
    find(
        Kind::Alpha,
        note,
        &alpha,
        " with transparency",
        "dropped, not blended, as PIL does",
    );
    findings.extend(left_out(dataset));
    findings
}

fn is_extreme(facts: &Facts) -> bool {
    let (short, long) = (facts.width.min(facts.height), facts.width.max(facts.height));
    short < SMALL_PX
        || long > short.saturating_mul(NARROW)
        || u64::from(short) * u64::from(long) > LARGE_PX
}

fn has_other_extension(seen: &Seen<'_>) -> bool {
    let extension = seen.sample.path.extension().unwrap_or_default();
    let extension = extension.to_string_lossy().to_lowercase();
    let facts = seen.look.facts.as_ref();
    facts.is_ok_and(|facts| !facts.format.extensions().contains(&extension.as_str()))
}

/// A finding per split and reason; an error where training refuses the split.
fn unreadable(seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for split in Split::ALL {
        let of_split: Vec<&Seen<'_>> = seen.iter().filter(|s| s.split == split).collect();
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for seen in &of_split {
            if let Err(reason) = &seen.look.facts {
                reasons.entry(reason).or_default().push(seen.path());
            }
        }
        let count: usize = reasons.values().map(Vec::len).sum();
        let severity = if count * MOST_UNREADABLE > of_split.len() {
            Severity::Error
        } else {
            Severity::Warning
        };
        findings.extend(reasons.into_iter().map(|(reason, paths)| Finding {
            kind: Kind::Unreadable,
            severity,
            message: format!("{} in {split}: {reason}", counted(paths.len(), "file")),
            paths,
        }));
    }
    findings
}

/// A finding per reason.
fn left_out(dataset: &Dataset) -> Vec<Finding> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in &dataset.left_out {
        let path = file.path.strip_prefix(&dataset.root).unwrap_or(&file.path);
        let path = path.to_string_lossy().replace('\\', "/");
        reasons.entry(&file.reason).or_default().push(path);
    }
    let finding = |(reason, paths): (&str, Vec<String>)| Finding {
        kind: Kind::LeftOut,
        severity: Severity::Note,
        message: format!("{} left out: {reason}", counted(paths.len(), "file")),
        paths,
    };
    reasons.into_iter().map(finding).collect()
}

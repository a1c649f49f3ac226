//! Files that are not what one expects of a photo: one finding per kind, with all its files.

use super::{Finding, Kind, Seen, Severity, counted};
use crate::decode::Facts;
use crate::unreadable::is_too_many;
use crate::{Dataset, Split};
use std::collections::BTreeMap;

/// A shorter side below this many pixels is enlarged seven times and more.
const SMALL_PX: u32 = 32;
/// A longer side of more than this many times the shorter one loses most of itself in a crop.
const NARROW: u32 = 4;
/// Above this many pixels decoding takes most of a second.
const LARGE_PX: u64 = 50_000_000;

/// Something that a picture may be.
struct Oddity {
    kind: Kind,
    severity: Severity,
    is: fn(&Seen<'_>) -> bool,
    /// After `1 picture`.
    what: &'static str,
    note: &'static str,
}

const ODDITIES: [Oddity; 8] = [
    Oddity {
        kind: Kind::Blank,
        severity: Severity::Warning,
        is: |seen| seen.look.is_blank(),
        what: "of one colour",
        note: "nothing to see",
    },
    Oddity {
        kind: Kind::ExtremeSize,
        severity: Severity::Warning,
        is: |seen| fact(seen, is_extreme),
        what: "of an extreme size",
        note: "a side below 32 px, more than 4:1, or above 50 million pixels",
    },
    Oddity {
        kind: Kind::SeveralPictures,
        severity: Severity::Warning,
        is: |seen| fact(seen, |facts| facts.several),
        what: "with animation or pages",
        note: "the first is taken",
    },
    Oddity {
        kind: Kind::WrongExtension,
        severity: Severity::Note,
        is: has_other_extension,
        what: "of another format than the extension says",
        note: "the content counts",
    },
    Oddity {
        kind: Kind::Rotated,
        severity: Severity::Note,
        is: |seen| fact(seen, |facts| facts.turned),
        what: "turned by EXIF",
        note: "decoding turns it upright",
    },
    Oddity {
        kind: Kind::Gray,
        severity: Severity::Note,
        is: |seen| fact(seen, |facts| facts.gray),
        what: "without colours",
        note: "three equal channels",
    },
    Oddity {
        kind: Kind::Cmyk,
        severity: Severity::Note,
        is: |seen| fact(seen, |facts| facts.cmyk),
        what: "in CMYK",
        note: "converted without a colour profile, as PIL does",
    },
    Oddity {
        kind: Kind::Alpha,
        severity: Severity::Note,
        is: |seen| fact(seen, |facts| facts.alpha),
        what: "with transparency",
        note: "dropped, not blended, as PIL does",
    },
];

pub(super) fn findings(dataset: &Dataset, seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut findings = unreadable(seen);
    for odd in ODDITIES {
        let are = seen.iter().filter(|seen| (odd.is)(seen));
        let paths: Vec<String> = are.map(Seen::path).collect();
        if !paths.is_empty() {
            let pictures = counted(paths.len(), "picture");
            findings.push(Finding {
                kind: odd.kind,
                severity: odd.severity,
                message: format!("{pictures} {}: {}", odd.what, odd.note),
                paths,
            });
        }
    }
    findings.extend(left_out(dataset));
    findings
}

fn fact(seen: &Seen<'_>, is: fn(&Facts) -> bool) -> bool {
    seen.look.facts.as_ref().is_ok_and(is)
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
        let severity = if is_too_many(count, of_split.len()) {
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

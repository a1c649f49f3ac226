//! Audit of single files: unreadable, unusual or left out. One finding per kind, with all its files.

use super::{Finding, Kind, ScannedSample, Severity, counted};
use crate::decode::ImageHeader;
use crate::unreadable::is_too_many;
use crate::{Dataset, Split};
use std::collections::BTreeMap;

/// A shorter side below this many pixels is enlarged seven times and more (to 224).
const SMALL_PX: u32 = 32;
/// Longest ratio of sides: a centre crop of a narrower image drops more than three quarters of it.
const NARROW: u32 = 4;
/// Above this many pixels decoding takes most of a second.
const LARGE_PX: u64 = 50_000_000;

/// One check of a file's header or pixels.
struct FileCheck {
    kind: Kind,
    severity: Severity,
    applies: fn(&ScannedSample<'_>) -> bool,
    /// Follows `1 image` in the message.
    description: &'static str,
    consequence: &'static str,
}

const CHECKS: [FileCheck; 8] = [
    FileCheck {
        kind: Kind::Blank,
        severity: Severity::Warning,
        applies: |sample| sample.scan.is_blank(),
        description: "of one colour",
        consequence: "nothing to see",
    },
    FileCheck {
        kind: Kind::ExtremeSize,
        severity: Severity::Warning,
        applies: |sample| header_is(sample, is_extreme),
        description: "of an extreme size",
        consequence: "a side below 32 px, more than 4:1, or above 50 million pixels",
    },
    FileCheck {
        kind: Kind::SeveralPictures,
        severity: Severity::Warning,
        applies: |sample| header_is(sample, |header| header.several_images),
        description: "with animation or pages",
        consequence: "the first is used",
    },
    FileCheck {
        kind: Kind::WrongExtension,
        severity: Severity::Note,
        applies: has_other_extension,
        description: "of another format than the extension says",
        consequence: "the content counts",
    },
    FileCheck {
        kind: Kind::Rotated,
        severity: Severity::Note,
        applies: |sample| header_is(sample, |header| header.rotated),
        description: "turned by EXIF",
        consequence: "decoding turns it upright",
    },
    FileCheck {
        kind: Kind::Gray,
        severity: Severity::Note,
        applies: |sample| header_is(sample, |header| header.gray),
        description: "without colours",
        consequence: "three equal channels",
    },
    FileCheck {
        kind: Kind::Cmyk,
        severity: Severity::Note,
        applies: |sample| header_is(sample, |header| header.cmyk),
        description: "in CMYK",
        consequence: "converted without a colour profile, as PIL does",
    },
    FileCheck {
        kind: Kind::Alpha,
        severity: Severity::Note,
        applies: |sample| header_is(sample, |header| header.alpha),
        description: "with transparency",
        consequence: "dropped, not blended, as PIL does, unless the network takes four channels",
    },
];

pub(super) fn findings(dataset: &Dataset, samples: &[ScannedSample<'_>]) -> Vec<Finding> {
    let mut findings = unreadable(samples);
    for check in CHECKS {
        let matching = samples.iter().filter(|sample| (check.applies)(sample));
        let paths: Vec<String> = matching.map(ScannedSample::path).collect();
        if !paths.is_empty() {
            let images = counted(paths.len(), "image");
            let message = format!("{images} {}: {}", check.description, check.consequence);
            findings.push(Finding::new(check.kind, check.severity, message, paths));
        }
    }
    findings.extend(left_out(dataset));
    findings
}

fn header_is(sample: &ScannedSample<'_>, property: fn(&ImageHeader) -> bool) -> bool {
    sample.scan.header.as_ref().is_ok_and(property)
}

fn is_extreme(header: &ImageHeader) -> bool {
    let (short, long) = (
        header.width.min(header.height),
        header.width.max(header.height),
    );
    short < SMALL_PX
        || long > short.saturating_mul(NARROW)
        || u64::from(short) * u64::from(long) > LARGE_PX
}

fn has_other_extension(sample: &ScannedSample<'_>) -> bool {
    // A table may list files without an extension; they match no format.
    let extension = sample.sample.path.extension().unwrap_or_default();
    let extension = extension.to_string_lossy().to_lowercase();
    let header = sample.scan.header.as_ref();
    header.is_ok_and(|header| !header.format.extensions().contains(&extension.as_str()))
}

/// A finding per split and reason; an error where training refuses the split.
fn unreadable(samples: &[ScannedSample<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for split in Split::ALL {
        let in_split: Vec<&ScannedSample<'_>> =
            samples.iter().filter(|s| s.split == split).collect();
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for sample in &in_split {
            if let Err(reason) = &sample.scan.header {
                reasons.entry(reason).or_default().push(sample.path());
            }
        }
        let count: usize = reasons.values().map(Vec::len).sum();
        let severity = if is_too_many(count, in_split.len()) {
            Severity::Error
        } else {
            Severity::Warning
        };
        findings.extend(reasons.into_iter().map(|(reason, paths)| {
            let message = format!("{} in {split}: {reason}", counted(paths.len(), "file"));
            Finding::new(Kind::Unreadable, severity, message, paths)
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
    let finding = |(reason, paths): (&str, Vec<String>)| {
        let message = format!("{} left out: {reason}", counted(paths.len(), "file"));
        Finding::new(Kind::LeftOut, Severity::Note, message, paths)
    };
    reasons.into_iter().map(finding).collect()
}

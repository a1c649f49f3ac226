//! Data set audit: leaks between splits, duplicates, unreadable and unusual files, imbalance.
//!
//! Reads each file once and knows no network. A [`Finding`] is data: the caller decides what follows from
//! its [`Severity`].

mod balance;
mod duplicates;
mod file_checks;
mod file_scan;
mod names;
mod near_duplicates;
mod pairs;
mod sizes;

use crate::folder::SplitClasses;
use crate::{Dataset, Limits, PairCounts, Sample, Split};
use file_scan::FileScan;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub use sizes::{Bin, Range};

/// SHA-256 digest.
pub(crate) type Hash = [u8; 32];

/// Depth of an audit: the part of each file that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Bytes and headers: identical files, sizes, orientation, kinds of colour.
    Files,
    /// Pixels as well: damaged files, copies in another file format, near duplicates.
    Pixels,
    /// No file, but features of each image: identical ones.
    Features,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Information.
    Note,
    /// Likely a mistake.
    Warning,
    /// Training refuses it, or it invalidates scores, such as an image in two splits.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Kind of a finding, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The same image in two splits.
    Leak,
    /// Images of one identity in two splits.
    IdentityLeak,
    /// An image paired with itself.
    SelfPair,
    /// A pair listed with two labels.
    PairOfTwoLabels,
    /// A split without pairs of one answer.
    MissingAnswer,
    /// Class folders that differ between splits, or names that may mean one class.
    ClassNames,
    /// A class without training images.
    EmptyClass,
    /// Training images of one class only.
    OneClass,
    /// No validation images, and too few training images to split some off.
    EmptySplit,
    /// Files that cannot be read or decoded.
    Unreadable,
    /// The same image under two labels.
    TwoLabels,
    /// The same image twice in one split.
    Duplicate,
    /// Images that look alike.
    NearDuplicate,
    /// A pair listed again, mirrored or as it is.
    RepeatedPair,
    /// Identities with fewer than two images of their own.
    SingleImage,
    /// Images of one colour.
    Blank,
    /// Very small, very large or very narrow images.
    ExtremeSize,
    /// Animations and files of several pages.
    SeveralPictures,
    /// Classes with few images.
    TinyClass,
    /// Classes of very different sizes.
    Imbalance,
    /// The extension names another format than the content.
    WrongExtension,
    /// Images with an EXIF orientation.
    Rotated,
    /// Images without colours.
    Gray,
    /// Images in CMYK.
    Cmyk,
    /// Images with an alpha channel.
    Alpha,
    /// Files and folders that are not used.
    LeftOut,
}

impl Kind {
    /// Name in JSON, such as `near-duplicate`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::IdentityLeak => "identity-leak",
            Self::SelfPair => "self-pair",
            Self::PairOfTwoLabels => "pair-of-two-labels",
            Self::MissingAnswer => "missing-answer",
            Self::ClassNames => "class-names",
            Self::EmptyClass => "empty-class",
            Self::OneClass => "one-class",
            Self::EmptySplit => "empty-split",
            Self::Unreadable => "unreadable",
            Self::TwoLabels => "two-labels",
            Self::Duplicate => "duplicate",
            Self::NearDuplicate => "near-duplicate",
            Self::RepeatedPair => "repeated-pair",
            Self::SingleImage => "single-image",
            Self::Blank => "blank",
            Self::ExtremeSize => "extreme-size",
            Self::SeveralPictures => "several-pictures",
            Self::TinyClass => "tiny-class",
            Self::Imbalance => "imbalance",
            Self::WrongExtension => "wrong-extension",
            Self::Rotated => "rotated",
            Self::Gray => "gray",
            Self::Cmyk => "cmyk",
            Self::Alpha => "alpha",
            Self::LeftOut => "left-out",
        }
    }
}

/// One result of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its kind.
    pub kind: Kind,
    /// Its severity.
    pub severity: Severity,
    /// Description in one line.
    pub message: String,
    /// The files concerned, relative to the data root.
    pub paths: Vec<String>,
    /// Of near duplicates, the similarity of each file to the first one: the correlation of their gray values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub similarities: Vec<f32>,
}

impl Finding {
    /// A finding without similarities.
    #[must_use]
    pub const fn new(kind: Kind, severity: Severity, message: String, paths: Vec<String>) -> Self {
        Self {
            kind,
            severity,
            message,
            paths,
            similarities: Vec::new(),
        }
    }
}

/// Result of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Part of each file that was read.
    pub depth: Depth,
    /// [`Dataset::fingerprint`] of the images. Earlier versions did not write it.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Images per split and class.
    pub counts: BTreeMap<Split, BTreeMap<String, usize>>,
    /// Pairs, images and identities per split; empty of classes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pairs: BTreeMap<Split, PairCounts>,
    /// All findings, the worst first.
    pub findings: Vec<Finding>,
    /// Widths of the images as displayed, pixels.
    pub width: Option<Range>,
    /// Heights of the images as displayed, pixels.
    pub height: Option<Range>,
    /// Histogram of width over height.
    pub aspect: Vec<Bin>,
    /// Histogram of millions of pixels.
    pub megapixels: Vec<Bin>,
    #[serde(skip)]
    hashes: HashMap<PathBuf, Hash>,
}

impl Audit {
    /// Audits a data set in rayon's threads. `splits` are the class folders of its splits, from
    /// [`Dataset::open_unchecked`]; `progress` receives the number of files done.
    ///
    /// ```
    /// use classifold_data::audit::{Audit, Depth, Kind};
    /// let folder = tempfile::tempdir()?;
    /// for (split, class) in [("train", "ants"), ("train", "bees"), ("val", "ants"), ("val", "bees")] {
    ///     let class = folder.path().join(split).join(class);
    ///     std::fs::create_dir_all(&class)?;
    ///     std::fs::write(class.join("a.pgm"), b"P5 2 2 255 \x01\x02\x03\x04")?;
    /// }
    /// let (dataset, splits) = classifold_data::Dataset::open_unchecked(folder.path(), 0)?;
    /// let audit = Audit::run(&dataset, &splits, Depth::Files, &|_| {});
    /// assert_eq!(audit.findings[0].kind, Kind::Leak);
    /// assert_eq!(audit.findings[0].paths.len(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn run(
        dataset: &Dataset,
        splits: &[SplitClasses],
        depth: Depth,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Self {
        let samples = all_samples(dataset);
        let (done, limits) = (AtomicUsize::new(0), Limits::default());
        let scans: Vec<FileScan> = samples
            .par_iter()
            .map(|(_, sample)| {
                // One read of the file serves all checks.
                let scan = FileScan::new(&sample.path, depth, &limits);
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                scan
            })
            .collect();
        let scanned = with_scans(samples, &scans);
        let mut findings = names::findings(dataset, splits);
        findings.extend(balance::findings(dataset));
        let is_readable = |scanned: &&ScannedSample<'_>| scanned.scan.header.is_ok();
        let readable: Vec<_> = scanned.iter().filter(is_readable).copied().collect();
        findings.extend(duplicates::findings(dataset, &readable, "the same file"));
        findings.extend(file_checks::findings(dataset, &scanned));
        let sizes: Vec<(u32, u32)> = scans.iter().filter_map(FileScan::size).collect();
        let hashes: HashMap<PathBuf, Hash> = scanned
            .iter()
            .filter_map(|scanned| Some((scanned.sample.path.clone(), scanned.scan.hash?)))
            .collect();
        let mut audit = Self {
            depth,
            fingerprint: Some(dataset.fingerprint_with(&|path| hashes.get(path).copied())),
            counts: balance::counts(dataset),
            pairs: BTreeMap::new(),
            findings,
            width: sizes::range(sizes.iter().map(|&(width, _)| width)),
            height: sizes::range(sizes.iter().map(|&(_, height)| height)),
            aspect: sizes::aspects(&sizes),
            megapixels: sizes::megapixels(&sizes),
            hashes,
        };
        audit.sort();
        audit
    }

    /// Audits a data set whose files are not read, by a hash of the features of each image.
    #[must_use]
    pub fn of_features(
        dataset: &Dataset,
        hash: &(dyn Fn(&Path) -> Option<[u8; 32]> + Sync),
    ) -> Self {
        let samples = all_samples(dataset);
        let scans: Vec<FileScan> = samples
            .iter()
            .map(|(_, sample)| FileScan::of_features(hash(&sample.path)))
            .collect();
        let scanned = with_scans(samples, &scans);
        let mut findings = names::findings(dataset, &[]);
        findings.extend(balance::findings(dataset));
        findings.extend(duplicates::findings(dataset, &scanned, "the same features"));
        let mut audit = Self {
            depth: Depth::Features,
            fingerprint: Some(dataset.fingerprint_with(hash)),
            counts: balance::counts(dataset),
            pairs: BTreeMap::new(),
            findings,
            width: None,
            height: None,
            aspect: Vec::new(),
            megapixels: Vec::new(),
            hashes: HashMap::new(),
        };
        audit.sort();
        audit
    }

    /// Sorts the findings, the worst first; kind and paths make the order the same on every run.
    fn sort(&mut self) {
        self.findings
            .sort_by(|a, b| (b.severity, a.kind, &a.paths).cmp(&(a.severity, b.kind, &b.paths)));
    }

    /// SHA-256 of a file that was read.
    #[must_use]
    pub fn hash(&self, path: &Path) -> Option<[u8; 32]> {
        self.hashes.get(path).copied()
    }

    /// Number of images of a split that are also in one before it (train, val, test): the scores of that split
    /// are too good. Splits without such images are left out.
    #[must_use]
    pub fn leaked(&self, dataset: &Dataset) -> BTreeMap<Split, usize> {
        let by_path: HashMap<&str, Split> = Split::ALL
            .into_iter()
            .flat_map(|split| {
                dataset
                    .samples(split)
                    .iter()
                    .map(move |s| (&*s.relative, split))
            })
            .collect();
        let mut counts = BTreeMap::new();
        for leak in self.findings.iter().filter(|f| f.kind == Kind::Leak) {
            let paths = leak.paths.iter();
            let splits: Vec<Split> = paths
                .filter_map(|path| by_path.get(path.as_str()).copied())
                .collect();
            let first = splits.iter().min();
            for split in splits.iter().filter(|split| Some(*split) > first) {
                *counts.entry(*split).or_default() += 1;
            }
        }
        counts
    }

    /// Number of findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let matching = self.findings.iter().filter(|f| f.severity == severity);
        matching.count()
    }
}

/// A sample and the scan of its file.
#[derive(Clone, Copy)]
struct ScannedSample<'a> {
    split: Split,
    sample: &'a Sample,
    scan: &'a FileScan,
}

impl ScannedSample<'_> {
    fn path(&self) -> String {
        self.sample.relative.clone()
    }
}

/// The samples of all splits, each with its split.
fn all_samples(dataset: &Dataset) -> Vec<(Split, &Sample)> {
    let splits = Split::ALL.into_iter();
    splits
        .flat_map(|split| dataset.samples(split).iter().map(move |s| (split, s)))
        .collect()
}

fn with_scans<'a>(
    samples: Vec<(Split, &'a Sample)>,
    scans: &'a [FileScan],
) -> Vec<ScannedSample<'a>> {
    let pairs = samples.into_iter().zip(scans);
    pairs
        .map(|((split, sample), scan)| ScannedSample {
            split,
            sample,
            scan,
        })
        .collect()
}

/// Joins as `a`, `a and b`, `a, b and c`.
fn joined(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}

/// `1 image`, `2 images`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

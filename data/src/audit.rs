//! What is wrong or odd with a set of labelled images, before anyone trains on it.
//!
//! Reads each file once; judges nothing by a network. A [`Finding`] is data: who shows it decides
//! what follows from its [`Severity`].

mod alike;
mod balance;
mod copies;
mod look;
mod names;
mod odd;
mod sizes;

use crate::folder::SplitClasses;
use crate::{Dataset, Limits, Sample, Split};
use look::Look;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub use sizes::{Bin, Range};

/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// How closely the files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Bytes and headers: copies of a file, sizes, orientation, kinds of colour.
    Files,
    /// Pixels too: unreadable files, copies in another file format, near duplicates.
    Pixels,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Likely a mistake.
    Warning,
    /// Training refuses it, or scores mean nothing: the same picture in two splits.
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

/// What kind of thing was found, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The same picture in two splits.
    Leak,
    /// Class folders that differ between splits, or names that may mean one class.
    ClassNames,
    /// A class without training images.
    EmptyClass,
    /// Training images of one class only.
    OneClass,
    /// No validation images can be had.
    EmptySplit,
    /// Files that cannot be read or decoded.
    Unreadable,
    /// The same picture under two labels.
    TwoLabels,
    /// The same picture twice in one split.
    Duplicate,
    /// Pictures that look alike.
    NearDuplicate,
    /// Pictures of one colour.
    Blank,
    /// Very small, very large or very narrow pictures.
    ExtremeSize,
    /// Animations and files of several pages.
    SeveralPictures,
    /// Classes with few images.
    TinyClass,
    /// Classes of very different sizes.
    Imbalance,
    /// The extension names another format than the content.
    WrongExtension,
    /// Pictures that are turned as their EXIF says.
    Rotated,
    /// Pictures without colours.
    Gray,
    /// Pictures in printing inks.
    Cmyk,
    /// Pictures with transparency.
    Alpha,
    /// Files and folders that are not used.
    LeftOut,
}

impl Kind {
    /// As in JSON, such as `near-duplicate`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::ClassNames => "class-names",
            Self::EmptyClass => "empty-class",
            Self::OneClass => "one-class",
            Self::EmptySplit => "empty-split",
            Self::Unreadable => "unreadable",
            Self::TwoLabels => "two-labels",
            Self::Duplicate => "duplicate",
            Self::NearDuplicate => "near-duplicate",
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

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a line.
    pub message: String,
    /// The files, relative to the data root.
    pub paths: Vec<String>,
}

/// A set of labelled images looked through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// How closely.
    pub depth: Depth,
    /// Images per split and class.
    pub counts: BTreeMap<Split, BTreeMap<String, usize>>,
    /// What was found, the worst kinds first.
    pub findings: Vec<Finding>,
    /// Widths of the pictures as shown, pixels.
    pub width: Option<Range>,
    /// Heights of the pictures as shown, pixels.
    pub height: Option<Range>,
    /// Width over height.
    pub aspect: Vec<Bin>,
    /// Millions of pixels.
    pub megapixels: Vec<Bin>,
    #[serde(skip)]
    hashes: HashMap<PathBuf, Hash>,
}

impl Audit {
    /// Looks through a data set in rayon's threads. `splits` are the class folders of its splits, as
    /// [`Dataset::open_unchecked`] gives them; `progress` gets the number of files done.
    ///
    /// ```
    /// use data::audit::{Audit, Depth, Kind};
    /// let folder = tempfile::tempdir()?;
    /// for (split, class) in [("train", "ants"), ("train", "bees"), ("val", "ants"), ("val", "bees")] {
    ///     let class = folder.path().join(split).join(class);
    ///     std::fs::create_dir_all(&class)?;
    ///     std::fs::write(class.join("a.pgm"), b"P5 2 2 255 \x01\x02\x03\x04")?;
    /// }
    /// let (dataset, splits) = data::Dataset::open_unchecked(folder.path(), 0)?;
    /// let audit = Audit::of(&dataset, &splits, Depth::Files, &|_| {});
    /// assert_eq!(audit.findings[0].kind, Kind::Leak);
    /// assert_eq!(audit.findings[0].paths.len(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of(
        dataset: &Dataset,
        splits: &[SplitClasses],
        depth: Depth,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Self {
        let samples: Vec<(Split, &Sample)> = Split::ALL
            .into_iter()
            .flat_map(|split| dataset.samples(split).iter().map(move |s| (split, s)))
            .collect();
        let (done, limits) = (AtomicUsize::new(0), Limits::default());
        let looks: Vec<Look> = samples
            .par_iter()
            .map(|(_, sample)| {
                let look = Look::at(&sample.path, depth, &limits);
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                look
            })
            .collect();
        let seen: Vec<Seen<'_>> = samples
            .into_iter()
            .zip(&looks)
            .map(|((split, sample), look)| Seen {
                split,
                sample,
                look,
            })
            .collect();
        let mut findings = names::findings(dataset, splits);
        findings.extend(balance::findings(dataset));
        findings.extend(copies::findings(dataset, &seen));
        findings.extend(odd::findings(dataset, &seen));
        findings
            .sort_by(|a, b| (b.severity, a.kind, &a.paths).cmp(&(a.severity, b.kind, &b.paths)));
        let sizes: Vec<(u32, u32)> = looks.iter().filter_map(Look::size).collect();
        let hashes = seen
            .iter()
            .filter_map(|seen| Some((seen.sample.path.clone(), seen.look.hash?)));
        Self {
            depth,
            counts: balance::counts(dataset),
            findings,
            width: sizes::range(sizes.iter().map(|&(width, _)| width)),
            height: sizes::range(sizes.iter().map(|&(_, height)| height)),
            aspect: sizes::aspects(&sizes),
            megapixels: sizes::megapixels(&sizes),
            hashes: hashes.collect(),
        }
    }

    /// The SHA-256 of a file that was read.
    #[must_use]
    pub fn hash(&self, path: &Path) -> Option<[u8; 32]> {
        self.hashes.get(path).copied()
    }

    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of).count()
    }
}

/// A sample and what its file is.
#[derive(Clone, Copy)]
struct Seen<'a> {
    split: Split,
    sample: &'a Sample,
    look: &'a Look,
}

impl Seen<'_> {
    fn path(&self) -> String {
        self.sample.relative.clone()
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}

/// `1 picture`, `2 pictures`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

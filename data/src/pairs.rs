//! Pairs of images: of the same identity, of a forgery of it, or of different identities.
//!
//! Drawn from a folder for each identity, or listed in a table. Reads names only; knows nothing of pixels.

mod draw;
mod flaw;
mod fold;
mod list;

use crate::card::ScoreKind;
use crate::folder::Unit;
use crate::{Dataset, Error, Result, Sample, Split, write};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

pub use flaw::{Flaw, FlawKind};

/// Name of an identity's sub-folder with skilled forgeries.
pub const FORGED: &str = "forged";

/// Names of the two answers, in the order of a verifier's logits.
pub const CLASSES: [&str; 2] = ["different", "same"];

/// What two images have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairKind {
    /// Both are of one identity.
    Same,
    /// One imitates the other: a skilled forgery.
    Forged,
    /// They are of two identities.
    Different,
}

impl PairKind {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Forged => "forged",
            Self::Different => "different",
        }
    }

    /// Index into [`CLASSES`].
    #[must_use]
    pub const fn label(self) -> u32 {
        matches!(self, Self::Same) as u32
    }
}

/// Two images of a split, by their indices in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Index of the first image.
    pub a: usize,
    /// Index of the second image.
    pub b: usize,
    /// What they have to do with each other.
    pub kind: PairKind,
}

/// Numbers of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounts {
    /// Identities with an image.
    pub identities: usize,
    /// Images, forgeries among them.
    pub images: usize,
    /// Pairs of the same identity.
    pub same: usize,
    /// Pairs with a skilled forgery.
    pub forged: usize,
    /// Pairs of two identities.
    pub different: usize,
}

/// How pairs are drawn from folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairOptions {
    /// Seed of the splits and of the draw.
    pub seed: u64,
    /// Most pairs of an identity's own images; there are as many others.
    pub per_identity: usize,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            per_identity: 12,
        }
    }
}

/// Pairs of images, divided into train, val and test. No identity is in two splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// The images; their classes are the identities.
    pub images: Dataset,
    pairs: BTreeMap<Split, Vec<Pair>>,
}

impl Pairs {
    /// Reads a folder for each identity, with or without splits around them as in [`Dataset::open`], and draws
    /// pairs: as many of the same identity as of others. An identity's sub-folder `forged` holds skilled
    /// forgeries, which make up half of the others. Or reads a CSV file with the columns
    /// `path_a,path_b,label[,split]`; a label is `same`, `different` or `forged`, or 1 or 0.
    ///
    /// Identities without a split are divided by the seed.
    ///
    /// # Errors
    /// There are fewer than two identities, no identity has two images, or an identity is in two splits; a row of
    /// the table names a missing file, or an image twice.
    ///
    /// ```
    /// let folder = tempfile::tempdir()?;
    /// for identity in ["ada", "bob", "cyd", "dan"] {
    ///     std::fs::create_dir(folder.path().join(identity))?;
    ///     for i in 0..3 {
    ///         std::fs::write(folder.path().join(identity).join(format!("{i}.jpg")), "")?;
    ///     }
    /// }
    /// let options = classifold_data::PairOptions::default();
    /// let pairs = classifold_data::Pairs::open(folder.path(), &options)?;
    /// assert_eq!(pairs.identities().len(), 4);
    /// // Each identity has three pairs of its own images, and as many with others.
    /// assert_eq!(pairs.of(classifold_data::Split::Train).len(), 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(source: &Path, options: &PairOptions) -> Result<Self> {
        let is_table = source.is_file();
        let pairs = if is_table {
            list::open(source, options.seed)?
        } else {
            draw::open(source, options)?
        };
        // What a table lists may be no more than a sample.
        if !is_table && let [identity] = pairs.images.classes.as_slice() {
            return Err(Error::with_hint(
                format!("`{}` has one identity only: {identity}", source.display()),
                "pairs need images of two identities or more, each in a folder of its own",
            ));
        }
        Ok(pairs)
    }

    /// As [`open`](Self::open), with flaws in place of errors: for an audit. Images that a table names may be missing.
    ///
    /// # Errors
    /// The table or the folder cannot be read, or has no images.
    pub fn open_unchecked(source: &Path, options: &PairOptions) -> Result<(Self, Vec<Flaw>)> {
        let (pairs, mut flaws) = if source.is_file() {
            list::open_unchecked(source, options.seed)?
        } else {
            draw::open_unchecked(source, options)?
        };
        for (split, label) in pairs.missing_answers() {
            let message = format!(
                "no {split} pairs of the answer `{}`",
                CLASSES[label as usize]
            );
            flaws.push(Flaw::of_data(FlawKind::MissingAnswer, message, Vec::new()));
        }
        Ok((pairs, flaws))
    }

    /// Reads what [`write_list`](Self::write_list) wrote, for exactly the images of `images`.
    ///
    /// # Errors
    /// The list cannot be read, or names an image that `images` lacks.
    pub fn from_list(list: &Path, images: Dataset) -> Result<Self> {
        list::of_images(list, images)
    }

    /// Divides the identities of train and val into `count` folds by the seed. In each result the identities of one fold
    /// are the test split, and the others train and val; pairs are drawn anew, as from folders.
    ///
    /// # Errors
    /// There are too few identities for pairs of both answers in every split.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// for identity in 0..12 {
    ///     let identity = folder.path().join(format!("writer {identity}"));
    ///     std::fs::create_dir(&identity)?;
    ///     for i in 0..3 {
    ///         std::fs::write(identity.join(format!("{i}.jpg")), "")?;
    ///     }
    /// }
    /// let options = classifold_data::PairOptions::default();
    /// let pairs = classifold_data::Pairs::open(folder.path(), &options)?;
    /// let folds = pairs.folds(3, &options)?;
    /// // Ten identities are not of the test split, and each is held out once.
    /// assert_eq!(folds.iter().map(|fold| fold.images.test.len()).sum::<usize>(), 10 * 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn folds(&self, count: usize, options: &PairOptions) -> Result<Vec<Self>> {
        fold::folds(self, count, options)
    }

    /// Writes which images are paired, as CSV with the columns `path_a,path_b,label,split`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_list(&self, path: &Path) -> Result<()> {
        list::write(self, path)
    }

    /// Writes pairs of a split with their score and the answer, as CSV with the columns
    /// `path_a,path_b,label,answer,probability`, or `distance` in place of the last.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_answers(
        &self,
        path: &Path,
        split: Split,
        answers: impl Iterator<Item = (Pair, f64)> + Clone,
        (kind, threshold): (ScoreKind, f64),
    ) -> Result<()> {
        write::atomically_with(path, |file| {
            let mut table = csv::Writer::from_writer(file);
            table.write_record(["path_a", "path_b", "label", "answer", kind.name()])?;
            for (pair, score) in answers.clone() {
                let [a, b] = self.images_of(split, &pair);
                let answer = CLASSES[usize::from(kind.accepts(score, threshold))];
                // The shortest text that reads as the same number: curves are drawn from it.
                let (label, score) = (pair.kind.name(), score.to_string());
                table.write_record([&a.relative, &b.relative, label, answer, &score])?;
            }
            table.flush()
        })?;
        Ok(())
    }

    /// Names of the identities, sorted.
    #[must_use]
    pub fn identities(&self) -> &[String] {
        &self.images.classes
    }

    /// The pairs of a split; their indices are into its images.
    #[must_use]
    pub fn of(&self, split: Split) -> &[Pair] {
        self.pairs.get(&split).map_or(&[], Vec::as_slice)
    }

    /// Numbers of each split that has images.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Split, PairCounts> {
        let count = |split: Split| {
            let samples = self.images.samples(split);
            let identities: BTreeSet<u32> = samples.iter().map(|sample| sample.label).collect();
            let of_kind = |kind| {
                self.of(split)
                    .iter()
                    .filter(|pair| pair.kind == kind)
                    .count()
            };
            let counts = PairCounts {
                identities: identities.len(),
                images: samples.len(),
                same: of_kind(PairKind::Same),
                forged: of_kind(PairKind::Forged),
                different: of_kind(PairKind::Different),
            };
            (split, counts)
        };
        let counts = Split::ALL.into_iter().map(count);
        counts.filter(|(_, counts)| counts.images > 0).collect()
    }

    /// The two images of a pair.
    #[must_use]
    pub fn images_of(&self, split: Split, pair: &Pair) -> [&Sample; 2] {
        let samples = self.images.samples(split);
        [&samples[pair.a], &samples[pair.b]]
    }

    /// The pairs of a split whose images are both among `readable`, in their order: first as they are, then with
    /// indices into that list.
    #[must_use]
    pub fn readable(&self, split: Split, readable: &[Sample]) -> (Vec<Pair>, Vec<Pair>) {
        let index = readable.iter().enumerate();
        let index: HashMap<&str, usize> = index
            .map(|(index, sample)| (sample.relative.as_str(), index))
            .collect();
        let pairs = self.of(split).iter().filter_map(|pair| {
            let [a, b] = self.images_of(split, pair);
            let [a, b] = [a, b].map(|sample| index.get(sample.relative.as_str()).copied());
            let moved = Pair {
                a: a?,
                b: b?,
                kind: pair.kind,
            };
            Some((*pair, moved))
        });
        pairs.unzip()
    }

    /// Checks that a verifier can be trained with it.
    ///
    /// # Errors
    /// Training or validation lacks pairs of either answer.
    pub fn check_trainable(&self) -> Result<()> {
        let Some((split, label)) = self.missing_answers().next() else {
            return Ok(());
        };
        let (root, class) = (self.images.root.display(), CLASSES[label as usize]);
        Err(Error::with_hint(
            format!("`{root}` has no {split} pairs of the answer `{class}`"),
            "every split needs two identities or more, one of them with two images; validation takes a tenth of the \
             identities that have no split",
        ))
    }

    /// The answers, as indices into [`CLASSES`], that training or validation has no pairs of.
    fn missing_answers(&self) -> impl Iterator<Item = (Split, u32)> + '_ {
        let answers = |split| [1, 0].map(|label| (split, label));
        let all = [Split::Train, Split::Val].into_iter().flat_map(answers);
        all.filter(|(split, label)| !self.has_answer(*split, *label))
    }

    fn has_answer(&self, split: Split, label: u32) -> bool {
        let mut pairs = self.of(split).iter();
        pairs.any(|pair| pair.kind.label() == label)
    }

    fn has_both_answers(&self, split: Split) -> bool {
        [0, 1].iter().all(|label| self.has_answer(split, *label))
    }
}

/// Whether an image, by its path relative to the data root, lies in a folder `forged`.
pub(crate) fn is_forged(relative: &str) -> bool {
    let mut folders = relative.rsplit('/').skip(1);
    folders.any(|folder| folder.eq_ignore_ascii_case(FORGED))
}

/// The error of identities in two splits.
fn leak<S: AsRef<str>>(source: &Path, identities: &[S]) -> Error {
    Error::with_hint(
        format!(
            "`{}`: identities are in more than one split: {}",
            source.display(),
            shown(identities)
        ),
        "scores would be of identities that training has seen: move all images of an identity into one split, or give \
         one folder without splits, which is divided by identity. Pairs of known classes are listed in a CSV file, whose \
         splits share no image",
    )
}

/// Some names, and how many more there are.
fn shown<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 5;
    let list = names.iter().take(SHOWN);
    let list: Vec<String> = list.map(|name| format!("`{}`", name.as_ref())).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", list.join(", ")),
        _ => list.join(", "),
    }
}

/// A folder of identities, as [`Dataset`] reads one of classes.
fn open_identities(source: &Path, seed: u64) -> Result<Dataset> {
    let (mut images, _) = Dataset::read(source, seed, Unit::Identity)?;
    if images.all().next().is_none() {
        return Err(Error::no_images(source));
    }
    for note in &mut images.notes {
        *note = note.replace("one folder of classes", "one folder of identities");
    }
    Ok(images)
}

/// Identities with images in more than one split, and these splits.
fn leaked_identities(images: &Dataset) -> Vec<(&str, Vec<Split>)> {
    let mut splits: BTreeMap<u32, Vec<Split>> = BTreeMap::new();
    for split in Split::ALL {
        for sample in images.samples(split) {
            let of_identity = splits.entry(sample.label).or_default();
            if of_identity.last() != Some(&split) {
                of_identity.push(split);
            }
        }
    }
    let leaked = splits.into_iter().filter(|(_, splits)| splits.len() > 1);
    leaked
        .map(|(label, splits)| (images.classes[label as usize].as_str(), splits))
        .collect()
}

#[cfg(test)]
mod tests;

//! Labelled data sets in folders or tables: which file has which class and split.
//!
//! Reads names only; knows nothing of pixels.

mod layout;
mod scan;

use crate::error::reading;
use crate::split::{stratified, train_val_counts, train_val_test_counts};
use crate::{Error, Result, Split, hash, table};
use fs_err as fs;
use layout::Layout;
use rayon::prelude::*;
use scan::Scan;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// File name extensions of images: those of torchvision's `ImageFolder`, and two more of JPEG.
pub const EXTENSIONS: [&str; 11] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp",
];

/// One labelled image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sample {
    /// Path of the file.
    pub path: PathBuf,
    /// Relative to the data root, separated by `/`, such as `train/ants/a.jpg`.
    pub relative: String,
    /// Index of the class.
    pub label: u32,
}

impl Sample {
    /// SHA-256 of the file's bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sha256(&self) -> Result<[u8; 32]> {
        hash::sha256(&self.path).map_err(reading(&self.path))
    }
}

/// A file or folder that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The file or folder.
    pub path: PathBuf,
    /// Reason.
    pub reason: String,
}

/// Labelled images, divided into train, val and test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Folder that the relative paths start from.
    pub root: PathBuf,
    /// Names of the classes, sorted; a label is an index into them.
    pub classes: Vec<String>,
    /// Images to fit to.
    pub train: Vec<Sample>,
    /// Images that choose among epochs.
    pub val: Vec<Sample>,
    /// Images that are read once, at the end.
    pub test: Vec<Sample>,
    /// Files and folders that are not used.
    pub left_out: Vec<LeftOut>,
    /// Decisions about the splits, as lines for the log.
    pub notes: Vec<String>,
}

/// The class folders of one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitClasses {
    /// The split's folder.
    pub folder: PathBuf,
    /// Its class folders, sorted.
    pub classes: Vec<String>,
}

impl Dataset {
    /// Reads a folder with `train/`, `val/`, `test/` (in any case, and by the names that [`Split`] parses); or
    /// one folder of classes; or a CSV file with the columns `path,label[,split]`.
    ///
    /// Folders around these that contain nothing else are passed through. Images without a split are divided by
    /// `seed`; [`Dataset::notes`] says how.
    ///
    /// # Errors
    /// The path does not exist, has no class folder or no image, its folders read like splits as well as like
    /// classes, or the splits' classes differ.
    ///
    /// ```
    /// let folder = tempfile::tempdir()?;
    /// for class in ["ants", "bees"] {
    ///     std::fs::create_dir(folder.path().join(class))?;
    ///     for i in 0..10 {
    ///         std::fs::write(folder.path().join(class).join(format!("{i}.jpg")), "")?;
    ///     }
    /// }
    /// let dataset = classifold_data::Dataset::open(folder.path(), 0)?;
    /// assert_eq!(dataset.classes, ["ants", "bees"]);
    /// assert_eq!((dataset.train.len(), dataset.val.len(), dataset.test.len()), (14, 2, 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(source: &Path, seed: u64) -> Result<Self> {
        let (dataset, splits) = Self::open_unchecked(source, seed)?;
        if let Some((first, others)) = splits.split_first()
            && let Some(second) = others.iter().find(|s| s.classes != first.classes)
        {
            return Err(classes_differ(first, second));
        }
        if dataset.all().next().is_none() {
            return Err(Error::no_images(source));
        }
        Ok(dataset)
    }

    /// As [`open`](Self::open), but the class folders of the splits may differ: the classes are their
    /// union. Also returns the class folders of each split, where the splits are folders.
    ///
    /// # Errors
    /// The path does not exist or has no class folder.
    pub fn open_unchecked(source: &Path, seed: u64) -> Result<(Self, Vec<SplitClasses>)> {
        Self::read(source, seed, Unit::Image)
    }

    /// As [`open_unchecked`](Self::open_unchecked), dividing by `unit` what has no split.
    pub(crate) fn read(source: &Path, seed: u64, unit: Unit) -> Result<(Self, Vec<SplitClasses>)> {
        let kind = match fs::metadata(source) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::with_hint(
                    format!("there is no folder or CSV file `{}`", source.display()),
                    "check the path of the data folder",
                ));
            }
            Err(error) => return Err(reading(source)(error)),
        };
        if kind.is_dir() {
            return open_folder(source, seed, unit);
        }
        if source
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("csv"))
        {
            return Ok((open_table(source, seed)?, Vec::new()));
        }
        Err(Error::with_hint(
            format!("`{}` is neither a folder nor a CSV file", source.display()),
            "give a folder with one folder per class, or a `.csv` with the columns `path,label`",
        ))
    }

    /// Reads a list that [`Dataset::write_list`] wrote: exactly those files, below `data` or,
    /// without it, below the list's own folder.
    ///
    /// # Errors
    /// When the list cannot be read or a file of it is missing.
    ///
    /// ```
    /// let folder = tempfile::tempdir()?;
    /// std::fs::write(folder.path().join("a.jpg"), "")?;
    /// std::fs::write(folder.path().join("split.csv"), "path,label,split\na.jpg,ants,test\n")?;
    /// let dataset = classifold_data::Dataset::from_list(&folder.path().join("split.csv"), None)?;
    /// assert_eq!(dataset.test[0].relative, "a.jpg");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_list(list: &Path, data: Option<&Path>) -> Result<Self> {
        let root = data
            .unwrap_or_else(|| files::parent_folder(list))
            .to_path_buf();
        let rows = table::read_list(list)?;
        let classes = table::classes(&rows);
        let mut dataset = Self::empty(root, classes);
        for row in rows {
            let Some(split) = row.split else {
                let reason = "no split is given in this row";
                return Err(Error::table(list, row.line, reason));
            };
            let sample = dataset.sample(row);
            dataset.samples_mut(split).push(sample);
        }
        // All at once, and now: a file that is missing must not end a training after hours.
        let missing: Vec<&Sample> = dataset
            .all()
            .filter(|sample| !sample.path.exists())
            .collect();
        match missing.first() {
            None => Ok(dataset),
            Some(first) => Err(Error::with_hint(
                format!(
                    "{} of {} listed files are missing, first `{}`",
                    missing.len(),
                    dataset.all().count(),
                    first.path.display()
                ),
                "name the folder that the list's paths start from",
            )),
        }
    }

    /// The images that the rows of the table `path` name, below `root`. Those of a table without splits are divided by
    /// `seed`, those that are missing are derived. Whether the images are there is not looked at.
    ///
    /// # Errors
    /// There is no row, or a row lacks the split that others have.
    pub fn from_rows(path: &Path, root: &Path, rows: Vec<table::Row>, seed: u64) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::no_images(path));
        }
        let mut dataset = Self::empty(root.to_path_buf(), table::classes(&rows));
        let with_split = rows.iter().filter(|row| row.split.is_some()).count();
        if with_split == 0 {
            let samples = rows.into_iter().map(|row| dataset.sample(row)).collect();
            dataset.divide(samples, "a table without splits", seed, Unit::Image);
            return Ok(dataset);
        }
        let mut names = BTreeMap::new();
        for row in rows {
            let Some(split) = row.split else {
                let reason = "no split is given, but other rows have one";
                return Err(Error::table(path, row.line, reason));
            };
            names.insert(split, format!("`{split}`"));
            let sample = dataset.sample(row);
            dataset.samples_mut(split).push(sample);
        }
        dataset.derive_missing_splits(&names, seed, Unit::Image);
        Ok(dataset)
    }

    /// Writes which image is in which split, as CSV with the columns `path,label,split`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_list(&self, path: &Path) -> Result<()> {
        let rows = Split::ALL.into_iter().flat_map(|split| {
            let samples = self.samples(split).iter();
            samples.map(move |sample| {
                let class = &self.classes[sample.label as usize];
                [sample.relative.as_str(), class, split.name()]
            })
        });
        table::write(path, rows)
    }

    /// The images of a split.
    #[must_use]
    pub fn samples(&self, split: Split) -> &[Sample] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// SHA-256 over the sorted relative paths and the SHA-256 of each file, in hexadecimal.
    ///
    /// A file that cannot be read counts without content: up to 5 % of the images may be unreadable.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.fingerprint_with(&|_| None)
    }

    /// As [`fingerprint`](Self::fingerprint); a file whose SHA-256 is `known` is not read again.
    #[must_use]
    pub fn fingerprint_with(&self, known: &(dyn Fn(&Path) -> Option<[u8; 32]> + Sync)) -> String {
        let digest = |sample: &Sample| known(&sample.path).or_else(|| sample.sha256().ok());
        let samples: Vec<&Sample> = self.all().collect();
        let mut hashed: Vec<(&str, String)> = samples
            .into_par_iter()
            .map(|sample| {
                let digest =
                    digest(sample).map_or("unreadable".into(), |digest| hash::hex(&digest));
                (sample.relative.as_str(), digest)
            })
            .collect();
        // Independent of how the images are divided: another seed is the same data set.
        hashed.sort_unstable();
        let mut whole = Sha256::new();
        for (relative, hash) in hashed {
            // No file name contains a zero byte, so no two lists have the same text.
            whole.update(format!("{relative}\0{hash}\n"));
        }
        hash::hex(&whole.finalize())
    }

    /// Checks that a classifier can be trained with it.
    ///
    /// # Errors
    /// There are fewer than two classes, a class without training images, or no validation image.
    pub fn check_trainable(&self) -> Result<()> {
        let root = self.root.display();
        let empty = |split| {
            Error::with_hint(
                format!("`{root}` has no {split} images"),
                "add images: validation takes a tenth of each class that has two or more",
            )
        };
        if self.train.is_empty() {
            return Err(empty(Split::Train));
        }
        if let [class] = self.classes.as_slice() {
            return Err(Error::with_hint(
                format!("`{root}` has one class only: {class}"),
                "add a folder with the images of at least one other class",
            ));
        }
        let mut counts = vec![0_u64; self.classes.len()];
        for sample in &self.train {
            counts[sample.label as usize] += 1;
        }
        if let Some(index) = counts.iter().position(|&count| count == 0) {
            let class = &self.classes[index];
            let path = self.class_folder(class).unwrap_or(&self.root).display();
            return Err(Error::with_hint(
                format!("class `{class}` has no training images in `{path}`"),
                "add images to it, or remove the class from every split",
            ));
        }
        if self.val.is_empty() {
            return Err(empty(Split::Val));
        }
        Ok(())
    }

    /// The folder of a class without images; the first is that of the training split.
    fn class_folder(&self, class: &str) -> Option<&PathBuf> {
        let mut paths = self.left_out.iter().map(|left| &left.path);
        paths.find(|path| path.is_dir() && path.ends_with(class))
    }

    fn empty(root: PathBuf, classes: Vec<String>) -> Self {
        Self {
            root,
            classes,
            train: Vec::new(),
            val: Vec::new(),
            test: Vec::new(),
            left_out: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Images `paths` below `root`, whose identities are numbered by one of their images each: its path is the name.
    pub(crate) fn of_identities(
        root: PathBuf,
        paths: &[String],
        identities: &[usize],
        splits: &[Split],
    ) -> Self {
        let name = |identity: &usize| paths[*identity].clone();
        let names: BTreeSet<String> = identities.iter().map(name).collect();
        let mut dataset = Self::empty(root, names.into_iter().collect());
        for ((path, identity), split) in paths.iter().zip(identities).zip(splits) {
            let sample = Sample {
                path: dataset.root.join(path),
                label: dataset.label(&paths[*identity]),
                relative: path.clone(),
            };
            dataset.samples_mut(*split).push(sample);
        }
        dataset
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Sample> {
        Split::ALL.into_iter().flat_map(|split| self.samples(split))
    }

    fn samples_mut(&mut self, split: Split) -> &mut Vec<Sample> {
        match split {
            Split::Train => &mut self.train,
            Split::Val => &mut self.val,
            Split::Test => &mut self.test,
        }
    }

    /// A row of a table as a sample of this set.
    fn sample(&self, row: table::Row) -> Sample {
        Sample {
            path: self.root.join(&row.path),
            label: self.label(&row.label),
            relative: row.path,
        }
    }

    /// The index of a class.
    fn label(&self, class: &String) -> u32 {
        let index = self.classes.binary_search(class);
        index.expect("the classes were collected from these same labels, sorted") as u32
    }

    /// Divides images that have no split, 70/10/20.
    fn divide(&mut self, samples: Vec<Sample>, what: &str, seed: u64, unit: Unit) {
        [self.train, self.val, self.test] = unit.divide(samples, seed, train_val_test_counts);
        let unit = match unit {
            Unit::Image => "class by class",
            Unit::Identity => "no identity in two of them",
        };
        self.notes.push(format!(
            "{what}: divided into 70 % train, 10 % val, 20 % test, {unit} (seed {seed})"
        ));
    }

    /// Derives the splits that are missing. `names` are the existing ones, as messages call them.
    fn derive_missing_splits(&mut self, names: &BTreeMap<Split, String>, seed: u64, unit: Unit) {
        let name = |split| names.get(&split).map(String::as_str);
        match (name(Split::Train), name(Split::Val), name(Split::Test)) {
            (Some(_), Some(_), Some(_)) | (None, _, Some(_)) | (None, None, None) => {}
            (Some(train), None, None) => {
                let samples = std::mem::take(&mut self.train);
                self.divide(samples, &format!("only {train}"), seed, unit);
            }
            (train, Some(val), None) => {
                // Published sets with `train` and `val` alone report scores on `val`: it is kept for
                // the end.
                self.test = std::mem::take(&mut self.val);
                let mut note = format!("no test images: {val} is the test set");
                if let Some(train) = train {
                    self.split_off_validation(seed, unit);
                    note += &format!("; validation is 10 % of {train} (seed {seed})");
                }
                self.notes.push(note);
            }
            (Some(train), None, Some(_)) => {
                self.split_off_validation(seed, unit);
                self.notes.push(format!(
                    "no validation images: validation is 10 % of {train} (seed {seed})"
                ));
            }
        }
    }

    fn split_off_validation(&mut self, seed: u64, unit: Unit) {
        let train = std::mem::take(&mut self.train);
        [self.train, self.val] = unit.divide(train, seed, train_val_counts);
    }
}

/// What stays whole where images are divided into splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Every split has its share of each class.
    Image,
    /// Every split has its share of the classes, which are identities.
    Identity,
}

impl Unit {
    fn divide<const P: usize>(
        self,
        samples: Vec<Sample>,
        seed: u64,
        parts: impl Fn(usize) -> [usize; P],
    ) -> [Vec<Sample>; P] {
        if self == Self::Image {
            return stratified(samples, |sample| sample.label, seed, parts);
        }
        let identities: BTreeSet<u32> = samples.iter().map(|sample| sample.label).collect();
        let identities = stratified(identities.into_iter().collect(), |_| 0, seed, parts);
        identities.map(|part| {
            let samples = samples.iter();
            let of_part = samples.filter(|sample| part.binary_search(&sample.label).is_ok());
            of_part.cloned().collect()
        })
    }
}

/// The error of two splits with other class folders: which ones to add or to remove.
fn classes_differ(first: &SplitClasses, second: &SplitClasses) -> Error {
    let difference = |a: &[String], b: &[String]| {
        a.iter()
            .filter(|name| !b.contains(name))
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
    };
    let (expected, found) = (&first.classes, &second.classes);
    let (missing, extra) = (difference(expected, found), difference(found, expected));
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("missing in the second: {}", missing.join(", ")));
    }
    if !extra.is_empty() {
        parts.push(format!("only in the second: {}", extra.join(", ")));
    }
    let message = format!(
        "class folders differ between `{}` and `{}`\n  expected: {}\n  found:    {}",
        first.folder.display(),
        second.folder.display(),
        expected.join(", "),
        found.join(", ")
    );
    let parts = parts.join("; ");
    Error::with_hint(
        message,
        format!("{parts}; every split needs the same class folders"),
    )
}

fn open_folder(root: &Path, seed: u64, unit: Unit) -> Result<(Dataset, Vec<SplitClasses>)> {
    let layout = Layout::open(root)?;
    let mut dataset = Dataset::empty(root.to_path_buf(), Vec::new());
    dataset.notes.extend(layout.note);
    dataset.left_out = layout.left_out;
    if layout.splits.is_empty() {
        let folder = layout::at(root, &layout.base);
        let scan = scan::scan(&folder, &layout.base)?;
        layout::check_classes(&folder, &layout.base, &scan)?;
        let Scan {
            classes,
            samples,
            left_out,
        } = scan;
        dataset.classes = classes;
        dataset.left_out.extend(left_out);
        dataset.divide(samples, "one folder of classes", seed, unit);
        return Ok((dataset, Vec::new()));
    }
    let mut scans = Vec::new();
    for (&split, name) in &layout.splits {
        let folder = root.join(name);
        let scan = scan::scan(&folder, name)?;
        layout::check_classes(&folder, name, &scan)?;
        scans.push((split, folder, scan));
    }
    let mut classes: Vec<String> = scans
        .iter()
        .flat_map(|(_, _, scan)| scan.classes.iter().cloned())
        .collect();
    classes.sort_unstable();
    classes.dedup();
    dataset.classes = classes;
    let mut split_classes = Vec::new();
    for (split, folder, scan) in scans {
        dataset.left_out.extend(scan.left_out);
        let mut samples = scan.samples;
        // From an index into this split's classes to one into those of all splits.
        for sample in &mut samples {
            sample.label = dataset.label(&scan.classes[sample.label as usize]);
        }
        *dataset.samples_mut(split) = samples;
        let classes = scan.classes;
        split_classes.push(SplitClasses { folder, classes });
    }
    let names = layout
        .splits
        .iter()
        .map(|(&split, name)| (split, format!("{name}/")))
        .collect();
    dataset.derive_missing_splits(&names, seed, unit);
    Ok((dataset, split_classes))
}

fn open_table(path: &Path, seed: u64) -> Result<Dataset> {
    Dataset::from_rows(path, files::parent_folder(path), table::read(path)?, seed)
}

#[cfg(test)]
mod tests;

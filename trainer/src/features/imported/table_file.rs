//! Table of features, a Parquet file or a folder of them: its rows as a data set, and the matrices of a data set. Knows no
//! backbone.
//!
//! Its columns are `path` or `id`, `features`, `backbone` (the text of a [`FeatureOrigin`](deploy::FeatureOrigin)), and where
//! they are needed `label`, `split` and `error`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use data::{Dataset, Sample, Split, class_names, table};
use fs_err as fs;

use super::ImportedFeatures;
use super::columns::{List, ParquetFile};
use super::matrices::{Matrices, Place};
use crate::error::{Error, Result};
use crate::resolve::data_folder;

const FEATURES: &str = "features";
const BACKBONE: &str = "backbone";
const LABEL: &str = "label";
const SPLIT: &str = "split";
const ERROR: &str = "error";
/// Columns that name an image, in the order in which they are taken.
const KEYS: [&str; 2] = ["path", "id"];
/// A column that stands beside predicted labels alone.
const PREDICTED: &str = "probability";

/// A table whose features are not read yet.
pub struct FeatureTableFile {
    path: PathBuf,
    parts: Vec<ParquetFile>,
    /// Path or id of each row.
    keys: Vec<String>,
    /// What the features depend on besides their images.
    origin: String,
    /// Why a row has no features.
    errors: HashMap<usize, String>,
}

impl FeatureTableFile {
    /// Opens a Parquet file, or all of a folder, and reads what names the rows.
    ///
    /// # Errors
    /// It cannot be read, a column is missing, two rows have the same name, or the rows are of several backbones.
    pub fn open(path: &Path) -> Result<Self> {
        let parts: Vec<ParquetFile> = part_paths(path)?
            .iter()
            .map(|part| ParquetFile::open(part))
            .collect::<Result<_>>()?;
        let mut file = Self {
            path: path.to_path_buf(),
            keys: Vec::new(),
            origin: String::new(),
            errors: HashMap::new(),
            parts,
        };
        file.read_keys()?;
        file.read_origin()?;
        let mut errors = HashMap::new();
        if file.has(ERROR) {
            file.texts(ERROR, &mut |row, error| {
                errors.extend(error.map(|error| (row, error.to_owned())));
                Ok(())
            })?;
        }
        file.errors = errors;
        Ok(file)
    }

    fn read_keys(&mut self) -> Result<()> {
        let named = KEYS.into_iter().find(|name| self.has(name));
        let Some(column) = named else {
            return Err(self.lacks("path` or `id"));
        };
        let mut keys = Vec::new();
        self.texts(column, &mut |row, key| {
            keys.push(key.ok_or_else(|| self.row_lacks(row, column))?.to_owned());
            Ok(())
        })?;
        if keys.is_empty() {
            return Err(self.refuse("has no rows", "compute it again"));
        }
        if let Some(twice) = twice(&keys) {
            return Err(self.refuse(
                &format!("has two rows of `{twice}`"),
                "keep one row of each image",
            ));
        }
        self.keys = keys;
        Ok(())
    }

    fn read_origin(&mut self) -> Result<()> {
        if !self.has(BACKBONE) {
            return Err(self.refuse(
                "has no column `backbone`, which says whose features they are",
                "compute it by `deploy score`, `deploy embed --out X.parquet` without `--normalize`, or the Python class \
                 `Scorer`, with the file that `deploy cut` wrote",
            ));
        }
        let mut origin: Option<String> = None;
        self.texts(BACKBONE, &mut |row, own| {
            let own = own.ok_or_else(|| self.row_lacks(row, BACKBONE))?;
            match &origin {
                None => origin = Some(own.to_owned()),
                Some(first) if first == own => {}
                Some(first) => {
                    let problem = format!(
                        "has features of several backbones\n  first row:  {first}\n  `{}`: {own}",
                        self.keys[row]
                    );
                    return Err(self.refuse(&problem, "give a table of one backbone"));
                }
            }
            Ok(())
        })?;
        self.origin = origin.unwrap_or_default();
        Ok(())
    }

    /// The data set that its columns `label` and `split` describe. The rows are taken in the order of their names: engines
    /// write them in any.
    ///
    /// # Errors
    /// The column `label` is missing, lacks a value or holds predictions; the splits are of some rows only.
    pub fn dataset(&self, seed: u64) -> Result<Dataset> {
        let hint = "add a column `label`, or name labels by `--data`: a folder of classes, or a CSV file with the columns \
                    `path,label`";
        if !self.has(LABEL) {
            return Err(self.refuse("has no column `label`", hint));
        }
        if self.has(PREDICTED) {
            let problem =
                "has a column `label` beside `probability`: it holds answers of a classifier";
            return Err(self.refuse(problem, hint));
        }
        let mut rows = Vec::with_capacity(self.keys.len());
        self.texts(LABEL, &mut |row, label| {
            let label = label.filter(|label| !label.is_empty());
            rows.push(table::Row {
                path: self.keys[row].clone(),
                label: class_names::nfc(label.ok_or_else(|| self.row_lacks(row, LABEL))?),
                split: None,
                line: row as u64 + 1,
            });
            Ok(())
        })?;
        if self.has(SPLIT) {
            self.texts(SPLIT, &mut |row, split| {
                let split = split.filter(|split| !split.is_empty());
                let parsed = split.map(|split| split.trim().parse::<Split>()).transpose();
                rows[row].split = parsed.map_err(|error| {
                    let problem = format!("has a row of `{}`: {error}", self.keys[row]);
                    self.refuse(&problem, "give `train`, `val` or `test`")
                })?;
                Ok(())
            })?;
            let has_split = |row: &&table::Row| row.split.is_some();
            let missing = rows.iter().find(|row| !has_split(row));
            if let (Some(missing), true) = (missing, rows.iter().any(|row| has_split(&row))) {
                return Err(self.row_lacks(missing.line as usize - 1, SPLIT));
            }
        }
        rows.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let root = data_folder(&self.path);
        Ok(Dataset::from_rows(&self.path, root, rows, seed)?)
    }

    /// Reads the features of the images of a data set. `is_strict`: an image without features is an error.
    ///
    /// # Errors
    /// No image has a row, or too many have none; a row has features of another number than the others, or one that is not
    /// finite.
    pub fn read(&self, dataset: &Dataset, is_strict: bool) -> Result<ImportedFeatures> {
        let rows = RowFinder::new(&self.keys);
        let places = self.places(dataset, &rows)?;
        let counts = Split::ALL.map(|split| dataset.samples(split).len());
        let mut matrices = Matrices::new(counts);
        let mut row = 0;
        for part in &self.parts {
            part.lists(FEATURES, &mut |list| {
                let place = places.get(row).copied().flatten();
                row += 1;
                let Some(place) = place else { return Ok(()) };
                match list {
                    List::Missing => Ok(()),
                    List::Numbers(numbers) if numbers.iter().all(|v| v.is_finite()) => {
                        let width = matrices.add(place, numbers);
                        width.map_err(|width| self.other_width(row - 1, width, numbers.len()))
                    }
                    List::Numbers(_) | List::WithGap => Err(self.refuse(
                        &format!(
                            "has features of `{}` that are not finite numbers",
                            self.keys[row - 1]
                        ),
                        "leave out such images, or take another backbone",
                    )),
                }
            })?;
        }
        let reason = |sample: &Sample| {
            let error = rows.find(sample).and_then(|row| self.errors.get(&row));
            let missing = || format!("no features in `{}`", self.path.display());
            error.cloned().unwrap_or_else(missing)
        };
        let (splits, unreadable) = matrices.gather(dataset, is_strict, &reason)?;
        Ok(ImportedFeatures {
            path: self.path.clone(),
            origin: self.origin.clone(),
            width: splits[0].width(),
            splits,
            unreadable,
            num_unused: places.iter().filter(|place| place.is_none()).count(),
        })
    }

    /// Where each row belongs: a split and an index into its images.
    fn places(&self, dataset: &Dataset, rows: &RowFinder<'_>) -> Result<Vec<Option<Place>>> {
        let mut places = vec![None; self.keys.len()];
        for split in Split::ALL {
            for (index, sample) in dataset.samples(split).iter().enumerate() {
                let Some(row) = rows.find(sample) else {
                    continue;
                };
                if places[row].replace(Place { split, index }).is_some() {
                    let problem = format!("has one row, `{}`, for two images", self.keys[row]);
                    return Err(self.refuse(&problem, "name the images by their whole paths"));
                }
            }
        }
        if places.iter().all(Option::is_none) {
            let sample = Split::ALL.map(|split| dataset.samples(split).first());
            let expected = sample.into_iter().flatten().next();
            let problem = format!(
                "has no row of an image of `{}`\n  expected: {}\n  found:    {}",
                dataset.root.display(),
                expected.map_or("", |sample| sample.relative.as_str()),
                self.keys.first().map_or("", String::as_str)
            );
            let hint = "its rows are named by paths below the data's folder, whole paths, or paths from this folder";
            return Err(self.refuse(&problem, hint));
        }
        Ok(places)
    }

    /// Hands every value of a column to `take`, with the index of its row in all parts. Once the rows have their names, a
    /// column has as many.
    fn texts(
        &self,
        name: &str,
        take: &mut dyn FnMut(usize, Option<&str>) -> Result<()>,
    ) -> Result<()> {
        let mut row = 0;
        for part in &self.parts {
            part.texts(name, &mut |value| {
                row += 1;
                if !self.keys.is_empty() && row > self.keys.len() {
                    return Err(self.other_length(name));
                }
                take(row - 1, value)
            })?;
        }
        if !self.keys.is_empty() && row < self.keys.len() {
            return Err(self.other_length(name));
        }
        Ok(())
    }

    fn has(&self, column: &str) -> bool {
        let has = |part: &ParquetFile| part.columns().iter().any(|own| own == column);
        self.parts.iter().any(has)
    }

    fn lacks(&self, columns: &str) -> Error {
        let found = self
            .parts
            .first()
            .map_or_else(Vec::new, ParquetFile::columns);
        let problem = format!(
            "has no column `{columns}`\n  found:    {}",
            found.join(", ")
        );
        self.refuse(
            &problem,
            "name its columns `path`, `features` and `backbone`",
        )
    }

    fn row_lacks(&self, row: usize, column: &str) -> Error {
        let key = self.keys.get(row).map(|key| format!(" (`{key}`)"));
        let problem = format!(
            "has no `{column}` in row {}{}",
            row + 1,
            key.unwrap_or_default()
        );
        self.refuse(&problem, "every row needs one")
    }

    fn other_length(&self, column: &str) -> Error {
        let problem = format!("has another number of values of `{column}` than of rows");
        self.refuse(&problem, "it is damaged: compute it again")
    }

    fn other_width(&self, row: usize, width: usize, found: usize) -> Error {
        let key = &self.keys[row];
        let problem = format!("has {found} features of `{key}`, and {width} of other images");
        self.refuse(&problem, "give a table of one backbone")
    }

    /// `problem` is the predicate of a sentence about the table.
    fn refuse(&self, problem: &str, hint: &str) -> Error {
        Error::refused_with_hint(format!("`{}` {problem}", self.path.display()), hint)
    }
}

/// The rows of a table by the names of their images.
struct RowFinder<'a> {
    rows: HashMap<&'a str, usize>,
    current: PathBuf,
}

impl<'a> RowFinder<'a> {
    fn new(keys: &'a [String]) -> Self {
        Self {
            rows: keys.iter().map(String::as_str).zip(0..).collect(),
            current: std::env::current_dir().unwrap_or_default(),
        }
    }

    /// The row of an image: by its path below the data's folder, its whole path, or its path from this folder.
    fn find(&self, sample: &Sample) -> Option<usize> {
        let row = |path: &Path| self.rows.get(path.to_str()?).copied();
        let own = row(Path::new(&sample.relative)).or_else(|| row(&sample.path));
        own.or_else(|| row(sample.path.strip_prefix(&self.current).ok()?))
    }
}

/// A key that is there a second time.
fn twice(keys: &[String]) -> Option<&String> {
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter().find(|key| !seen.insert(key.as_str()))
}

/// The Parquet files of a table: itself, or those in a folder, in the order of their names.
fn part_paths(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    if !path.is_dir() {
        return Err(Error::refused_with_hint(
            format!("there is no table `{}`", path.display()),
            "`deploy cut` and then `deploy score` write one",
        ));
    }
    let mut parts = Vec::new();
    for entry in fs::read_dir(path)? {
        let part = entry?.path();
        let name = part
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        // Engines keep their own files there, such as `_SUCCESS` and `.part.crc`.
        if name.ends_with(".parquet") && !name.starts_with(['.', '_']) {
            parts.push(part);
        }
    }
    parts.sort_unstable();
    match parts.is_empty() {
        false => Ok(parts),
        true => Err(Error::refused_with_hint(
            format!("the folder `{}` has no Parquet file", path.display()),
            "give the folder that `deploy score --out` or an engine wrote, or a file",
        )),
    }
}

//! Layout of a data folder: which of its folders is which split, as other tools name and nest them.
//!
//! Reads names only. Folders that read like splits as well as like classes are refused with a picture of what
//! was understood: a split must not become a class without a word.

use super::scan::{Entries, Scan, class_entries, join};
use super::{LeftOut, Split};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Levels of folders with a single folder in them that are passed through. A link may lead in a circle.
const MAX_WRAPPERS: usize = 4;
/// Folders of a picture, and folders named in one line of it.
const PICTURED: usize = 6;

const HINT: &str = "put the images into `train/CLASS/`, `val/CLASS/` and `test/CLASS/`, or into `CLASS/` alone; \
                    any other layout can be a CSV file with the columns `path,label[,split]`";

/// What the folders below a data root are. Paths are relative to the root and separated by `/`.
pub(super) struct Layout {
    /// The folder that contains the splits or the classes; empty where it is the root.
    pub(super) base: String,
    /// The folder of each split; none where `base` is one folder of classes.
    pub(super) splits: BTreeMap<Split, String>,
    /// What lies beside the splits, and in the folders that were passed through.
    pub(super) left_out: Vec<LeftOut>,
    /// What was read otherwise than it is named, for the log.
    pub(super) note: Option<String>,
}

impl Layout {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let passed = Passed::through(root, String::new(), &|name| split_of(name).is_some())?;
        let (base, entries) = (passed.folder, passed.entries);
        let mut left_out = passed.left_out;
        let splits = split_folders(root, &base, &entries.folders, &mut left_out)?;
        if !splits.is_empty() {
            left_out.extend(entries.left_out(&at(root, &base)));
        }
        let is_usual = base.is_empty() && splits.values().all(|folder| is_plain(folder));
        let mut layout = Self {
            note: (!is_usual).then(|| note(&base, &splits)),
            base,
            splits,
            left_out,
        };
        if !layout.splits.is_empty() {
            layout.leave_out_other_folders(root, &entries)?;
        }
        Ok(layout)
    }

    fn leave_out_other_folders(&mut self, root: &Path, entries: &Entries) -> Result<()> {
        let base = at(root, &self.base);
        let others = entries.folders.iter().filter(|name| {
            let folder = join(&self.base, name);
            let below = format!("{folder}/");
            !self
                .splits
                .values()
                .any(|s| *s == folder || s.starts_with(&below))
        });
        for name in others {
            let path = base.join(name);
            // Classes beside `test/` alone: the classes would be lost, not the folder of another purpose.
            if !self.splits.contains_key(&Split::Train) && class_entries(&path)?.has_images(&path) {
                let mut lines: Vec<String> = self
                    .splits
                    .iter()
                    .map(|(split, folder)| format!("{folder}/  the {split} split"))
                    .collect();
                lines.push(format!("{name}/  images, not used"));
                let reason = "has both splits and classes";
                return Err(refused(&base, reason, &lines));
            }
            self.left_out.push(LeftOut {
                path,
                reason: "not one of train, val, valid, test".into(),
            });
        }
        Ok(())
    }
}

/// `root` joined with a relative path that may be empty; `Path::join` would leave a `/` at the end.
pub(super) fn at(root: &Path, relative: &str) -> PathBuf {
    match relative {
        "" => root.to_path_buf(),
        relative => root.join(relative),
    }
}

fn split_of(name: &str) -> Option<Split> {
    name.parse().ok()
}

/// The split of a name such as `seg_train` or `test-set`: one word of it is a split's name.
fn split_in(name: &str) -> Option<Split> {
    let words = name.split(|c: char| !c.is_alphanumeric());
    let mut splits = words.filter_map(split_of);
    splits.next().filter(|_| splits.next().is_none())
}

/// Whether a folder has a name that needs no explanation.
fn is_plain(folder: &str) -> bool {
    ["train", "val", "valid", "test"].contains(&folder)
}

/// A folder below those that contain one folder and no image, as archives unpack: `flowers/flowers/daisy`.
struct Passed {
    folder: String,
    entries: Entries,
    /// What else the folders above it contain.
    left_out: Vec<LeftOut>,
}

impl Passed {
    /// Stops above a folder whose name is to be `kept`.
    fn through(root: &Path, folder: String, kept: &dyn Fn(&str) -> bool) -> Result<Self> {
        let mut path = at(root, &folder);
        let mut passed = Self {
            entries: class_entries(&path)?,
            folder,
            left_out: Vec::new(),
        };
        for _ in 0..MAX_WRAPPERS {
            let [only] = passed.entries.folders.as_slice() else {
                break;
            };
            if kept(only) || passed.entries.has_images(&path) {
                break;
            }
            let inner_path = path.join(only);
            let inner = class_entries(&inner_path)?;
            // A folder of images is a class, even the only one.
            if inner.folders.is_empty() || inner.has_images(&inner_path) {
                break;
            }
            passed.left_out.extend(passed.entries.left_out(&path));
            passed.folder = join(&passed.folder, only);
            (path, passed.entries) = (inner_path, inner);
        }
        Ok(passed)
    }
}

/// The folder of each split; none if the folder is not divided. A split contains class folders: a folder
/// `train` with images alone is a class.
fn split_folders(
    root: &Path,
    base: &str,
    folders: &[String],
    left_out: &mut Vec<LeftOut>,
) -> Result<BTreeMap<Split, String>> {
    let (mut plain, mut affixed) = (BTreeMap::new(), BTreeMap::new());
    let mut is_divided = false;
    for name in folders {
        let (split, is_plain) = match (split_of(name), split_in(name)) {
            (Some(split), _) => (split, true),
            (None, Some(split)) => (split, false),
            (None, None) => continue,
        };
        let passed = Passed::through(root, join(base, name), &|_| false)?;
        let has_classes = !passed.entries.folders.is_empty();
        is_divided |= is_plain && has_classes;
        // `test_tube` is a class, and its folder holds images.
        let found = match is_plain {
            true => &mut plain,
            false if has_classes => &mut affixed,
            false => continue,
        };
        left_out.extend(passed.left_out);
        let folder = passed.folder;
        if let Some(other) = found.insert(split, folder.clone()) {
            return Err(Error::with_hint(
                format!("`{}` has both `{other}/` and `{folder}/`", root.display()),
                format!("keep one of them: both are named like the {split} split"),
            ));
        }
    }
    // One name with a split's word in it may be chance: `train_stations/` beside `airports/`.
    if !is_divided && affixed.len() < 2 {
        return Ok(BTreeMap::new());
    }
    affixed.append(&mut plain);
    Ok(affixed)
}

/// What stands in the log of a layout that is not named as this project names it.
fn note(base: &str, splits: &BTreeMap<Split, String>) -> String {
    if splits.is_empty() {
        return format!("the classes are the folders in `{base}`");
    }
    let splits = splits
        .iter()
        .map(|(split, folder)| format!("`{folder}` is {split}"));
    format!("splits: {}", splits.collect::<Vec<_>>().join(", "))
}

/// Refuses classes that read like splits, or that contain what reads like classes. `prefix` is the folder of
/// the classes as in the relative paths of the samples.
pub(super) fn check_classes(folder: &Path, prefix: &str, scan: &Scan) -> Result<()> {
    // For each class, how many of its images lie in which of its folders, "" being itself.
    let mut inside: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new(); scan.classes.len()];
    for sample in &scan.samples {
        let class = join(prefix, &scan.classes[sample.label as usize]);
        let below = &sample.relative[class.len() + 1..];
        let sub = below.split_once('/').map_or("", |(sub, _)| sub);
        *inside[sample.label as usize].entry(sub).or_default() += 1;
    }
    let Some(reason) = doubt(&scan.classes, &inside) else {
        return Ok(());
    };
    let lines: Vec<String> = scan.classes.iter().zip(&inside).map(pictured).collect();
    Err(refused(folder, &reason, &lines))
}

/// Why folders do not read like classes, if so.
fn doubt(classes: &[String], inside: &[BTreeMap<&str, usize>]) -> Option<String> {
    // A train is a vehicle, too; a single folder of that name may be a class.
    let like_split =
        |name: &&String| split_of(name).is_some() && !name.eq_ignore_ascii_case("train");
    if let Some(name) = classes.iter().find(like_split) {
        return Some(format!(
            "would have a class `{name}`, which is the name of a split"
        ));
    }
    // Images that lie in the class folder itself are a class, whatever folders stand beside them.
    let filled: Vec<_> = classes
        .iter()
        .zip(inside)
        .filter(|(_, subs)| !subs.is_empty())
        .collect();
    if let Some((class, _)) = filled.iter().find(|(_, subs)| {
        let splits: BTreeSet<Split> = subs.keys().filter_map(|sub| split_of(sub)).collect();
        !subs.contains_key("") && splits.len() >= 2
    }) {
        return Some(format!("would have a class `{class}` with splits in it"));
    }
    let [(_, first), others @ ..] = filled.as_slice() else {
        return None;
    };
    let is_common = |sub: &&&str| others.iter().all(|(_, subs)| subs.contains_key(**sub));
    let num_common = first.keys().filter(is_common).count();
    let is_nested = filled.iter().all(|(_, subs)| !subs.contains_key(""));
    // One folder in every class is usual: `CLASS/images/`.
    (is_nested && !others.is_empty() && num_common >= 2)
        .then(|| "would have classes that all contain the same folders".into())
}

/// A class folder as one line: `2023/  40 images in ants/, bees/`.
fn pictured((class, subs): (&String, &BTreeMap<&str, usize>)) -> String {
    let mut line = match subs.values().sum() {
        1 => format!("{class}/  1 image"),
        images => format!("{class}/  {images} images"),
    };
    let subs: Vec<String> = subs
        .keys()
        .filter(|sub| !sub.is_empty())
        .map(|sub| format!("{sub}/"))
        .collect();
    if !subs.is_empty() {
        line += &format!(" in {}", abridged(&subs).join(", "));
    }
    line
}

/// The first few, and how many more there are.
fn abridged(lines: &[String]) -> Vec<String> {
    let mut shown = lines[..lines.len().min(PICTURED)].to_vec();
    if let Some(more) = lines.len().checked_sub(PICTURED + 1) {
        shown.push(format!("and {} more", more + 1));
    }
    shown
}

fn refused(folder: &Path, reason: &str, lines: &[String]) -> Error {
    let lines = abridged(lines).join("\n    ");
    let message = format!(
        "`{}` {reason}\n  understood as:\n    {lines}",
        folder.display()
    );
    Error::with_hint(message, HINT)
}

#[cfg(test)]
mod tests;

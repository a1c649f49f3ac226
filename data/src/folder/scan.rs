//! Directory walk over one folder of class folders, in the order of torchvision's `ImageFolder`.

use super::{EXTENSIONS, LeftOut, Sample};
use crate::error::reading;
use crate::{Error, Result, class_names, run_files};
use fs_err as fs;
use std::path::{Path, PathBuf};

/// Folders that archive programs and systems leave behind.
const JUNK: [&str; 6] = [
    "__MACOSX",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "__pycache__",
];

/// Contents of one folder of classes.
pub(super) struct Scan {
    pub(super) classes: Vec<String>,
    pub(super) samples: Vec<Sample>,
    pub(super) left_out: Vec<LeftOut>,
}

/// The entries of one folder, sorted by name.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) folders: Vec<String>,
    files: Vec<String>,
    /// Hidden files, names that are not UTF-8, broken links.
    unused: Vec<LeftOut>,
}

impl Entries {
    /// The entries that are not folders, where only folders are expected.
    pub(super) fn left_out(&self, folder: &Path) -> Vec<LeftOut> {
        let files = self.files.iter().map(|name| LeftOut {
            path: folder.join(name),
            reason: "not in a class folder".into(),
        });
        self.unused.iter().cloned().chain(files).collect()
    }

    /// Whether a file of the folder is an image by its extension.
    pub(super) fn has_images(&self, folder: &Path) -> bool {
        let mut files = self.files.iter();
        files.any(|name| refusal(&folder.join(name)).is_none())
    }
}

/// Lists a folder of splits or classes: without the runs of `trainer fit`, which stand in the data folder where
/// that was the working directory.
pub(super) fn class_entries(folder: &Path) -> Result<Entries> {
    let mut entries = entries(folder)?;
    let names = std::mem::take(&mut entries.folders);
    for name in names {
        let path = folder.join(&name);
        if run_files::is_run(&path) || contains_run(&path) {
            let reason = "runs of `trainer fit`".into();
            entries.unused.push(LeftOut { path, reason });
        } else {
            entries.folders.push(name);
        }
    }
    Ok(entries)
}

fn contains_run(folder: &Path) -> bool {
    // A folder that cannot be read is reported where it is walked.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.any(|entry| run_files::is_run(&entry.path()))
}

/// Lists a folder; links are followed.
fn entries(folder: &Path) -> Result<Entries> {
    let mut entries = Entries::default();
    for entry in fs::read_dir(folder).map_err(reading(folder))? {
        let path = entry.map_err(reading(folder))?.path();
        let mut leave_out = |reason: &str| {
            entries.unused.push(LeftOut {
                path: path.clone(),
                reason: reason.into(),
            });
        };
        match path.file_name().and_then(|name| name.to_str()) {
            None => leave_out("its name is not UTF-8"),
            Some(name) if name.starts_with('.') => leave_out("hidden"),
            Some(name) if JUNK.contains(&name) => {
                leave_out("left by an archive program or the system")
            }
            // `is_dir` and `is_file` follow links.
            Some(name) if path.is_dir() => entries.folders.push(name.to_string()),
            Some(name) if path.is_file() => entries.files.push(name.to_string()),
            Some(_) => leave_out("neither a file nor a folder (a broken link?)"),
        }
    }
    entries.folders.sort_unstable();
    entries.files.sort_unstable();
    entries.unused.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// Classes, and images in torchvision's order; relative paths start with `prefix`.
pub(super) fn scan(root: &Path, prefix: &str) -> Result<Scan> {
    let entries = class_entries(root)?;
    if entries.folders.is_empty() {
        return Err(Error::with_hint(
            format!("`{}` has no class folders", root.display()),
            "put the images into one folder per class, e.g. `ants/` and `bees/`, or below `train/`, \
             `val/` and `test/`",
        ));
    }
    let mut scan = Scan {
        left_out: entries.left_out(root),
        classes: Vec::new(),
        samples: Vec::new(),
    };
    let name = |folder: &String| (class_names::nfc(folder), folder.clone());
    let mut classes: Vec<(String, String)> = entries.folders.iter().map(name).collect();
    classes.sort_unstable();
    for (label, (class, name)) in classes.into_iter().enumerate() {
        let folder = root.join(&name);
        if scan.classes.last() == Some(&class) {
            return Err(Error::with_hint(
                format!("`{}` has two folders for class `{class}`", root.display()),
                "their names differ in their Unicode form alone (NFC, NFD): move the images into one",
            ));
        }
        scan.classes.push(class);
        let mut walk = Walk::default();
        walk.folder(&folder, &join(prefix, &name), &mut Vec::new())?;
        // The order of Python's `sorted(os.walk(...))`: by folder, then by name.
        walk.files.sort_unstable();
        if walk.files.is_empty() {
            let reason = "a class folder without images".into();
            scan.left_out.push(LeftOut {
                path: folder,
                reason,
            });
        }
        scan.samples
            .extend(walk.files.into_iter().map(|(folder, name, path)| Sample {
                path,
                relative: join(&folder, &name),
                label: label as u32,
            }));
        scan.left_out.append(&mut walk.left_out);
    }
    Ok(scan)
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_string()
    } else {
        format!("{folder}/{name}")
    }
}

#[derive(Default)]
struct Walk {
    /// Relative folder, name, path.
    files: Vec<(String, String, PathBuf)>,
    left_out: Vec<LeftOut>,
}

impl Walk {
    fn folder(&mut self, path: &Path, relative: &str, ancestors: &mut Vec<PathBuf>) -> Result<()> {
        // Links are followed, so a cycle is possible; it shows as an ancestor's real path.
        let real = fs::canonicalize(path).map_err(reading(path))?;
        if ancestors.contains(&real) {
            let reason = "a link to a folder above it".into();
            self.left_out.push(LeftOut {
                path: path.to_path_buf(),
                reason,
            });
            return Ok(());
        }
        let entries = entries(path)?;
        self.left_out.extend(entries.unused);
        for name in entries.files {
            let file = path.join(&name);
            match refusal(&file) {
                None => self.files.push((relative.to_string(), name, file)),
                Some(reason) => self.left_out.push(LeftOut {
                    path: file,
                    reason: reason.into(),
                }),
            }
        }
        ancestors.push(real);
        for name in entries.folders {
            self.folder(&path.join(&name), &join(relative, &name), ancestors)?;
        }
        ancestors.pop();
        Ok(())
    }
}

/// The reason why a file is not used as an image, by its extension.
fn refusal(path: &Path) -> Option<&'static str> {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or("")
        .to_ascii_lowercase();
    if EXTENSIONS.contains(&extension.as_str()) {
        return None;
    }
    Some(pixels::decode::unsupported(&extension).unwrap_or("not an image by its extension"))
}

//! Unpacking of untrusted archives: no path leaves the folder, and entries, bytes and ratio are limited.

use crate::error::{reading, writing};
use crate::{Error, Result};
use fs_err as fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Limits on the content of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_entries: usize,
    pub(super) max_bytes: u64,
    /// Bytes out per byte in. JPEG files hardly shrink, so a high ratio is a zip bomb.
    pub(super) max_ratio: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            max_entries: 20_000,
            max_bytes: 1 << 30,
            max_ratio: 100,
        }
    }
}

/// Unpacks the archive's folder that holds `train/` as `folder`, all of it or nothing.
pub(super) fn unpack(zip: &Path, folder: &Path, bounds: &Bounds) -> Result<()> {
    let draft = draft_beside(folder)?;
    unpack_into(zip, draft.path(), bounds)?;
    let root =
        find_root(draft.path()).ok_or_else(|| refusal(zip, "there is no `train/` folder in it"))?;
    fs::rename(root, folder).map_err(writing(folder))
}

/// Unpacks all of the archive into a folder.
pub(super) fn unpack_into(zip: &Path, folder: &Path, bounds: &Bounds) -> Result<()> {
    let file = fs::File::open(zip).map_err(reading(zip))?;
    let size = file.metadata().map_err(reading(zip))?.len();
    let refused = |reason: String| refusal(zip, &reason);
    let mut archive = ZipArchive::new(file).map_err(|e| refused(format!("not a zip file: {e}")))?;
    if archive.len() > bounds.max_entries {
        return Err(refused(format!(
            "{} entries are more than the {} allowed",
            archive.len(),
            bounds.max_entries
        )));
    }
    // Counted while unpacking: sizes in an archive's directory may be false.
    let mut left = bounds.max_bytes.min(size.saturating_mul(bounds.max_ratio));
    for index in 0..archive.len() {
        unpack_entry(&mut archive, index, folder, &mut left).map_err(|fault| fault.named(zip))?;
    }
    Ok(())
}

/// Copies a folder to `folder`, all of it or nothing.
pub(super) fn copy_tree(from: &Path, folder: &Path) -> Result<()> {
    let draft = draft_beside(folder)?;
    let copy = draft.path().join("copy");
    copy_into(from, &copy)?;
    fs::rename(&copy, folder).map_err(writing(folder))
}

/// A temporary folder on the same disk.
fn draft_beside(folder: &Path) -> Result<tempfile::TempDir> {
    let parent = files::parent_folder(folder);
    let draft = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(parent);
    draft.map_err(writing(parent))
}

fn copy_into(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(writing(to))?;
    for entry in fs::read_dir(from).map_err(reading(from))? {
        let entry = entry.map_err(reading(from))?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type().map_err(reading(from))?;
        if kind.is_dir() {
            copy_into(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).map_err(writing(target))?;
        }
    }
    Ok(())
}

/// The error of an archive that is damaged, or not safe to unpack.
fn refusal(zip: &Path, reason: &str) -> Error {
    Error::invalid(format!("cannot unpack `{}`: {reason}", zip.display()))
}

/// Why an entry was not unpacked.
enum Fault {
    Refused(String),
    Disk(Error),
}

impl Fault {
    fn named(self, zip: &Path) -> Error {
        match self {
            Fault::Refused(reason) => refusal(zip, &reason),
            Fault::Disk(error) => error,
        }
    }
}

/// Unpacks one entry; `left` is how many bytes may still come out of the archive.
fn unpack_entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    index: usize,
    folder: &Path,
    left: &mut u64,
) -> std::result::Result<(), Fault> {
    let mut entry = archive
        .by_index(index)
        .map_err(|e| Fault::Refused(e.to_string()))?;
    let name = entry
        .name()
        .map_or_else(|_| format!("{index}"), std::borrow::Cow::into_owned);
    // `enclosed_name` would turn an absolute path into a relative one; such an archive is refused instead.
    let is_safe = !entry.is_symlink() && !name.starts_with(['/', '\\']);
    let relative = entry
        .enclosed_name()
        .filter(|path| is_safe && path.components().count() > 0);
    let Some(relative) = relative else {
        return Err(Fault::Refused(format!(
            "its entry `{name}` leads out of the archive"
        )));
    };
    let path = folder.join(relative);
    let made = if entry.is_dir() {
        Some(path.as_path())
    } else {
        path.parent()
    };
    if let Some(made) = made {
        fs::create_dir_all(made).map_err(|e| Fault::Disk(writing(made)(e)))?;
    }
    if entry.is_dir() {
        return Ok(());
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        // Two entries of one name, which an archive may contain, must not overwrite each other.
        .create_new(true)
        .open(&path)
        .map_err(|e| Fault::Disk(writing(&path)(e)))?;
    // One byte more than allowed, to notice that there is more; headers may lie about sizes.
    let allowed = left.saturating_add(1);
    let written = std::io::copy(&mut entry.by_ref().take(allowed), &mut file)
        .map_err(|e| Fault::Refused(format!("its entry `{name}` cannot be unpacked: {e}")))?;
    if written > *left {
        let reason = format!("its entry `{name}` unpacks to more than the archive may hold");
        return Err(Fault::Refused(reason));
    }
    *left -= written;
    Ok(())
}

/// The folder with `train/`: the top, or one below it.
fn find_root(top: &Path) -> Option<PathBuf> {
    let below = fs::read_dir(top).ok()?.flatten().map(|entry| entry.path());
    let mut below: Vec<PathBuf> = below.filter(|path| path.join("train").is_dir()).collect();
    below.sort();
    if top.join("train").is_dir() {
        Some(top.to_path_buf())
    } else {
        below.into_iter().next()
    }
}

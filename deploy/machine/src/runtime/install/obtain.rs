//! Pinned wheels on this machine: downloaded by pip or taken from a folder, compared with their SHA-256. Unpacks
//! nothing.

use std::path::{Path, PathBuf};

use files::hash;
use fs_err as fs;

use super::failed;
use crate::error::{Error, Result};
use crate::pip;
use crate::wheels::{PLATFORMS, PinnedWheel};

/// Every wheel, from a folder or downloaded, with its SHA-256 checked. `unpacked` is the size of their libraries.
pub(super) fn obtain_wheels(
    (wheels, unpacked): (&[PinnedWheel], u64),
    from: Option<&Path>,
    downloads: &Path,
    progress: &dyn Fn(&str),
) -> Result<Vec<PathBuf>> {
    if let Some(folder) = from {
        check_free_space(downloads.parent().unwrap_or(downloads), unpacked)?;
        return local_wheels(wheels, folder, progress);
    }
    fs::create_dir_all(downloads).map_err(failed("create the folder of downloads"))?;
    let is_downloaded = |part: &&PinnedWheel| {
        hash::sha256_hex(&downloads.join(part.file)).is_ok_and(|hash| hash == part.sha256)
    };
    let (present, missing): (Vec<&PinnedWheel>, Vec<&PinnedWheel>) =
        wheels.iter().partition(is_downloaded);
    let total: u64 = wheels.iter().map(|part| part.bytes).sum();
    let mut done: u64 = present.iter().map(|part| part.bytes).sum();
    // Wheels and unpacked libraries lie on the disk at the same time.
    check_free_space(downloads, total - done + unpacked)?;
    for part in &present {
        progress(&format!(
            "{} {} is downloaded already",
            part.project, part.version
        ));
    }
    for part in missing {
        download(part, downloads, (done, total), progress)?;
        done += part.bytes;
    }
    Ok(wheels
        .iter()
        .map(|part| downloads.join(part.file))
        .collect())
}

/// Downloads one wheel; reports its start and every further 100 MB.
fn download(
    part: &PinnedWheel,
    folder: &Path,
    (before, total): (u64, u64),
    progress: &dyn Fn(&str),
) -> Result<()> {
    const STEP: u64 = 100_000_000;
    let line = |bytes: u64| {
        progress(&format!(
            "downloading {} {} ({}): {} of {}",
            part.project,
            part.version,
            megabytes(part.bytes),
            megabytes(before + bytes),
            megabytes(total)
        ));
    };
    line(0);
    let steps = std::cell::Cell::new(0);
    let count = |bytes: u64| {
        let bytes = bytes.min(part.bytes);
        if bytes / STEP > steps.get() {
            steps.set(bytes / STEP);
            line(bytes);
        }
    };
    let requirement = format!("{}=={}", part.project, part.version);
    pip::download(&requirement, &PLATFORMS, folder, &count).map_err(|reason| {
        let hint = "run it again, finished downloads are kept; without a network, fetch the wheels as \
                    docs/gpu.md and docs/providers.md say and install from their folder";
        Error::gpu_install(&format!("download {requirement}"), reason, hint.to_owned())
    })?;
    check_hash(part, &folder.join(part.file))
}

fn check_hash(part: &PinnedWheel, file: &Path) -> Result<()> {
    let found = hash::sha256_hex(file).map_err(failed("read the wheel"))?;
    if found == part.sha256 {
        return Ok(());
    }
    Err(Error::hash_differs(file, part.sha256, &found))
}

/// The wheels in a folder; all must be there.
fn local_wheels(
    wheels: &[PinnedWheel],
    folder: &Path,
    progress: &dyn Fn(&str),
) -> Result<Vec<PathBuf>> {
    let files = || wheels.iter().map(|part| folder.join(part.file));
    let missing: Vec<String> = wheels
        .iter()
        .filter(|part| !folder.join(part.file).is_file())
        .map(|part| format!("`{}`", part.file))
        .collect();
    if !missing.is_empty() {
        let reason = if folder.is_dir() {
            format!("the folder lacks {}", missing.join(", "))
        } else {
            "there is no such folder".to_owned()
        };
        return Err(Error::gpu_install(
            &format!("install from `{}`", folder.display()),
            reason,
            "fetch exactly these wheels on a machine with a network, as docs/gpu.md and \
             docs/providers.md say"
                .to_owned(),
        ));
    }
    progress("checking the SHA-256 of what is there");
    for (part, file) in wheels.iter().zip(files()) {
        check_hash(part, &file)?;
    }
    Ok(files().collect())
}

/// Free bytes on the disk of an existing folder, where the system says it.
pub fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    let free = rustix::fs::statvfs(folder)
        .ok()
        .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    #[cfg(not(unix))]
    let free = folder.exists().then_some(()).and(None);
    free
}

/// Refuses an installation that would fill the disk.
fn check_free_space(folder: &Path, needed: u64) -> Result<()> {
    match free_space(folder) {
        Some(free) if free < needed => Err(Error::gpu_install(
            &format!("install into `{}`", folder.display()),
            format!(
                "{} are needed there and {} are free",
                megabytes(needed),
                megabytes(free)
            ),
            "make room on the disk, or choose another cache folder with `CLASSIFIER_CACHE`"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

pub(super) fn megabytes(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.2} GB", bytes as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_disk_that_is_too_small_is_told_before_anything_is_done() {
        let folder = tempfile::tempdir().unwrap();
        check_free_space(folder.path(), 1).unwrap();
        let error = check_free_space(folder.path(), u64::MAX).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("are needed there and"), "{text}");
        assert!(error.hint().unwrap().contains("another cache folder"));
    }
}

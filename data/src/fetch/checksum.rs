//! Expected SHA-256 of a fetched file: given, known or recorded on first use.

use super::{FetchOptions, Source, bad_source};
use crate::error::reading;
use crate::{Error, Result, hash, write};
use fs_err as fs;
use std::path::{Path, PathBuf};

/// Largest size of a git-LFS pointer, bytes (the specification's limit).
const LONGEST_POINTER: u64 = 1024;

/// The SHA-256 that a file must have.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// Given by the user, pinned in this program, or recorded when the file was first fetched.
    Known(String),
    /// Unknown: record it in this file.
    Record(PathBuf),
}

impl Expected {
    /// Given by the user, else pinned in `source`, else recorded beside `target`.
    pub(super) fn resolve(
        options: &FetchOptions<'_>,
        source: &Source,
        target: &Path,
    ) -> Result<Self> {
        if let Some(sha256) = &options.sha256 {
            let sha256 = sha256.trim().to_ascii_lowercase();
            if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                let reason = format!("`{sha256}` is no SHA-256: 64 hexadecimal digits");
                return Err(bad_source(source.name, &reason));
            }
            return Ok(Expected::Known(sha256));
        }
        if let Some(pinned) = source.sha256 {
            return Ok(Expected::Known(pinned.into()));
        }
        let recorded = recorded(target)?;
        Ok(recorded.map_or_else(|| Expected::Record(record_path(target)), Expected::Known))
    }

    /// Checks a whole file; records its hash where none was known.
    pub(super) fn check(&self, file: &Path) -> Result<()> {
        refuse_pointer(file)?;
        let found = hash::sha256_hex(file).map_err(reading(file))?;
        match self {
            Expected::Known(expected) if *expected == found => Ok(()),
            Expected::Known(expected) => Err(Error::Checksum {
                path: file.into(),
                expected: expected.clone(),
                found,
            }),
            Expected::Record(path) => {
                let name = path
                    .file_stem()
                    .expect("`record_path` appends to a file's name");
                let name = name.to_string_lossy();
                Ok(write::atomically(
                    path,
                    format!("{found}  {name}\n").as_bytes(),
                )?)
            }
        }
    }
}

/// The file beside `target` that keeps its hash, in the format of `sha256sum`.
fn record_path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".sha256");
    PathBuf::from(name)
}

pub(super) fn recorded(target: &Path) -> Result<Option<String>> {
    let path = record_path(target);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.split_whitespace().next().map(str::to_owned)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(reading(path)(error)),
    }
}

/// A git-LFS pointer is what a mirror without LFS gives in place of the file.
fn refuse_pointer(path: &Path) -> Result<()> {
    if fs::metadata(path).map_err(reading(path))?.len() > LONGEST_POINTER {
        return Ok(());
    }
    let bytes = fs::read(path).map_err(reading(path))?;
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Error::with_hint(
            format!(
                "`{}` is a git-LFS pointer, not the file itself",
                path.display()
            ),
            "fetch the file itself, with `git lfs pull` or from the host's media address",
        ));
    }
    Ok(())
}

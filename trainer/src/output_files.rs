//! Files that commands write beside checkpoints: JSON, whole or not at all. It knows no content.

use std::io::ErrorKind;
use std::path::Path;

use fs_err as fs;
use serde::Serialize;

use crate::error::Result;

pub fn save_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(data::write::atomically(path, &text)?)
}

/// Removes a file; one that is not there is no error.
pub fn remove_if_any(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The last part of a path, as text.
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

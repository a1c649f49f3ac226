//! Reading of files of a run folder, which may be missing. It knows no run.

use std::path::Path;

use fs_err as fs;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The content of a file; an error goes to `notes`.
pub(crate) fn note<T>(notes: &mut Vec<String>, content: Result<Option<T>>) -> Option<T> {
    content.unwrap_or_else(|error| {
        notes.push(error.to_string());
        None
    })
}

/// What is in a file, if it is there.
pub(crate) fn if_any<T>(path: &Path, read: impl Fn(&Path) -> Result<T>) -> Result<Option<T>> {
    path.is_file().then(|| read(path)).transpose()
}

/// The text of a file, if it is there.
pub(crate) fn text(path: &Path) -> Result<Option<String>> {
    if_any(path, |path| Ok(fs::read_to_string(path)?))
}

fn refuse(path: &Path, reason: impl ToString) -> Error {
    Error::Table {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

/// The content of a JSON file, if it is there.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    let content = serde_json::from_str(&text);
    content.map(Some).map_err(|error| refuse(path, error))
}

/// The rows of a table, if it is there.
pub(crate) fn rows<T: DeserializeOwned>(path: &Path) -> Result<Option<Vec<T>>> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    let rows = csv::Reader::from_reader(text.as_bytes()).into_deserialize();
    let rows: Result<Vec<T>, csv::Error> = rows.collect();
    rows.map(Some).map_err(|error| refuse(path, error))
}

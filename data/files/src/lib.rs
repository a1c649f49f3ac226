//! Cache folder, atomic writing, SHA-256, and HTTP through `curl`.
//!
//! Every crate of the workspace may use it. Knows no file format.

pub mod cache;
pub mod error;
pub mod hash;
pub mod http;
pub mod write;

pub use error::{Error, Result};

use std::path::Path;

/// The folder that contains a file; `.` for a bare name, whose parent is the empty path.
///
/// ```
/// use std::path::Path;
/// assert_eq!(classifold_files::parent_folder(Path::new("runs/1/split.csv")), Path::new("runs/1"));
/// assert_eq!(classifold_files::parent_folder(Path::new("split.csv")), Path::new("."));
/// ```
#[must_use]
pub fn parent_folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

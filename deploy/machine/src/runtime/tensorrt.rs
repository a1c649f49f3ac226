//! NVIDIA's TensorRT in the cache folder.

use std::fmt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::find;
use crate::wheels::{TENSORRT_PREFIX, version_numbers};

/// File beside the libraries.
pub(super) const MANIFEST: &str = "tensorrt.json";

/// A TensorRT in the cache folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorRt {
    /// Its folder.
    pub folder: PathBuf,
    /// Its version, such as `10.13.3`.
    pub version: String,
}

impl fmt::Display for TensorRt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        write!(
            f,
            "TensorRT {} from the cache folder (`{folder}`)",
            self.version
        )
    }
}

/// The installed TensorRT, the newest where there are several.
pub fn tensorrt(cache: &Path) -> Option<TensorRt> {
    let entries = fs::read_dir(find::folder(cache)).ok()?;
    let mut all: Vec<TensorRt> = entries
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let name = folder.file_name()?.to_string_lossy().into_owned();
            let version = name.strip_prefix(TENSORRT_PREFIX)?.to_owned();
            folder
                .join(MANIFEST)
                .is_file()
                .then_some(TensorRt { folder, version })
        })
        .collect();
    all.sort_by_key(|found| version_numbers(&found.version));
    all.pop()
}

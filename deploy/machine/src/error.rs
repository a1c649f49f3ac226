//! Errors of probing and installing: message and hint, and data where programs decide by it.

use std::path::{Path, PathBuf};

use crate::missing::MissingRequirement;
use crate::wheels::{GPU_PREFIX, VERSION};

/// An error of this crate. Programs decide by the variants with data; all else is [`Error::Other`].
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No ONNX Runtime library was found.
    #[error("no ONNX Runtime library was found{}", describe_folders(searched))]
    NoRuntime {
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// The file is not an ONNX Runtime that this build can use.
    #[error(
        "`{}` is not a usable ONNX Runtime library\n  expected: {expected}\n  found:    {found}",
        path.display()
    )]
    UnusableRuntime {
        /// The library.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The text names no provider.
    #[error(
        "`{text}` is not a provider\n  expected: cpu, cuda, cuda:N, tensorrt, tensorrt:N, tensorrt-rtx, \
         tensorrt-rtx:N, openvino, openvino:gpu or openvino:npu"
    )]
    ProviderName {
        /// The text that was to name one.
        text: String,
    },
    /// Anything else.
    #[error("{message}")]
    Other {
        /// The problem, with what was expected and found.
        message: String,
        /// How to fix it.
        hint: Option<String>,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn other(message: String, hint: impl Into<String>) -> Self {
        Self::Other {
            message,
            hint: Some(hint.into()),
        }
    }

    /// A library that was named or installed cannot be read.
    pub(crate) fn unreadable_library(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::other(
            format!(
                "the ONNX Runtime library `{}` cannot be read: {reason}",
                path.display()
            ),
            "check the path that names it",
        )
    }

    /// The installation stopped.
    pub(crate) fn install(what: &str, reason: impl std::fmt::Display) -> Self {
        Self::other(
            format!("cannot {what}: {reason}"),
            format!(
                "fetch the wheel on a machine with a network (`pip download --no-deps \
                 onnxruntime=={VERSION}`), then run `deploy runtime install --from FILE`"
            ),
        )
    }

    /// Nothing can be written into the cache folder.
    pub(crate) fn cache_read_only(what: &str, reason: impl std::fmt::Display) -> Self {
        Self::other(
            format!("cannot {what}: {reason}"),
            "choose a folder that can be written to with `CLASSIFIER_CACHE`",
        )
    }

    /// ONNX Runtime with CUDA, or TensorRT, cannot be installed.
    pub(crate) fn gpu_install(what: &str, reason: impl std::fmt::Display, hint: String) -> Self {
        Self::other(format!("cannot {what}: {reason}"), hint)
    }

    /// A download or an installed file is not the pinned one. `path` may be the address it came from.
    pub(crate) fn hash_differs(path: &Path, expected: &str, found: &str) -> Self {
        Self::other(
            format!(
                "`{}` is not the pinned file\n  expected: SHA-256 {expected}\n  found:    SHA-256 {found}",
                path.display()
            ),
            "download the file again, from its official address",
        )
    }

    /// A requirement of the provider is missing.
    pub(crate) fn provider_not_ready(provider: &str, missing: &MissingRequirement) -> Self {
        Self::other(
            format!("provider `{provider}` cannot start: {missing}"),
            missing.fix.clone(),
        )
    }

    /// How to fix it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRuntime { .. } => {
                "run `deploy runtime install`, or name the library with `ORT_DYLIB_PATH`"
            }
            Self::UnusableRuntime { path, .. } if is_gpu(path) => {
                "run `deploy runtime install cuda`"
            }
            Self::UnusableRuntime { .. } => {
                "run `deploy runtime install`, and name no other library"
            }
            Self::ProviderName { .. } => return None,
            Self::Other { hint, .. } => return hint.clone(),
        };
        Some(hint.to_owned())
    }
}

/// Whether a library lies in the folder of a GPU runtime that was installed.
fn is_gpu(library: &Path) -> bool {
    library
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|name| name.to_string_lossy().starts_with(GPU_PREFIX))
}

fn describe_folders(searched: &[PathBuf]) -> String {
    if searched.is_empty() {
        return String::new();
    }
    let folders: Vec<String> = searched
        .iter()
        .map(|p| format!("`{}`", p.display()))
        .collect();
    format!("; searched {}", folders.join(", "))
}

/// The texts of an error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own text.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;

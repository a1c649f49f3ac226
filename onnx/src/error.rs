//! Errors of an ONNX file, a tensor or a graph.
//!
//! A variant stands where callers act differently; texts that differ alone share one.

use std::io;
use std::path::{Path, PathBuf};

use crate::proto::DataType;

/// What is wrong with a file, a tensor or a graph. [`Error::hint`] says what to do about it.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system cannot read the file.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file to read.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system cannot write the file.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file to write.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no file, or it is not a whole ONNX model.
    #[error("`{}` {problem}", path.display())]
    File {
        /// The model's file.
        path: PathBuf,
        /// The predicate of a sentence about the file, such as `is empty`.
        problem: String,
        /// The next step, if there is one.
        hint: Option<&'static str>,
    },
    /// The values of a tensor, stored in a file beside the model, cannot be used.
    #[error("{message}")]
    ExternalData {
        /// The tensor's name.
        tensor: String,
        /// The text to print.
        message: String,
        /// The next step, if there is one.
        hint: Option<String>,
    },
    /// A tensor is not there, of another type, or its values do not fit its shape.
    #[error("{message}")]
    Tensor {
        /// The text to print.
        message: String,
    },
    /// The graph breaks a rule of ONNX.
    #[error("the graph is not valid: {detail}")]
    InvalidGraph {
        /// The rule, and the node or value that breaks it.
        detail: String,
    },
    /// An operator has no counterpart in the target precision.
    #[error("operator `{op}` of node `{node}` cannot be converted: {reason}")]
    Unconvertible {
        /// The operator, with its domain where that is not ONNX's own.
        op: String,
        /// The node's name, or its output's where it has none.
        node: String,
        /// The obstacle.
        reason: String,
    },
    /// There is nothing whose precision could change.
    #[error("the model has no {what} to convert")]
    NothingToConvert {
        /// What a conversion needs.
        what: &'static str,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The next step to take, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Write { .. } => {
                Some("check the free space and the permissions of the folder".to_owned())
            }
            Error::File { hint, .. } => hint.map(str::to_owned),
            Error::ExternalData { hint, .. } => hint.clone(),
            Error::Unconvertible { .. } | Error::NothingToConvert { .. } => {
                Some("convert the single-precision model as its framework exported it".to_owned())
            }
            Error::Read { .. } | Error::Tensor { .. } | Error::InvalidGraph { .. } => None,
        }
    }

    /// For `map_err`: an error of reading `path`.
    pub(crate) fn read(path: &Path) -> impl Fn(io::Error) -> Error {
        move |source| Error::Read {
            path: path.to_owned(),
            source,
        }
    }

    fn file(path: &Path, problem: impl Into<String>, hint: Option<&'static str>) -> Error {
        Error::File {
            path: path.to_owned(),
            problem: problem.into(),
            hint,
        }
    }

    pub(crate) fn missing(path: &Path) -> Error {
        Error::file(path, "does not exist", Some("check the path"))
    }

    pub(crate) fn not_a_file(path: &Path) -> Error {
        let hint = "give the path of the `.onnx` file itself";
        Error::file(path, "is not a file", Some(hint))
    }

    pub(crate) fn empty(path: &Path) -> Error {
        Error::file(path, "is empty", Some(FETCH_AGAIN))
    }

    pub(crate) fn lfs_pointer(path: &Path) -> Error {
        let hint = "run `git lfs pull` in the repository, or download the file itself";
        Error::file(
            path,
            "is a git-LFS pointer, not the model itself",
            Some(hint),
        )
    }

    /// A field ends at byte `expected` of a file of `found` bytes.
    pub(crate) fn truncated(path: &Path, expected: u64, found: u64) -> Error {
        let problem = format!("is cut off: {expected} bytes expected, {found} found");
        Error::file(path, problem, Some(FETCH_AGAIN))
    }

    /// The bytes are something else, or lack a field that every model has.
    pub(crate) fn not_onnx(path: &Path, detail: &str) -> Error {
        let problem = format!("is not an ONNX model: {detail}");
        Error::file(path, problem, Some("export the model to ONNX first"))
    }

    /// It begins as a model, but its messages do not decode.
    pub(crate) fn damaged(path: &Path, detail: &str) -> Error {
        Error::file(path, format!("is damaged: {detail}"), Some(FETCH_AGAIN))
    }

    pub(crate) fn too_large(path: &Path, bytes: u64) -> Error {
        let problem = format!("would take {bytes} bytes; an ONNX file holds at most 2 GiB");
        Error::file(path, problem, None)
    }

    /// The file that holds a tensor's values is not there.
    pub(crate) fn external_missing(tensor: &str, path: &Path) -> Error {
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        Error::ExternalData {
            tensor: tensor.to_owned(),
            message: format!(
                "the values of tensor `{tensor}` are missing: `{}` does not exist",
                path.display()
            ),
            hint: Some(format!(
                "the model keeps its weights in a second file: put `{name}` beside it"
            )),
        }
    }

    /// The location of a tensor's values leads out of the model's folder.
    pub(crate) fn external_outside(tensor: &str, location: &str) -> Error {
        let hint = "only files in the model's own folder are read: store the model as one file";
        Error::ExternalData {
            tensor: tensor.to_owned(),
            message: format!(
                "tensor `{tensor}` keeps its values at `{location}`, outside the model's folder"
            ),
            hint: Some(hint.to_owned()),
        }
    }

    /// Offset and length do not fit the file, or are no numbers.
    pub(crate) fn external_bounds(tensor: &str, location: &str, detail: &str) -> Error {
        let hint = "the two files belong to different models, or one is cut off: fetch both again";
        Error::ExternalData {
            tensor: tensor.to_owned(),
            message: format!("the values of tensor `{tensor}` do not fit `{location}`: {detail}"),
            hint: Some(hint.to_owned()),
        }
    }

    /// The document was not read from a file, so that no file can lie beside it.
    pub(crate) fn no_folder(tensor: &str) -> Error {
        Error::ExternalData {
            tensor: tensor.to_owned(),
            message: format!(
                "tensor `{tensor}` keeps its values in another file, but the model has no folder"
            ),
            hint: None,
        }
    }

    pub(crate) fn tensor_missing(name: &str) -> Error {
        Error::Tensor {
            message: format!("the graph has no tensor `{name}`"),
        }
    }

    /// Values and shape do not fit each other.
    pub(crate) fn tensor_damaged(name: &str, detail: &str) -> Error {
        Error::Tensor {
            message: format!("tensor `{name}` is damaged: {detail}"),
        }
    }

    pub(crate) fn element_type(expected: &str, found: DataType) -> Error {
        Error::Tensor {
            message: format!("tensor holds {found:?}, not {expected}"),
        }
    }
}

const FETCH_AGAIN: &str = "download or export the file again";

#[cfg(test)]
mod catalogue;

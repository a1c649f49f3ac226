//! Errors of an ONNX file, a tensor or a graph.
//!
//! Callers decide by no other difference than that between the system's errors and ours: the rest is text.

use std::path::Path;

use crate::foreign::Foreign;
use crate::proto::DataType;

/// What is wrong with a file, a tensor or a graph. [`Error::hint`] says what to do about it.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system cannot read or write a file.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// A file, a tensor or a graph breaks a rule of ONNX, or cannot be converted.
    #[error("{message}")]
    Invalid {
        /// The text to print.
        message: String,
        /// The next step, if there is one.
        hint: Option<String>,
    },
}

/// For `map_err`: an I/O error of reading `path`.
pub(crate) fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| files::Error::reading(path)(source).into()
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The next step to take, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Files(files::Error::Write { .. }) => Some(
                "check that the folder exists, has free space and may be written to".to_owned(),
            ),
            Error::Files(error) => error.hint(),
            Error::Invalid { hint, .. } => hint.clone(),
        }
    }

    fn new(message: String, hint: Option<&str>) -> Error {
        Error::Invalid {
            message,
            hint: hint.map(str::to_owned),
        }
    }

    /// `problem` is the predicate of a sentence about the file, such as `is empty`.
    fn file(path: &Path, problem: &str, hint: Option<&str>) -> Error {
        Error::new(format!("`{}` {problem}", path.display()), hint)
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
        Error::file(path, &problem, Some(FETCH_AGAIN))
    }

    /// The bytes are something else, or lack a field that every model has.
    pub(crate) fn not_onnx(path: &Path, detail: &str) -> Error {
        let problem = format!("is not an ONNX model: {detail}");
        Error::file(
            path,
            &problem,
            Some("give the `.onnx` file of the model, or export it first"),
        )
    }

    /// The file is of another kind.
    pub(crate) fn foreign(path: &Path, foreign: &Foreign) -> Error {
        let problem = format!("is not an ONNX model but {}", foreign.kind);
        Error::file(path, &problem, Some(foreign.hint))
    }

    /// It begins as a model, but its messages do not decode.
    pub(crate) fn damaged(path: &Path, detail: &str) -> Error {
        Error::file(path, &format!("is damaged: {detail}"), Some(FETCH_AGAIN))
    }

    pub(crate) fn too_large(path: &Path, bytes: u64) -> Error {
        let problem = format!("would take {bytes} bytes; an ONNX file holds at most 2 GiB");
        Error::file(path, &problem, None)
    }

    /// What was read of it may be of two files.
    pub(crate) fn changed(path: &Path) -> Error {
        let hint =
            "open it again once it is written; writers should rename a finished file to its name";
        Error::file(
            path,
            "was replaced or written while it was read",
            Some(hint),
        )
    }

    /// The file that holds a tensor's values is not there.
    pub(crate) fn external_missing(tensor: &str, path: &Path) -> Error {
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        let message = format!(
            "the values of tensor `{tensor}` are missing: `{}` does not exist",
            path.display()
        );
        let hint = format!("the model keeps its weights in a second file: put `{name}` beside it");
        Error::new(message, Some(&hint))
    }

    /// The location of a tensor's values leads out of the model's folder.
    pub(crate) fn external_outside(tensor: &str, location: &str) -> Error {
        let message = format!(
            "tensor `{tensor}` keeps its values at `{location}`, outside the model's folder"
        );
        let hint = "only files in the model's own folder are read: store the model as one file";
        Error::new(message, Some(hint))
    }

    /// Offset and length do not fit the file, or are no numbers.
    pub(crate) fn external_bounds(tensor: &str, location: &str, detail: &str) -> Error {
        let message = format!("the values of tensor `{tensor}` do not fit `{location}`: {detail}");
        let hint = "the two files belong to different models, or one is cut off: fetch both again";
        Error::new(message, Some(hint))
    }

    /// The document was not read from a file, so that no file can lie beside it.
    pub(crate) fn no_folder(tensor: &str) -> Error {
        let message = format!(
            "tensor `{tensor}` keeps its values in another file, but the model has no folder"
        );
        Error::new(message, None)
    }

    pub(crate) fn tensor_missing(name: &str) -> Error {
        Error::new(format!("the graph has no tensor `{name}`"), None)
    }

    /// Values and shape do not fit each other.
    pub(crate) fn tensor_damaged(name: &str, detail: &str) -> Error {
        Error::new(format!("tensor `{name}` is damaged: {detail}"), None)
    }

    pub(crate) fn element_type(expected: &str, found: DataType) -> Error {
        Error::new(format!("tensor holds {found:?}, not {expected}"), None)
    }

    /// The graph breaks a rule; `detail` names the node or value.
    pub(crate) fn graph(detail: &str) -> Error {
        Error::new(format!("the graph is not valid: {detail}"), None)
    }

    /// An operator has no counterpart in the target precision.
    pub(crate) fn unconvertible(op: &str, node: &str, reason: &str) -> Error {
        let message = format!("operator `{op}` of node `{node}` cannot be converted: {reason}");
        Error::new(message, Some(CONVERT_THE_ORIGINAL))
    }

    /// The model is valid, but not for this use.
    pub(crate) fn unusable(message: &str, hint: &str) -> Error {
        Error::new(message.to_owned(), Some(hint))
    }

    /// A node that would stay in single precision is none that could do anything else.
    pub(crate) fn not_quantizable(node: &str, names: &[&str]) -> Error {
        let message = format!(
            "the model has no node `{node}` that could compute with 8-bit integers\n  expected: {}",
            names.join(", ")
        );
        Error::new(message, Some("name nodes as `expected` does"))
    }

    /// Nothing would change: all that could compute with integers would stay in single precision.
    pub(crate) fn nothing_quantized() -> Error {
        let message = "every convolution and matrix product would stay in single precision";
        Error::new(
            message.to_owned(),
            Some("let one of them compute with 8-bit integers"),
        )
    }

    /// The graph is not that of two images through one encoder, or cannot become it.
    pub(crate) fn not_siamese(reason: &str) -> Error {
        let message = format!("the graph does not compare two images: {reason}");
        Error::new(
            message,
            Some("take a verifier of `trainer fit --task pairs`"),
        )
    }

    /// There is nothing whose precision could change; `what` is what a conversion needs.
    pub(crate) fn nothing_to_convert(what: &str) -> Error {
        let message = format!("the model has no {what} to convert");
        Error::new(message, Some(CONVERT_THE_ORIGINAL))
    }
}

const FETCH_AGAIN: &str = "download or export the file again";
const CONVERT_THE_ORIGINAL: &str =
    "convert the single-precision model as its framework exported it";

#[cfg(test)]
mod catalogue;

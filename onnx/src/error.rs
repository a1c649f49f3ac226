//! Everything that can be wrong with an ONNX file, a tensor or a graph.

use std::io;
use std::path::PathBuf;

use crate::proto::DataType;

/// What went wrong, with the data to say so.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("`{}` does not exist", path.display())]
    FileMissing {
        /// The file asked for.
        path: PathBuf,
    },
    /// The path is a folder or a device.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// The file is there but cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file to be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A git-LFS pointer stands in for the file.
    #[error("`{}` is a git-LFS pointer, not the model itself", path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// A field runs past the end of the file.
    #[error("`{}` is cut off: {expected} bytes expected, {found} found", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the file should have at least.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The bytes are something else, or a field that no model lacks is not there.
    #[error("`{}` is not an ONNX model: {detail}", path.display())]
    NotAnOnnxFile {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        detail: String,
    },
    /// It begins as a model, but its messages do not decode.
    #[error("`{}` is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        detail: String,
    },
    /// Protobuf messages end at 2 GiB.
    #[error("`{}` would take {bytes} bytes; an ONNX file holds at most 2 GiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file that holds a tensor's values is not there.
    #[error("the values of tensor `{tensor}` are missing: `{}` does not exist", path.display())]
    ExternalDataMissing {
        /// The tensor.
        tensor: String,
        /// The file that should hold it.
        path: PathBuf,
    },
    /// The location of a tensor's values leads out of the model's folder.
    #[error("tensor `{tensor}` keeps its values at `{location}`, outside the model's folder")]
    ExternalDataOutside {
        /// The tensor.
        tensor: String,
        /// Where it says its values are.
        location: String,
    },
    /// Offset and length do not fit the file, or are no numbers.
    #[error("the values of tensor `{tensor}` do not fit `{location}`: {detail}")]
    ExternalDataBounds {
        /// The tensor.
        tensor: String,
        /// The file that should hold it.
        location: String,
        /// What does not fit.
        detail: String,
    },
    /// The document was not read from a file, so nothing can lie next to it.
    #[error("tensor `{tensor}` keeps its values in another file, but the model has no folder")]
    NoFolder {
        /// The tensor.
        tensor: String,
    },
    /// No initializer and no constant has this name.
    #[error("the graph has no tensor `{name}`")]
    TensorMissing {
        /// The name asked for.
        name: String,
    },
    /// Values and shape of a tensor do not go together.
    #[error("tensor `{name}` is damaged: {detail}")]
    TensorDamaged {
        /// The tensor.
        name: String,
        /// What does not fit.
        detail: String,
    },
    /// The tensor has another element type.
    #[error("tensor holds {found:?}, not {expected}")]
    ElementType {
        /// What was asked for.
        expected: &'static str,
        /// What it holds.
        found: DataType,
    },
    /// The graph breaks a rule of ONNX.
    #[error("the graph is not valid: {detail}")]
    InvalidGraph {
        /// Which rule, and where.
        detail: String,
    },
    /// An operator has no counterpart in the precision asked for.
    #[error("operator `{op}` of node `{node}` cannot be converted: {why}")]
    Unconvertible {
        /// The operator, with its domain where that is not ONNX's own.
        op: String,
        /// The node, or the value that it gives where it has no name.
        node: String,
        /// What is in the way.
        why: String,
    },
    /// There is nothing whose precision could change.
    #[error("the model has no {what} to convert")]
    NothingToConvert {
        /// What was looked for.
        what: &'static str,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::FileMissing { .. } => "check the path",
            Error::NotAFile { .. } => "give the path of the `.onnx` file itself",
            Error::LfsPointer { .. } => {
                "run `git lfs pull` in the repository, or download the file itself"
            }
            Error::Empty { .. } | Error::Truncated { .. } | Error::Damaged { .. } => {
                "download or export the file again"
            }
            Error::NotAnOnnxFile { .. } => "export the model to ONNX first",
            Error::ExternalDataMissing { path, .. } => {
                return Some(format!(
                    "the model keeps its weights in a second file: put `{}` beside it",
                    path.file_name()
                        .unwrap_or(path.as_os_str())
                        .to_string_lossy()
                ));
            }
            Error::ExternalDataOutside { .. } => {
                "only files in the model's own folder are read: store the model as one file"
            }
            Error::ExternalDataBounds { .. } => {
                "the two files belong to different models, or one is cut off: fetch both again"
            }
            Error::Unconvertible { .. } | Error::NothingToConvert { .. } => {
                "convert the single-precision model as its framework exported it"
            }
            Error::Write { .. } => "check the free space and the permissions of the folder",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod catalogue;

//! Errors of reading a run folder and of drawing it.

use std::path::PathBuf;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of reading a run folder, or of drawing it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of a run folder has another form than it should.
    #[error("`{path}` cannot be read as a table: {reason}")]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The run holds no numbers for a chart.
    #[error("`{run}` holds nothing to plot as `{kind}`: {reason}")]
    NothingToPlot {
        /// The run folder.
        run: PathBuf,
        /// The kind of chart.
        kind: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An image or a list of images cannot be used.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// The exported file cannot be used.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
}

impl From<data::files::Error> for Error {
    fn from(error: data::files::Error) -> Self {
        Self::Data(error.into())
    }
}

impl From<data::pixels::Error> for Error {
    fn from(error: data::pixels::Error) -> Self {
        Self::Data(error.into())
    }
}

impl Error {
    /// What to do about it: the next thing to type.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NothingToPlot { .. } => Some(
                "a run that `trainer fit` finished holds everything; `trainer plot RUN` without \
                 `--kind` draws what there is"
                    .into(),
            ),
            Self::Data(source) => source.hint(),
            Self::Onnx(source) => source.hint(),
            Self::Table { .. } | Self::Io(_) => None,
        }
    }
}

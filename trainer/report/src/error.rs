//! Errors of reading a run folder and of drawing it.

use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of reading a run folder, or of drawing it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of a run folder has another form than it should.
    #[error("`{path}` cannot be read as a table: {reason}")]
    Table { path: PathBuf, reason: String },
    /// The run holds no numbers for a chart.
    #[error("`{run}` holds nothing to plot as `{kind}`: {reason}")]
    NothingToPlot {
        run: PathBuf,
        kind: String,
        reason: &'static str,
    },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Data(#[from] data::Error),
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

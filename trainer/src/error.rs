//! Errors of this crate, with the data in fields and a hint.

use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of training, export or inspection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("`{path}` is not a training configuration\n{reason}")]
    Config { path: PathBuf, reason: String },
    #[error("`--{flag} {value}`: {reason}")]
    Setting {
        flag: &'static str,
        value: String,
        reason: String,
    },
    #[error(
        "`--{flag}` cannot change in a resumed run\n  expected: {expected}\n  found:    {found}"
    )]
    ResumeChanges {
        flag: String,
        expected: String,
        found: String,
    },
    #[error("`{path}` exists already")]
    RunExists { path: PathBuf },
    #[error("the {phase} loss is {loss} in epoch {epoch}, step {step}")]
    LossNotFinite {
        loss: f64,
        phase: &'static str,
        epoch: usize,
        step: usize,
    },
    #[error("`{path}` is not a usable checkpoint: {reason}")]
    Checkpoint { path: PathBuf, reason: String },
    #[error("interrupted")]
    Interrupted { run: Option<PathBuf> },
    #[error("`{path}` cannot be inspected: {reason}")]
    Inspect { path: PathBuf, reason: String },
    /// No code decides by it: what was asked for cannot be done.
    #[error("{message}")]
    Refused {
        message: String,
        hint: Option<String>,
    },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Data(#[from] data::Error),
    #[error(transparent)]
    Models(#[from] models::Error),
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    #[error(transparent)]
    Deploy(#[from] deploy::Error),
    #[error(transparent)]
    Report(#[from] report::Error),
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
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
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn refused_with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// What to do about it: the next thing to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config { .. } => {
                "the keys are the flags of `trainer fit` without their dashes".into()
            }
            Self::ResumeChanges { flag, .. } => format!(
                "leave `--{flag}` out, or start a new run: `trainer fit --config RUN/config.toml \
                 --{flag} ...`"
            ),
            Self::RunExists { path } => format!(
                "continue it: `trainer fit --resume {}`; or choose another `--name`",
                path.display()
            ),
            Self::LossNotFinite { .. } => {
                "try a tenth of the `--lr`; the checkpoint of the last good epoch, if any, is in the run \
                 folder"
                    .into()
            }
            Self::Interrupted { run: Some(run) } => {
                format!("continue with `trainer fit --resume {}`", run.display())
            }
            Self::Refused { hint, .. } => return hint.clone(),
            Self::Io(source) => return io_hint(source),
            Self::Report(report::Error::Io(source)) => return io_hint(source),
            Self::Report(source) => return source.hint(),
            Self::Data(source) => return source.hint(),
            Self::Models(source) => return source.hint(),
            Self::Onnx(source) => return source.hint(),
            Self::Deploy(source) => return source.hint(),
            _ => return None,
        })
    }
}

const ELSEWHERE: &str =
    "choose a folder that can be written to (`--runs` for runs, `--cache` for the cache folder)";

/// What to do about a failed read or write.
pub(crate) fn io_hint(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind;
    Some(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("make room on the disk, or {ELSEWHERE}")
        }
        ErrorKind::ReadOnlyFilesystem => ELSEWHERE.into(),
        // A photo that may not be read is as likely as a folder that may not be written to.
        ErrorKind::PermissionDenied => "check the permissions of the file and of its folder".into(),
        _ => return None,
    })
}

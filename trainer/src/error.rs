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
    #[error("`{path}` is not a run folder: it has no `{missing}`")]
    NotARun {
        path: PathBuf,
        missing: &'static str,
    },
    #[error("`{name}` is not a name for a run")]
    RunName { name: String },
    #[error("this build of `trainer` cannot train on `{device}`")]
    DeviceMissing { device: String },
    #[error("the {phase} loss is {loss} in epoch {epoch}, step {step}")]
    LossNotFinite {
        loss: f64,
        phase: &'static str,
        epoch: usize,
        step: usize,
    },
    #[error("`{path}` is not a usable checkpoint: {reason}")]
    Checkpoint { path: PathBuf, reason: String },
    #[error("`{path}` is not a usable calibration: {reason}")]
    Calibration { path: PathBuf, reason: String },
    #[error(
        "`{path}` belongs to another backbone\n  expected: SHA-256 {expected}\n  found:    SHA-256 {found}"
    )]
    BackboneDiffers {
        path: PathBuf,
        expected: String,
        found: String,
    },
    #[error("interrupted")]
    Interrupted { run: Option<PathBuf> },
    #[error("{reason}")]
    Signals { reason: String },
    #[error("the {split} split of `{data}` has no images")]
    EmptySplit { split: String, data: String },
    #[error("the network and the data have different classes\n  expected: {}\n  found:    {}",
        expected.join(", "), found.join(", "))]
    ClassesDiffer {
        expected: Vec<String>,
        found: Vec<String>,
    },
    #[error("`{path}` cannot be inspected: {reason}")]
    Inspect { path: PathBuf, reason: String },
    #[error("`{path}` is there and is not of `trainer inspect`")]
    NotOurs { path: PathBuf },
    #[error("{what}: {reason}")]
    Burn { what: &'static str, reason: String },
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
                "go on with it: `trainer fit --resume {}`; or choose another `--name`",
                path.display()
            ),
            Self::NotARun { .. } => {
                "a run folder is what `trainer fit` leaves under `runs/`".into()
            }
            Self::RunName { .. } => {
                "letters, digits, `-`, `_` and `.` make a name; `--runs` chooses the folder".into()
            }
            Self::DeviceMissing { device } => {
                format!("build it with `cargo build --release -p trainer --features {device}`")
            }
            Self::LossNotFinite { .. } => {
                "try a tenth of the `--lr`; the checkpoint of the last good epoch, if any, is in the run \
                 folder"
                    .into()
            }
            Self::BackboneDiffers { .. } => {
                "put the backbone's file back to where the run found it, see `backbone` in its \
                 `config.toml`"
                    .into()
            }
            Self::Calibration { .. } => {
                "remove the file to use the network as it was trained, or let `trainer fit --resume \
                 RUN` write it again"
                    .into()
            }
            Self::Interrupted { run: Some(run) } => {
                format!("go on with `trainer fit --resume {}`", run.display())
            }
            Self::ClassesDiffer { .. } => {
                "the network can be scored on folders of its own classes only".into()
            }
            Self::NotOurs { .. } => "choose another folder with `--out`, or remove the file".into(),
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

/// What to do about a failed read or write.
pub(crate) fn io_hint(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind;
    Some(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on the disk, or choose another folder with `--runs`".into()
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "choose a folder that can be written to with `--runs`".into()
        }
        _ => return None,
    })
}

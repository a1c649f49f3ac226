//! What can go wrong while training, with the facts in fields and a hint.

use std::path::PathBuf;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration file that cannot be understood.
    #[error("`{path}` is not a training configuration\n{reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser says, with the line.
        reason: String,
    },
    /// A setting whose value makes no sense.
    #[error("`--{flag} {value}`: {reason}")]
    Setting {
        /// The flag without its dashes.
        flag: &'static str,
        /// The value given.
        value: String,
        /// Why it is refused.
        reason: String,
    },
    /// A setting that a resumed run may not change.
    #[error(
        "`--{flag}` cannot change in a resumed run\n  expected: {expected}\n  found:    {found}"
    )]
    ResumeChanges {
        /// The flag without its dashes.
        flag: String,
        /// What the run was started with.
        expected: String,
        /// What was asked for now.
        found: String,
    },
    /// A run folder of that name is there already.
    #[error("`{path}` exists already")]
    RunExists {
        /// The run folder.
        path: PathBuf,
    },
    /// No run folder where one was named.
    #[error("`{path}` is not a run folder: it has no `{missing}`")]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that makes it one.
        missing: &'static str,
    },
    /// A run name that is not a plain folder name.
    #[error("`{name}` is not a name for a run")]
    RunName {
        /// What was given.
        name: String,
    },
    /// A device this build does not know.
    #[error("this build of `trainer` cannot train on `{device}`")]
    DeviceMissing {
        /// The device's name.
        device: String,
    },
    /// A loss that is not a finite number.
    #[error("the {phase} loss is {loss} in epoch {epoch}, step {step}")]
    LossNotFinite {
        /// The loss.
        loss: f64,
        /// `training` or `validation`.
        phase: &'static str,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The step in that epoch, counted from 1.
        step: usize,
    },
    /// A checkpoint that cannot be used.
    #[error("`{path}` is not a usable checkpoint: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A calibration that cannot be used.
    #[error("`{path}` is not a usable calibration: {reason}")]
    Calibration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint of a frozen network whose backbone is another file now.
    #[error(
        "`{path}` belongs to another backbone\n  expected: SHA-256 {expected}\n  found:    SHA-256 {found}"
    )]
    BackboneDiffers {
        /// The checkpoint.
        path: PathBuf,
        /// The backbone it was trained on.
        expected: String,
        /// The one that is there now.
        found: String,
    },
    /// Stopped by Ctrl-C.
    #[error("interrupted")]
    Interrupted {
        /// The run folder to resume, if there is one.
        run: Option<PathBuf>,
    },
    /// Ctrl-C cannot be handled.
    #[error("{reason}")]
    Signals {
        /// What the system says.
        reason: String,
    },
    /// A split without images.
    #[error("the {split} split of `{data}` has no images")]
    EmptySplit {
        /// The split.
        split: String,
        /// The data.
        data: String,
    },
    /// The data has classes that the network does not know.
    #[error("the network and the data have different classes\n  expected: {}\n  found:    {}",
        expected.join(", "), found.join(", "))]
    ClassesDiffer {
        /// The network's.
        expected: Vec<String>,
        /// The data's.
        found: Vec<String>,
    },
    /// A model that cannot be looked into.
    #[error("`{path}` cannot be inspected: {reason}")]
    Inspect {
        /// The model.
        path: PathBuf,
        /// What it has or lacks.
        reason: String,
    },
    /// A file that another program wrote, where one is to be written.
    #[error("`{path}` is there and is not of `trainer inspect`")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Burn's side of things failed.
    #[error("{what}: {reason}")]
    Burn {
        /// What was being done.
        what: &'static str,
        /// What Burn says.
        reason: String,
    },
    /// Reading or writing a file failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The data says no.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// The network says no.
    #[error(transparent)]
    Models(#[from] models::Error),
    /// The ONNX file says no.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// ONNX Runtime says no.
    #[error(transparent)]
    Deploy(#[from] deploy::Error),
    /// A run folder says no.
    #[error(transparent)]
    Report(#[from] report::Error),
    /// JSON that cannot be read or written.
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

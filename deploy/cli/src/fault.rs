//! Errors as text (`error:`, `caused by:`, `hint:`) and results as exit codes.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

/// What a command that could be carried out found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done, and all is well: 0.
    True,
    /// Done, and the answer is no: 1.
    False,
}

/// What can be wrong in the command line itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// No model was named and there is no run.
    #[error("no model was given and `{}` holds no finished run", runs.display())]
    NoRun {
        /// The folder of the runs.
        runs: PathBuf,
    },
    /// No data was named and the model lies beside no run.
    #[error("no data was given and `{}` lies in no run folder", model.display())]
    NoData {
        /// The model.
        model: PathBuf,
    },
    /// A name of public data that is not there yet.
    #[error("`{name}` has not been fetched")]
    NotFetched {
        /// The name.
        name: String,
    },
    /// A file of the run does not say what it should.
    #[error("`{}` {reason}", path.display())]
    BadRun {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The split has no images.
    #[error("there are no images in split `{split}`\n  found:    {found}")]
    EmptySplit {
        /// The split asked for.
        split: String,
        /// The splits and their sizes.
        found: String,
    },
    /// Nothing matches what was to be classified.
    #[error("`{input}` names no image")]
    NoInput {
        /// What was given.
        input: String,
    },
    /// Some images could not be classified.
    #[error("{failed} of {total} images could not be classified")]
    SomeFailed {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// A flag that belongs to something else.
    #[error("`{flag}` goes with `{with}` alone")]
    FlagElsewhere {
        /// The flag.
        flag: &'static str,
        /// What it goes with.
        with: &'static str,
    },
    /// A rate with too few or too many arrivals.
    #[error(
        "a block has {arrivals:.3e} arrivals\n  expected: 1 to 1e7, which is `--rate` times `--duration` over `--blocks`"
    )]
    Arrivals {
        /// Mean number of arrivals in a block.
        arrivals: f64,
    },
    /// The file carries no card.
    #[error("`{}` carries no card", path.display())]
    NoCard {
        /// The model.
        path: PathBuf,
    },
    /// Nothing of what was to be measured runs here.
    #[error("nothing that was to be measured runs here; the first to be left out is {first}")]
    NothingRuns {
        /// Configuration and reason.
        first: String,
    },
    /// The file to compare with is no benchmark's.
    #[error("`{}` is no benchmark to compare with: {reason}", path.display())]
    BadBase {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Ctrl-C in the middle.
    #[error("interrupted: the results are of what was measured until then")]
    Interrupted,
    /// A flag that says nothing to another precision.
    #[error("`{flag}` is for `--precision int8`")]
    OnlyForInt8 {
        /// The flag.
        flag: &'static str,
    },
    /// The converted model would take the place of the original.
    #[error("`{}` is the model itself", path.display())]
    OverOriginal {
        /// The model.
        path: PathBuf,
    },
    /// The converted model gives infinite numbers or none.
    #[error("the model in {precision} gives numbers that are not finite, such as for `{image}`")]
    NotFinite {
        /// The precision asked for.
        precision: deploy::Precision,
        /// An image that shows it.
        image: String,
    },
    /// The class file cannot be used.
    #[error("`{}` is no list of class names: {reason}", path.display())]
    BadClasses {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Fault {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRun { .. } => "train one with `trainer fit`, or give `--model FILE`",
            Self::NoData { .. } => "give `--data DIR`",
            Self::NotFetched { name } => return Some(format!("run `trainer fetch {name}`")),
            Self::EmptySplit { .. } => "choose another one with `--split`",
            Self::NoInput { .. } => {
                "give image files, folders, patterns in quotes, or `-` for standard input"
            }
            Self::NoCard { .. } => "write one with `deploy card attach`",
            Self::OnlyForInt8 { .. } => "leave it out",
            Self::OverOriginal { .. } => "give another file with `--out`",
            Self::NotFinite { .. } => {
                "its values leave the range of that precision: keep it in single precision"
            }
            Self::BadClasses { .. } => "one name per line, in the order of the model's outputs",
            Self::NothingRuns { .. } => "run `deploy doctor`",
            Self::BadBase { .. } => "write one with `deploy bench --json FILE`",
            Self::FlagElsewhere { .. } => "leave it out",
            Self::Arrivals { .. } => "change `--duration`, `--blocks` or `--rate`",
            Self::BadRun { .. } | Self::SomeFailed { .. } | Self::Interrupted => return None,
        };
        Some(hint.to_owned())
    }
}

/// 0 done and true, 1 done and false, 2 could not do it.
pub(crate) fn exit_code(result: &anyhow::Result<ExitStatus>) -> ExitCode {
    match result {
        Ok(ExitStatus::True) => ExitCode::SUCCESS,
        Ok(ExitStatus::False) => ExitCode::from(1),
        Err(_) => ExitCode::from(2),
    }
}

/// Help and version are answers; anything else is an error in the command line.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) if !error.use_stderr() => ExitCode::SUCCESS,
        Err(broken) if broken.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

/// Whether the reader of our output has gone away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// The text of an error: what is wrong, what caused it, what to do.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if lines.iter().all(|line| !line.contains(cause.trim())) {
            lines.push(cause);
        }
    }
    let mut text = format!("error: {}", lines.join("\ncaused by: "));
    if let Some(hint) = error.chain().find_map(hint) {
        text.push_str("\n\nhint: ");
        text.push_str(&hint);
    }
    text
}

fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref::<Fault>().and_then(Fault::hint))
        .or_else(|| {
            error
                .downcast_ref::<deploy::Error>()
                .and_then(deploy::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<deploy::machine::Error>()
                .and_then(deploy::machine::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<bench::Error>()
                .and_then(bench::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<data::Error>()
                .and_then(data::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<onnx::Error>()
                .and_then(onnx::Error::hint)
        })
        .or_else(|| match error.downcast_ref::<io::Error>()?.kind() {
            ErrorKind::StorageFull => Some("make room on the disk".to_owned()),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Some("choose a folder that can be written to".to_owned())
            }
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_expected_found_and_hint() {
        let error = anyhow::Error::from(deploy::Error::classes_differ(
            "model.onnx".as_ref(),
            &["ants", "bees"].map(str::to_owned),
            &["ants", "bees", "wasps"].map(str::to_owned),
        ));
        assert_eq!(
            text(&error),
            "error: `model.onnx` knows 2 classes but the data has 3\n  expected: ants, bees\n  \
             found:    ants, bees, wasps\n\nhint: remove wasps from the data or use a model that was \
             trained with it"
        );
    }

    #[test]
    fn a_cause_is_shown_once() {
        let io = io::Error::from(ErrorKind::StorageFull);
        let text = text(&anyhow::Error::from(io).context("cannot write `a.json`"));
        assert!(
            text.starts_with("error: cannot write `a.json`\ncaused by: "),
            "{text}"
        );
        assert!(text.ends_with("\n\nhint: make room on the disk"), "{text}");
    }

    #[test]
    fn only_a_broken_pipe_is_one() {
        let broken = anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&broken.context("writing")));
        assert!(!is_broken_pipe(&anyhow::Error::from(io::Error::from(
            ErrorKind::NotFound
        ))));
    }
}

//! What can be wrong in the command line itself, and hints: what to do about an error.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// What can be wrong in the command line itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
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
}

impl CliError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRun { .. } => "train one with `trainer fit`, or give `--model FILE`",
            Self::NoData { .. } => "give `--data DIR`",
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
            Self::NothingRuns { .. } => "run `deploy doctor`",
            Self::BadBase { .. } => "write one with `deploy bench --json FILE`",
            Self::FlagElsewhere { .. } => "leave it out",
            Self::Arrivals { .. } => "change `--duration`, `--blocks` or `--rate`",
            Self::BadRun { .. } | Self::SomeFailed { .. } | Self::Interrupted => return None,
        };
        Some(hint.to_owned())
    }
}

/// The hint of an error, whichever crate it comes from, if it has one.
pub(crate) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref::<CliError>()?.hint())
        .or_else(|| error.downcast_ref::<deploy::Error>()?.hint())
        .or_else(|| error.downcast_ref::<deploy::machine::Error>()?.hint())
        .or_else(|| error.downcast_ref::<bench::Error>()?.hint())
        .or_else(|| error.downcast_ref::<data::Error>()?.hint())
        .or_else(|| error.downcast_ref::<data::files::Error>()?.hint())
        .or_else(|| error.downcast_ref::<onnx::Error>()?.hint())
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
    use console::error_text;

    use super::*;

    #[test]
    fn an_error_shows_expected_found_and_hint() {
        let error = anyhow::Error::from(deploy::Error::classes_differ(
            "model.onnx".as_ref(),
            &["ants", "bees"].map(str::to_owned),
            &["ants", "bees", "wasps"].map(str::to_owned),
        ));
        assert_eq!(
            error_text(&error, hint),
            "error: `model.onnx` knows 2 classes but the data has 3\n  expected: ants, bees\n  \
             found:    ants, bees, wasps\n\nhint: remove wasps from the data or use a model that was \
             trained with it"
        );
    }

    #[test]
    fn no_cache_folder_has_a_hint() {
        let error = anyhow::Error::from(data::files::Error::NoCacheFolder);
        let text = error_text(&error, hint);
        assert!(text.contains("hint: name one with `--cache DIR`"), "{text}");
    }

    #[test]
    fn a_cause_is_shown_once() {
        let io = io::Error::from(ErrorKind::StorageFull);
        let error = anyhow::Error::from(io).context("cannot write `a.json`");
        let text = error_text(&error, hint);
        assert!(
            text.starts_with("error: cannot write `a.json`\ncaused by: "),
            "{text}"
        );
        assert!(text.ends_with("\n\nhint: make room on the disk"), "{text}");
    }
}

//! Errors of the command line itself, and the hints of all errors.

use std::error::Error;
use std::io::{self, ErrorKind};

use console::Interrupted;

/// An error of the command line: a message, and how to fix it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CliError {
    message: String,
    hint: Option<String>,
}

impl CliError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// A flag that belongs to another option or command.
    pub(crate) fn flag_elsewhere(flag: &str, with: &str) -> Self {
        Self::with_hint(format!("`{flag}` only works with `{with}`"), "leave it out")
    }

    /// Ctrl-C in the middle of a benchmark.
    pub(crate) fn interrupted() -> Interrupted {
        Interrupted("the results are of what was measured until then".to_owned())
    }
}

/// The hint of an error of any crate.
pub(crate) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    Some(console::in_flags(&library_hint(error)?))
}

fn library_hint(error: &(dyn Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref::<CliError>()?.hint.clone())
        .or_else(|| error.downcast_ref::<deploy::Error>()?.hint())
        .or_else(|| error.downcast_ref::<deploy::machine::Error>()?.hint())
        .or_else(|| error.downcast_ref::<bench::Error>()?.hint())
        .or_else(|| error.downcast_ref::<data::Error>()?.hint())
        .or_else(|| error.downcast_ref::<deploy::pixels::Error>()?.hint())
        .or_else(|| error.downcast_ref::<deploy::files::Error>()?.hint())
        .or_else(|| error.downcast_ref::<onnx::Error>()?.hint())
        .or_else(|| match error.downcast_ref::<io::Error>()?.kind() {
            ErrorKind::StorageFull => Some("make room on the disk".to_owned()),
            ErrorKind::ReadOnlyFilesystem => {
                Some("choose a folder that can be written to".to_owned())
            }
            ErrorKind::PermissionDenied => {
                Some("check the permissions of the file and of its folder".to_owned())
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
        let error = anyhow::Error::from(deploy::files::Error::NoCacheFolder);
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

//! Errors of planning and judging a benchmark, as data. Knows no command line but the flags that hints name.

use std::path::PathBuf;

/// What is wrong with what was to be measured or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library refuses a model, a provider or a precision.
    #[error(transparent)]
    Deploy(#[from] deploy::Error),
    /// The model is made for another number of images.
    #[error(
        "`{}` takes exactly {fixed} images at a time\n  expected: --batch {fixed}\n  \
         found:    --batch {requested}",
        path.display()
    )]
    FixedBatch {
        path: PathBuf,
        fixed: usize,
        requested: usize,
    },
    /// This run and the base measured different configurations.
    #[error(
        "the configurations are not those of the base{}{}",
        listed("only here", new),
        listed("only in the base", gone)
    )]
    Unmatched { new: Vec<String>, gone: Vec<String> },
    /// A condition is about a change, and there is nothing to change from.
    #[error("`{condition}` is a change against a base, and none was given")]
    NoBase { condition: String },
    /// A condition is about something that has no value.
    #[error("`{metric}` of {configuration} has no value: {reason}")]
    NoValue {
        metric: String,
        configuration: String,
        reason: String,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Deploy(error) => return error.hint(),
            Self::FixedBatch { .. } => "leave out `--batch`",
            Self::Unmatched { .. } => {
                "measure with the options of the base, or write a new one with `--json`"
            }
            Self::NoBase { .. } => "give the base with `--compare FILE`",
            Self::NoValue { .. } => "measure longer with `--duration`, or leave out the condition",
        };
        Some(hint.to_owned())
    }
}

/// A line for each, under a heading.
fn listed(heading: &str, configurations: &[String]) -> String {
    let lines = configurations
        .iter()
        .map(|name| format!("\n  {heading}: {name}"));
    lines.collect()
}

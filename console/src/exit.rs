//! Exit codes, and errors as text (`error:`, `caused by:`, `hint:`).

use std::error::Error;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use crate::printer;

/// Result of a command that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, and all is well: 0.
    Success,
    /// Done, and the answer is no, such as of a verification or a gate: 1.
    CheckFailed,
}

impl ExitStatus {
    pub fn from_check(is_ok: bool) -> Self {
        if is_ok {
            Self::Success
        } else {
            Self::CheckFailed
        }
    }
}

/// The end of a command that the user stopped: what is left, and how to continue. No error, so it is not called one.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub struct Interrupted(pub String);

/// The exit code of a command: 0 done and true, 1 done and false, 2 not done. In the last case the error is
/// printed, with the first hint in its chain of causes.
pub fn exit_code(
    result: &anyhow::Result<ExitStatus>,
    hint: impl Fn(&(dyn Error + 'static)) -> Option<String>,
) -> ExitCode {
    match result {
        Ok(ExitStatus::Success) => ExitCode::SUCCESS,
        Ok(ExitStatus::CheckFailed) => ExitCode::from(1),
        // `trainer eval | head` is no failure.
        Err(error) if is_reader_gone(error) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref::<Interrupted>() {
                Some(stopped) => printer::error(&stopped.to_string()),
                None => printer::error(&error_text(error, hint)),
            }
            ExitCode::from(2)
        }
    }
}

/// The exit code where the command line itself was answered: with help, the version or a usage error
/// (`is_error`). `printed` is whether the answer could be printed.
pub fn usage_exit_code(printed: io::Result<()>, is_error: bool) -> ExitCode {
    match printed {
        _ if is_error => ExitCode::from(2),
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            printer::error(&format!("error: {error}"));
            ExitCode::from(2)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Whether the error says only that the reader of standard output has gone away.
fn is_reader_gone(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|e| e.downcast_ref::<io::Error>());
    causes.any(printer::is_reader_gone)
}

/// The text of an error: what is wrong, what caused it, what to do.
pub fn error_text(
    error: &anyhow::Error,
    hint: impl Fn(&(dyn Error + 'static)) -> Option<String>,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Some errors repeat their source.
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

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn hint(error: &(dyn Error + 'static)) -> Option<String> {
        let kind = error.downcast_ref::<io::Error>()?.kind();
        (kind == ErrorKind::StorageFull).then(|| "make room on the disk".to_owned())
    }

    #[test]
    fn an_error_shows_its_causes_and_the_first_hint() {
        let full = Err::<(), _>(io::Error::new(ErrorKind::StorageFull, "no space"))
            .context("the run cannot start")
            .unwrap_err();
        assert_eq!(
            error_text(&full, hint),
            "error: the run cannot start\ncaused by: no space\n\nhint: make room on the disk"
        );
    }

    #[test]
    fn a_cause_is_shown_once() {
        let error = Err::<(), _>(io::Error::other("no space"))
            .context("cannot write `a.json`: no space")
            .unwrap_err();
        assert_eq!(
            error_text(&error, hint),
            "error: cannot write `a.json`: no space"
        );
    }

    #[test]
    fn done_and_true_done_and_false_could_not_do_it() {
        let code = |result| format!("{:?}", exit_code(&result, hint));
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(Ok(ExitStatus::from_check(true))), expected(0));
        assert_eq!(code(Ok(ExitStatus::from_check(false))), expected(1));
        let broken = || io::Error::from(ErrorKind::BrokenPipe);
        assert_eq!(code(Err(broken().into())), expected(2));
        let gone = Err(printer::reader_gone()).context("writing the rows");
        assert_eq!(code(gone), expected(0));
    }

    #[test]
    fn help_that_cannot_be_printed_is_no_success() {
        let code = |printed, is_error| format!("{:?}", usage_exit_code(printed, is_error));
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(Ok(()), false), expected(0));
        assert_eq!(code(Ok(()), true), expected(2));
        assert_eq!(code(Err(ErrorKind::StorageFull.into()), false), expected(2));
        let gone = || Err(ErrorKind::BrokenPipe.into());
        assert_eq!(
            (code(gone(), false), code(gone(), true)),
            (expected(0), expected(2))
        );
    }
}

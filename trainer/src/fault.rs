//! Errors as text (`error:`, `caused by:`, `hint:`) and results as exit codes.

use std::process::ExitCode;

use crate::Error;

/// What a command that could be carried out found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, and all is well: 0.
    True,
    /// Done, and the answer is no (a verification failed): 1.
    False,
}

/// 0 done and true, 1 done and false, 2 could not do it.
pub fn exit_code(result: &anyhow::Result<ExitStatus>) -> ExitCode {
    match result {
        Ok(ExitStatus::True) => ExitCode::SUCCESS,
        Ok(ExitStatus::False) => ExitCode::from(1),
        Err(_) => ExitCode::from(2),
    }
}

/// The text of an error: what is wrong, what caused it, what to do.
pub fn text(error: &anyhow::Error) -> String {
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

fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref::<Error>().and_then(Error::hint))
        .or_else(|| {
            error
                .downcast_ref::<data::Error>()
                .and_then(data::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<data::pixels::Error>()
                .and_then(data::pixels::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<data::files::Error>()
                .and_then(data::files::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<models::Error>()
                .and_then(models::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<onnx::Error>()
                .and_then(onnx::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<deploy::Error>()
                .and_then(deploy::Error::hint)
        })
        .or_else(|| {
            error
                .downcast_ref::<std::io::Error>()
                .and_then(crate::error::io_hint)
        })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context;

    use super::text;
    use crate::Error;

    #[test]
    fn an_error_shows_its_causes_and_its_hint() {
        let error = Err::<(), _>(Error::RunExists {
            path: PathBuf::from("runs/bees"),
        })
        .context("the run cannot start")
        .unwrap_err();
        assert_eq!(
            text(&error),
            "error: the run cannot start\ncaused by: `runs/bees` exists already\n\nhint: go on \
             with it: `trainer fit --resume runs/bees`; or choose another `--name`"
        );
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = anyhow::Error::from(Error::from(full));
        assert!(text(&error).contains("hint: make room"), "{}", text(&error));
    }
}

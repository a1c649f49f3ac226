//! Hints for errors of any crate.

use std::error::Error;
use std::io;

use crate::error;

/// The hint of an error, if it has one.
pub fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    Some(console::in_flags(&library_hint(error)?))
}

fn library_hint(error: &(dyn Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref::<crate::Error>()?.hint())
        .or_else(|| error.downcast_ref::<report::Error>()?.hint())
        .or_else(|| error.downcast_ref::<data::Error>()?.hint())
        .or_else(|| error.downcast_ref::<data::pixels::Error>()?.hint())
        .or_else(|| error.downcast_ref::<data::files::Error>()?.hint())
        .or_else(|| error.downcast_ref::<models::Error>()?.hint())
        .or_else(|| error.downcast_ref::<onnx::Error>()?.hint())
        .or_else(|| error.downcast_ref::<deploy::Error>()?.hint())
        .or_else(|| error::io_hint(error.downcast_ref::<io::Error>()?))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context;
    use console::error_text;

    use super::hint;
    use crate::Error;

    #[test]
    fn an_error_shows_its_causes_and_its_hint() {
        let error = Err::<(), _>(Error::RunExists {
            path: PathBuf::from("runs/bees"),
        })
        .context("the run cannot start")
        .unwrap_err();
        assert_eq!(
            error_text(&error, hint),
            "error: the run cannot start\ncaused by: `runs/bees` exists already\n\nhint: continue \
             it: `trainer fit --resume runs/bees`; or choose another `--name`"
        );
    }

    #[test]
    fn a_photo_that_may_not_be_read_asks_for_no_other_folder_of_runs() {
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let photo = data::files::Error::reading("photos/a.jpg")(denied);
        let text = error_text(&anyhow::Error::from(Error::from(photo)), hint);
        assert!(
            text.contains("hint: check the permissions") && !text.contains("--runs"),
            "{text}"
        );
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let text = error_text(&anyhow::Error::from(Error::from(full)), hint);
        assert!(text.contains("hint: make room"), "{text}");
    }
}

//! Material beside the checkout, and what else a machine may lack: a test is skipped without it,
//! but fails in CI.

use std::path::{Path, PathBuf};

/// The folder beside the checkout.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.ancestors().nth(2).unwrap().join("shared")
}

/// A file or folder of `../shared`.
pub fn find(path: &str) -> Option<PathBuf> {
    let found = root().join(path);
    or_skip(
        found.exists().then_some(found),
        &format!("../shared/{path}"),
    )
}

/// What was found; otherwise the test says that it is skipped, or fails in CI.
pub fn or_skip<T>(found: Option<T>, needed: &str) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "needs {needed}");
        println!("skipped: needs {needed}");
    }
    found
}

//! Files that hold an input, for readers that take a path. Each thread has a folder of its own.

use std::path::Path;

use tempfile::TempDir;

thread_local! {
    // In memory where Linux has that: a disk's file system makes a million small files slow.
    static FOLDER: TempDir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("the temporary folder can be written");
}

/// Calls `read` with the path of a file that holds the bytes.
pub(crate) fn with_file<T>(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    FOLDER.with(|folder| {
        let path = folder.path().join(name);
        fs_err::write(&path, bytes).expect("the temporary folder can be written");
        read(&path)
    })
}

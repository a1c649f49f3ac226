//! Atomic writing: a temporary file in the same folder is synced, then renamed.

use crate::{Error, Result};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes `bytes` to `path`. At every moment the file has its old or its new content.
///
/// # Errors
/// When the folder is missing or not writable, or the disk is full.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.txt");
/// classifold_files::write::atomically(&path, b"ants")?;
/// assert_eq!(std::fs::read(&path)?, b"ants");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    atomically_with(path, |file| file.write_all(bytes))
}

/// As [`atomically`], with a closure that writes the content.
///
/// # Errors
/// As [`atomically`], and when the closure fails.
pub fn atomically_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let folder = crate::parent_folder(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // `tempfile` creates files with mode 0600; these get what the umask allows, as others do.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(Error::writing(path))?;
    {
        let mut buffered = BufWriter::new(file.as_file_mut());
        write(&mut buffered)
            .and_then(|()| buffered.flush())
            .map_err(Error::writing(path))?;
    }
    // Before the rename: after a power cut the new name must not stand for an empty file.
    file.as_file().sync_all().map_err(Error::writing(path))?;
    file.persist(path)
        .map_err(|error| Error::writing(path)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_keeps_the_old_file_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        atomically(&path, b"old").unwrap();
        let result = atomically_with(&path, |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("full"))
        });
        assert!(matches!(result, Err(Error::Write { .. })));
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_folder_is_named() {
        let error = atomically(Path::new("no/such/folder/file"), b"x").unwrap_err();
        assert!(error.to_string().contains("no/such/folder/file"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        atomically(&ours, b"x").unwrap();
        fs_err::write(&usual, b"x").unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&usual));
    }
}

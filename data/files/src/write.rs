//! Atomic writing: a temporary file in the same folder is synced, then renamed.

use crate::{Error, Result};
use fs_err as fs;
use std::fs::Metadata;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

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
/// A link is followed, and a file that is there keeps its mode and, where the system allows it, its owner. What is
/// no regular file (a pipe, a device) is written straight into. `-` and `/dev/stdout` are standard output.
///
/// # Errors
/// As [`atomically`], and when the closure fails.
pub fn atomically_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let written = if is_stdout(path) {
        let mut stdout = io::stdout().lock();
        match write(&mut stdout).and_then(|()| stdout.flush()) {
            // A reader such as `head` has had enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    } else {
        let target = follow_links(path).map_err(Error::writing(path))?;
        match fs::metadata(&target) {
            Ok(old) if !old.is_file() => {
                // A folder is refused here, by the system.
                let stream = fs::OpenOptions::new().write(true).open(&target);
                stream.and_then(|mut stream| write(&mut stream))
            }
            Ok(old) => replace(&target, Some(&old), write),
            Err(error) if error.kind() == io::ErrorKind::NotFound => replace(&target, None, write),
            Err(error) => Err(error),
        }
    };
    written.map_err(Error::writing(path))
}

/// Writes the bytes of the file `from` to `path`, as [`atomically`]: for files that are checked under another name before
/// they get their own.
///
/// # Errors
/// As [`atomically`], and when `from` cannot be read.
pub fn copy(from: &Path, path: &Path) -> Result<()> {
    let mut from = fs::File::open(from).map_err(Error::reading(from))?;
    atomically_with(path, |file| io::copy(&mut from, file).map(|_| ()))
}

/// Whether the path means standard output.
///
/// The system's own names for it count too. Behind `> file` they lead to that file, and a rename over it would lose
/// the result, because the shell holds the old file.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .iter()
        .any(|name| path.as_os_str() == *name)
}

/// The file behind links, which need not be there yet.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            // A relative link starts at the folder it lies in.
            Ok(target) => path = crate::parent_folder(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links, one to the other"))
}

/// Puts a new file in place of the `old` one.
fn replace(
    path: &Path,
    old: Option<&Metadata>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // `tempfile` creates files with mode 0600; these get what the umask allows, as others do.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(crate::parent_folder(path))?;
    {
        let mut buffered = BufWriter::new(file.as_file_mut());
        write(&mut buffered)?;
        buffered.flush()?;
    }
    if let Some(old) = old {
        // Only root may give a file away; for others it is their own already, or stays theirs.
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let _ = std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
        }
        file.as_file().set_permissions(old.permissions())?;
    }
    // Before the rename: after a power cut the new name must not stand for an empty file.
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
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

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_the_file_behind_it_keeps_its_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/file"), b"old").unwrap();
        let private = std::fs::Permissions::from_mode(0o640);
        fs::set_permissions(at("real/file"), private).unwrap();
        symlink("real/file", at("link")).unwrap();
        symlink("link", at("link to link")).unwrap();
        atomically(&at("link to link"), b"new").unwrap();
        assert_eq!(fs::read(at("real/file")).unwrap(), b"new");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        let mode = fs::metadata(at("real/file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        fs::write(at("draft"), b"newer").unwrap();
        copy(&at("draft"), &at("link")).unwrap();
        assert_eq!(fs::read(at("real/file")).unwrap(), b"newer");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert!(matches!(
            copy(&at("gone"), &at("link")),
            Err(Error::Read { .. })
        ));
        // A link to a file that is not there yet, and one to itself.
        symlink("real/later", at("dangling")).unwrap();
        atomically(&at("dangling"), b"x").unwrap();
        assert_eq!(fs::read(at("real/later")).unwrap(), b"x");
        symlink("circle", at("circle")).unwrap();
        assert!(atomically(&at("circle"), b"x").is_err());
    }

    #[cfg(unix)]
    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped part of a test says so")]
    fn pipes_and_devices_are_written_into_and_stay() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, arguments: &[&str]| {
            let path = folder.path().join(name);
            let mut command = std::process::Command::new("mknod");
            let made = command.arg(&path).args(arguments).output();
            made.is_ok_and(|made| made.status.success()).then_some(path)
        };
        let pipe = make("pipe", &["p"]).unwrap();
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read(pipe).unwrap())
        };
        atomically(&pipe, b"ants").unwrap();
        assert_eq!(reader.join().unwrap(), b"ants");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        // The numbers of the null device.
        match make("null", &["c", "1", "3"]) {
            Some(device) if fs::OpenOptions::new().write(true).open(&device).is_ok() => {
                atomically(&device, b"ants").unwrap();
                let kind = fs::metadata(&device).unwrap().file_type();
                assert!(kind.is_char_device());
            }
            _ => eprintln!("skipped: needs the right to make a device"),
        }
        assert!(atomically(folder.path(), b"x").is_err());
    }
}

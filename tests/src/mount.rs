//! Small and read-only file systems, for root on Linux.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::shared;

/// A file system in memory, unmounted when dropped.
pub struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Mounts one of `kib` KiB at a new folder; none (and the test is skipped) where that is not
    /// permitted.
    pub fn small(path: &Path, kib: u32) -> Option<Mount> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={kib}k");
        let done = mount(&["-t", "tmpfs", "-o", &size, "none"], path);
        let mount = done.then(|| Mount { path: path.into() });
        shared::or_skip(mount, "the right to mount a file system")
    }

    /// From now on nothing is written here.
    pub fn read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], &self.path));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let umount = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(umount.is_ok_and(|status| status.success()));
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let output = Command::new("mount").args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

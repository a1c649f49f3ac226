//! Downloads by pip, the ordinary client of the Python package index. Knows no wheel by name.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err as fs;

/// Python version whose wheels are taken; the libraries inside are the same for every one.
const PYTHON_VERSION: &str = "3.12";

/// How often the bytes on the disk are counted for the progress.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Downloads one wheel, `project==version`, into `folder`; `progress` gets the bytes that have arrived. An
/// unfinished wheel lies in `folder` too, where there is room for it. Whoever calls compares the SHA-256.
///
/// Without `platforms`, which are pip's `--platform`, the wheel is one for this machine.
///
/// # Errors
/// Python or pip is missing, or pip fails: its last line.
pub fn download(
    requirement: &str,
    platforms: &[&str],
    folder: &Path,
    progress: &dyn Fn(u64),
) -> Result<(), String> {
    let mut reason = "neither `python3` nor `python` was found".to_owned();
    for python in ["python3", "python"] {
        let log = tempfile::NamedTempFile::new_in(folder).map_err(|e| e.to_string())?;
        let unfinished = tempfile::Builder::new()
            .prefix(".pip-")
            .tempdir_in(folder)
            .map_err(|e| e.to_string())?;
        let mut command = Command::new(python);
        command
            .args(["-m", "pip", "download", "--quiet", "--no-cache-dir"])
            .args([
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
            ])
            .args(["--retries", "2", "--timeout", "15"])
            .args(resume_options(python))
            .args(["--python-version", PYTHON_VERSION, "--implementation", "cp"]);
        for platform in platforms {
            command.args(["--platform", platform]);
        }
        let child = command
            .arg("--dest")
            .arg(folder)
            .arg(requirement)
            // pip keeps an unfinished wheel in its temporary folder, whose size is the progress.
            .env("TMPDIR", unfinished.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen().map_err(|e| e.to_string())?)
            .spawn();
        let Ok(mut child) = child else {
            continue;
        };
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                break status;
            }
            progress(size(unfinished.path()));
            std::thread::sleep(POLL_INTERVAL);
        };
        if status.success() {
            return Ok(());
        }
        let text = fs::read_to_string(log.path()).unwrap_or_default();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        reason = format!("pip: {}", last.unwrap_or("failed without a word").trim());
        break;
    }
    Err(reason)
}

/// Options to continue a broken download, which pip can from version 25.1 on.
fn resume_options(python: &str) -> &'static [&'static str] {
    let output = Command::new(python)
        .args(["-m", "pip", "--version"])
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let version = text.split_whitespace().nth(1).unwrap_or_default();
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    if (parts.next(), parts.next()) >= (Some(25), Some(1)) {
        &["--resume-retries", "5"]
    } else {
        &[]
    }
}

/// Bytes of the files below a folder; what vanishes meanwhile is not counted.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

//! One file over HTTP or from disk: resumed, retried, checked, then renamed.

use super::checksum::Expected;
use crate::error::{reading, writing};
use crate::{Error, Result};
use files::http;
use fs_err as fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Requests in a row that bring less than [`STEADY_BYTES`] before giving up.
const ATTEMPTS: u32 = 4;
/// An attempt that brings so much starts the count anew.
const STEADY_BYTES: u64 = 1 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

type Progress<'a> = &'a dyn Fn(u64, Option<u64>);

/// How one request went wrong.
enum Fault {
    /// Worth another try: a cut connection, a busy server.
    Passing(String),
    /// Not worth one: no such file, a full disk.
    Final(Error),
}

fn failure(url: &str, reason: &str) -> Error {
    Error::with_hint(
        format!("cannot download `{url}`: {reason}"),
        "run the command again to continue where it stopped; `trainer fetch NAME --from` takes a mirror's URL, \
         a file or a folder",
    )
}

/// Brings what is at `url` to `target`. What an earlier call left in `target.part` is resumed.
pub(super) fn download(
    url: &str,
    target: &Path,
    expected: &Expected,
    progress: Progress<'_>,
) -> Result<()> {
    let part = Part::new(target, url);
    let mut resumed = part.open()?.1 > 0;
    let (mut failures, mut pause) = (0, FIRST_PAUSE);
    loop {
        let before = part.open()?.1;
        match part.request(url, progress) {
            Ok(()) => match finish(&part.path, target, expected) {
                Ok(()) => {
                    part.forget();
                    return Ok(());
                }
                // What was there may have been another file's beginning: once more from the start.
                Err(Error::Checksum { .. }) if resumed => {
                    resumed = false;
                    part.discard();
                }
                Err(error) => {
                    part.discard();
                    return Err(error);
                }
            },
            Err(Fault::Final(error)) => return Err(error),
            Err(Fault::Passing(reason)) => {
                let gained = part.open()?.1.saturating_sub(before);
                failures = if gained >= STEADY_BYTES {
                    0
                } else {
                    failures + 1
                };
                if failures >= ATTEMPTS {
                    return Err(failure(url, &reason));
                }
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

/// Brings a file on disk to `target`.
pub(super) fn copy(
    file: &Path,
    target: &Path,
    expected: &Expected,
    progress: Progress<'_>,
) -> Result<()> {
    let part = part_path(target, "part");
    let mut from = fs::File::open(file).map_err(reading(file))?;
    let total = from.metadata().ok().map(|meta| meta.len());
    let mut to = fs::File::create(&part).map_err(writing(&part))?;
    pour(&mut from, &mut to, 0, total, progress)
        .and_then(|_| to.sync_all())
        .map_err(writing(&part))?;
    let finished = finish(&part, target, expected);
    if finished.is_err() {
        // The check's error matters, not that of tidying up.
        let _ = fs::remove_file(&part);
    }
    finished
}

/// Checks a whole file and gives it its name.
fn finish(part: &Path, target: &Path, expected: &Expected) -> Result<()> {
    expected.check(part)?;
    fs::rename(part, target).map_err(writing(target))
}

fn part_path(target: &Path, extension: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// A file under way, and beside it the address and the version that it is of.
struct Part {
    path: PathBuf,
    origin: PathBuf,
}

impl Part {
    /// What is there of another address is thrown away.
    fn new(target: &Path, url: &str) -> Self {
        let part = Part {
            path: part_path(target, "part"),
            origin: part_path(target, "part.from"),
        };
        if part.origin().is_none_or(|(from, _)| from != url) {
            part.discard();
        }
        part
    }

    /// Address and entity tag of what is there.
    fn origin(&self) -> Option<(String, Option<String>)> {
        let text = fs::read_to_string(&self.origin).ok()?;
        let mut lines = text.lines().map(str::to_owned);
        Some((lines.next()?, lines.next().filter(|tag| !tag.is_empty())))
    }

    /// The open file and its length.
    fn open(&self) -> Result<(fs::File, u64)> {
        let mut options = fs::OpenOptions::new();
        let file = options
            .create(true)
            .write(true)
            .truncate(false)
            .open(&self.path);
        let file = file.map_err(writing(&self.path))?;
        let length = file.metadata().map_err(writing(&self.path))?.len();
        Ok((file, length))
    }

    /// Removes the address; the part itself has been renamed.
    fn forget(&self) {
        // A leftover is harmless: it is overwritten or thrown away next time.
        let _ = fs::remove_file(&self.origin);
    }

    fn discard(&self) {
        let _ = fs::remove_file(&self.path);
        self.forget();
    }

    /// One request for what is missing.
    fn request(&self, url: &str, progress: Progress<'_>) -> std::result::Result<(), Fault> {
        let (mut file, have) = self.open().map_err(Fault::Final)?;
        let mut headers = vec![];
        if have > 0 {
            headers.push(("Range", format!("bytes={have}-")));
            if let Some((_, Some(tag))) = self.origin() {
                headers.push(("If-Range", tag));
            }
        }
        let mut response = http::get(url, &headers).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Fault::Final(Error::with_hint(
                format!("cannot download `{url}`: {error}"),
                "install `curl`, or download the file with another program and give it with `trainer fetch NAME --from FILE`",
            )),
            _ => Fault::Passing(error.to_string()),
        })?;
        let answer = format!("the server answered {}", response.status_text());
        let start = match response.status() {
            206 if range_start(&response) == Some(have) => have,
            200 => 0,
            // Another part than the one asked for, or a file that has become shorter.
            206 | 416 => {
                self.discard();
                let reason = format!("the server cannot continue from byte {have}");
                return Err(Fault::Passing(reason));
            }
            429 | 500.. => return Err(Fault::Passing(answer)),
            _ => return Err(Fault::Final(failure(url, &answer))),
        };
        let failed = |error| Fault::Final(writing(&self.path)(error));
        file.set_len(start)
            .and_then(|()| file.seek(SeekFrom::Start(start)))
            .map_err(failed)?;
        // A weak tag does not promise the same bytes.
        let tag = response.header("etag").filter(|tag| tag.starts_with('"'));
        let origin = format!("{url}\n{}\n", tag.unwrap_or_default());
        fs::write(&self.origin, origin).map_err(failed)?;

        let rest: Option<u64> = response
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let total = rest.map(|rest| rest + start);
        let done =
            pour(&mut Body(&mut response), &mut file, start, total, progress).map_err(|e| {
                if e.get_ref().is_some_and(|inner| inner.is::<Cut>()) {
                    Fault::Passing(e.to_string())
                } else {
                    failed(e)
                }
            })?;
        match total {
            Some(total) if done < total => Err(Fault::Passing(format!(
                "the connection ended at byte {done} of {total}"
            ))),
            _ => file.sync_all().map_err(failed),
        }
    }
}

/// A server's side of the copying: its errors can be told from the disk's.
struct Body<R>(R);

/// A connection that was cut.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut: {0}")]
struct Cut(io::Error);

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .read(buffer)
            .map_err(|e| io::Error::new(e.kind(), Cut(e)))
    }
}

/// Copies everything; gives the position reached.
fn pour(
    from: &mut impl Read,
    to: &mut impl Write,
    start: u64,
    total: Option<u64>,
    progress: Progress<'_>,
) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut done = start;
    loop {
        progress(done, total);
        let n = match from.read(&mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted && e.get_ref().is_none() => continue,
            other => other?,
        };
        if n == 0 {
            return Ok(done);
        }
        to.write_all(&buffer[..n])?;
        done += n as u64;
    }
}

/// The position of the first byte of `bytes 100-199/200`.
fn range_start(response: &http::Response) -> Option<u64> {
    let range = response.header("content-range")?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

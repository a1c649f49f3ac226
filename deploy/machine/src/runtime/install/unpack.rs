//! Unpacking of libraries and licences from wheels. Knows no wheel by name.

use std::io::Read;
use std::path::Path;

use fs_err as fs;

use super::failed;
use crate::error::{Error, Result};

/// No file of a wheel is larger: a guard against archive bombs.
const MAX_UNPACKED: u64 = 4 << 30;

/// Unpacks the files that `keep` gives a name, into `out`; returns the names.
pub(super) fn unpack(
    wheel: &Path,
    out: &Path,
    keep: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let what = format!("unpack `{}`", wheel.display());
    let broken = |e: zip::result::ZipError| Error::install(&what, e);
    let file = fs::File::open(wheel).map_err(failed("open the wheel"))?;
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(broken)?;
        // The last part only: no path of the archive is ever followed.
        let path = entry.name().map_err(broken)?;
        let kept = keep(path.rsplit(['/', '\\']).next().unwrap_or_default());
        drop(path);
        let Some(name) = kept.filter(|_| !entry.is_dir()) else {
            continue;
        };
        if entry.size() > MAX_UNPACKED {
            let bytes = entry.size();
            let reason = format!("`{name}` is larger than any library: {bytes} bytes");
            return Err(Error::install(&what, reason));
        }
        let mut target = fs::File::create(out.join(&name)).map_err(failed("unpack the wheel"))?;
        std::io::copy(&mut entry.take(MAX_UNPACKED), &mut target)
            .map_err(failed("unpack the wheel"))?;
        target.sync_all().map_err(failed("unpack the wheel"))?;
        names.push(name);
    }
    Ok(names)
}

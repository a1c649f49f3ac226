//! `deploy cache`: the folder of downloads.

use std::path::{Path, PathBuf};

use console::table::{Column, Table};
use console::{ExitStatus, Printer, printer};
use deploy::engine_cache::EngineCache;
use deploy::runtime::VERSION;
use fs_err as fs;

use crate::cli::{CacheCommand, PruneArgs};
use crate::source;

pub(crate) fn run(command: &CacheCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        CacheCommand::Dir(args) => {
            printer::line(&source::cache(args.cache.as_deref())?.display().to_string())?;
        }
        CacheCommand::List(args) => list(&source::cache(args.cache.as_deref())?)?,
        CacheCommand::Prune(args) => prune(args, printer)?,
    }
    Ok(ExitStatus::Success)
}

/// Lists the folder two levels deep, with sizes.
fn list(cache: &Path) -> anyhow::Result<()> {
    let mut table = Table::new([Column::RIGHT.at_least(10), Column::LEFT]);
    let mut total = 0;
    for entry in entries(cache)? {
        let size = size(&entry)?;
        total += size;
        let name = entry.strip_prefix(cache).unwrap_or(&entry);
        table.row([human(size), name.display().to_string()]);
    }
    table.row([human(total), format!("in `{}`", cache.display())]);
    Ok(printer::line(&table.to_string())?)
}

fn prune(args: &PruneArgs, printer: &Printer) -> anyhow::Result<()> {
    let cache = source::cache(args.cache.cache.as_deref())?;
    let mut freed = 0;
    for entry in entries(&cache)? {
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // A converted model is made again when it is asked for.
        let spare = name.starts_with('.')
            || name.ends_with(".part")
            || entry.starts_with(cache.join("converted"));
        if args.all || spare {
            freed += remove(&entry, printer)?;
        }
    }
    let installed = deploy::runtime::list(&cache);
    // TensorRT's engines are built by the runtime with CUDA, those of plugins by any.
    let mut versions: Vec<&str> = installed
        .iter()
        .map(|found| found.version.as_str())
        .collect();
    versions.push(VERSION);
    for engine in EngineCache::new(cache.join("engines")).unusable(&versions)? {
        freed += remove(&engine, printer)?;
    }
    for setting in deploy::tuned::unusable(&cache, &versions)? {
        // With `--all` it is gone already.
        if setting.exists() {
            freed += remove(&setting, printer)?;
        }
    }
    for gpu in [false, true] {
        let unused = installed.iter().filter(|found| found.gpu == gpu).skip(1);
        for folder in unused.filter_map(|found| found.path.parent()) {
            freed += remove(folder, printer)?;
        }
    }
    printer::line(&format!("{} freed", human(freed)))?;
    Ok(())
}

fn remove(entry: &Path, printer: &Printer) -> anyhow::Result<u64> {
    let size = size(entry)?;
    if entry.is_dir() && !entry.is_symlink() {
        fs::remove_dir_all(entry)?;
    } else {
        fs::remove_file(entry)?;
    }
    printer.log(format!("removed `{}` ({})", entry.display(), human(size)));
    Ok(size)
}

/// The entries of the folder's own subfolders (`runtime/…`, `weights/…`), sorted; files as they are.
fn entries(cache: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in children(cache)? {
        if entry.is_dir() && !entry.is_symlink() {
            all.extend(children(&entry)?);
        } else {
            all.push(entry);
        }
    }
    Ok(all)
}

/// A folder that is not there has no children.
fn children(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut all: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    all.sort();
    Ok(all)
}

pub(super) fn size(path: &Path) -> anyhow::Result<u64> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    children(path)?.iter().map(|child| size(child)).sum()
}

/// Bytes for people.
pub(super) fn human(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [12, 1_500, 46_820_737].map(human),
            ["12 B", "1.5 kB", "46.8 MB"]
        );
    }
}

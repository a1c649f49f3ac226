//! Converted models: the file to run for a precision is the model's own, or a converted one in the cache folder.
//! Opens no session.

use std::path::Path;
use std::time::Duration;

use bench::mixed::{self, Search};
use bench::plan::BenchModel;
use bench::run::BenchConfig;
use bench::worker::{EngineSpec, Input, Worker};
use console::Printer;
use data::preprocess::PreprocessBuffers;
use data::{Dataset, Preprocess};
use deploy::classifier::usual_batch;
use deploy::convert::{self, Calibration, DEFAULT_IMAGES, NodeChoice, Quantizer, Scheme};
use deploy::session::Feed;
use deploy::tuned::TunedKey;
use deploy::{Batch, Model, Precision, Provider, Session, SessionOptions, decode};
use onnx::ModelFile;

/// Time in which nodes that are faster in single precision are sought, about.
const SEARCH: Duration = Duration::from_secs(10);

/// A model, and its calibration images.
pub(crate) struct OriginalModel<'a> {
    pub(crate) file: &'a ModelFile,
    pub(crate) model: &'a Model,
    /// Training images and how they are prepared, for int8.
    pub(crate) images: Option<(&'a Dataset, &'a Preprocess)>,
}

impl<'a> From<&'a BenchModel> for OriginalModel<'a> {
    fn from(model: &'a BenchModel) -> Self {
        let images = model.data.as_ref();
        Self {
            file: &model.file,
            model: &model.contents,
            images: images.map(|data| (&data.dataset, &data.preprocess)),
        }
    }
}

/// The quantisation scheme that suits a provider.
///
/// TensorRT needs the symmetric scheme; OpenVINO takes either. On the CPU ONNX Runtime replaces a ReLU by the range of
/// the integers only where zero is the lowest of them: it runs half of the convolutions of a symmetric file in single
/// precision, and such a file is less accurate.
pub(crate) fn scheme(provider: Provider) -> Scheme {
    match provider {
        Provider::Cpu | Provider::OpenVino { .. } => Scheme::Asymmetric,
        Provider::Cuda { .. } | Provider::TensorRt { .. } | Provider::TensorRtRtx { .. } => {
            Scheme::Symmetric
        }
    }
}

impl OriginalModel<'_> {
    /// The file to run in a session of these options. For int8 ONNX Runtime must have been loaded: nodes that are faster
    /// in single precision stay so.
    pub(crate) fn file(
        &self,
        session: &SessionOptions,
        cache: &Path,
        printer: &Printer,
    ) -> anyhow::Result<ModelFile> {
        let (provider, precision) = (session.provider, session.precision);
        if !self.is_converted_for(provider, precision)? {
            return Ok(self.file.clone());
        }
        let converted = match self.images.filter(|_| precision == Precision::Int8) {
            Some((dataset, preprocess)) => {
                let (seed, scheme) = (self.model.seed(), scheme(provider));
                let preprocess = preprocess.clone();
                let calibration =
                    Calibration::choose(dataset, DEFAULT_IMAGES, seed, preprocess, scheme);
                let batch = self.model.fixed_batch();
                let choice = NodeChoice {
                    key: timing_key(self.file, provider)?,
                    choose: &|quantizer| {
                        faster_in_fp32(quantizer, &calibration, session, batch, printer)
                    },
                };
                convert::cached_int8(self.file, &calibration, &choice, cache)?
            }
            None => convert::cached(self.file, precision, None, cache)?,
        };
        if !converted.reused {
            let path = converted.path.display();
            printer.log(format!("converted to {precision}: `{path}`"));
        }
        Ok(ModelFile::open(&converted.path)?)
    }

    /// Whether that is another file than the model's own.
    pub(crate) fn is_converted_for(
        &self,
        provider: Provider,
        precision: Precision,
    ) -> deploy::Result<bool> {
        Ok(precision.converts(provider)? && self.model.precision != precision.name())
    }
}

/// What the choice of nodes depends on: they are timed on a provider of this machine.
fn timing_key(file: &ModelFile, provider: Provider) -> anyhow::Result<String> {
    let key = serde_json::to_string(&TunedKey::here(file, provider)?)?;
    Ok(format!("{provider} {key}"))
}

/// Names of the nodes that are faster in single precision in a session of these options, timed on calibration images.
pub(crate) fn faster_in_fp32(
    quantizer: &Quantizer,
    calibration: &Calibration,
    session: &SessionOptions,
    fixed_batch: Option<usize>,
    printer: &Printer,
) -> deploy::Result<Vec<String>> {
    let provider = session.provider;
    // TensorRT takes minutes to compile a file.
    if let Provider::TensorRt { .. } | Provider::TensorRtRtx { .. } = provider {
        return Ok(Vec::new());
    }
    let nodes = quantizer.nodes()?;
    printer.log(format!(
        "timing nodes in int8 and fp32 on {provider} (about {} s)",
        SEARCH.as_secs()
    ));
    let usual = fixed_batch.unwrap_or_else(|| usual_batch(provider));
    // What a provider compiles for the files that are not chosen is of no further use.
    let compiled =
        tempfile::tempdir().map_err(deploy::files::Error::writing(&std::env::temp_dir()))?;
    let options = SessionOptions {
        precision: Precision::Int8,
        // As `eval` runs it, one session on each core. Idle threads of the other sessions would spin, too.
        threads: provider.is_on_cpu().then_some(1),
        batches: vec![usual],
        record: true,
        engines: Some(compiled.path().to_owned()),
        image_shape: Some(calibration.preprocess.output_shape()),
        ..session.clone()
    };
    // A graph may take another number of images than the file says.
    let opened = Session::from_file(&quantizer.quantize(&[])?, &options)?.batch();
    let batch = match opened {
        Batch::Fixed(batch) => batch,
        Batch::Dynamic => usual,
    };
    let input = Input::Prepared(prepared(calibration, batch)?.into());
    let open = |kept: &[String]| {
        let spec = EngineSpec::OnnxRuntime {
            file: quantizer.quantize(kept)?,
            options: Box::new(options.clone()),
            feed: Feed::Host,
        };
        Ok(mixed::timed_run(BenchConfig {
            workers: vec![Worker::open(spec, input.clone(), batch)?],
            batch,
        }))
    };
    let search = Search {
        nodes: &nodes,
        open: &open,
        time: SEARCH,
    };
    let found = search.run()?;
    if !found.kept.is_empty() {
        printer.log(format!(
            "{} of {} nodes stay in fp32: {:.2} times as fast on {provider} as all of them in int8",
            found.kept.len(),
            nodes.len(),
            found.speedup
        ));
    }
    Ok(found.kept)
}

/// The first of the calibration images that can be read, prepared.
fn prepared(calibration: &Calibration, count: usize) -> deploy::Result<Vec<f32>> {
    let preprocess = &calibration.preprocess;
    let (color, len) = (preprocess.color(), preprocess.output_len());
    let mut buffers = PreprocessBuffers::new(preprocess);
    let (mut prepared, mut out) = (Vec::new(), vec![0.0; len]);
    let readable = calibration.images.iter().filter_map(|path| {
        let image = decode::open_as(path, color, &calibration.limits);
        image.ok()
    });
    for image in readable.take(count) {
        buffers.apply_into(&image, &mut out)?;
        prepared.extend_from_slice(&out);
    }
    Ok(prepared)
}

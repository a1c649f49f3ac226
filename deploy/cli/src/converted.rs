//! Converted models: the file to run for a precision is the model's own, or a converted one in the cache folder.
//! Opens no session.

use std::path::Path;

use console::Printer;
use data::{Dataset, Preprocess};
use deploy::convert::{self, Calibration, DEFAULT_IMAGES, Scheme};
use deploy::{Model, Precision, Provider};
use onnx::ModelFile;

/// A model, and its calibration images.
pub(crate) struct OriginalModel<'a> {
    pub(crate) file: &'a ModelFile,
    pub(crate) model: &'a Model,
    /// Training images and how they are prepared, for int8.
    pub(crate) images: Option<(&'a Dataset, &'a Preprocess)>,
}

/// The quantisation scheme that suits a provider.
///
/// TensorRT needs the symmetric scheme; OpenVINO takes either. On the CPU ONNX Runtime replaces a ReLU by the range of the integers only
/// where zero is the lowest of them: it runs half of the convolutions of a symmetric file in single precision, and
/// such a file is less accurate.
pub(crate) fn scheme(provider: Provider) -> Scheme {
    match provider {
        Provider::Cpu | Provider::OpenVino { .. } => Scheme::Asymmetric,
        Provider::Cuda { .. } | Provider::TensorRt { .. } | Provider::TensorRtRtx { .. } => {
            Scheme::Symmetric
        }
    }
}

impl OriginalModel<'_> {
    /// The file to run. For int8 ONNX Runtime must have been loaded.
    pub(crate) fn file(
        &self,
        provider: Provider,
        precision: Precision,
        cache: &Path,
        printer: &Printer,
    ) -> anyhow::Result<ModelFile> {
        if !self.is_converted_for(provider, precision)? {
            return Ok(self.file.clone());
        }
        let seed = self.model.seed();
        let images = self.images.filter(|_| precision == Precision::Int8);
        let calibration = images.map(|(dataset, preprocess)| {
            let scheme = scheme(provider);
            Calibration::choose(dataset, DEFAULT_IMAGES, seed, preprocess.clone(), scheme)
        });
        let converted = convert::cached(self.file, precision, calibration.as_ref(), cache)?;
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

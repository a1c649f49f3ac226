//! Converted models: the file that is run is the model's own, or one converted to the precision and kept in
//! the cache folder. Opens no session.

use std::path::{Path, PathBuf};

use console::Printer;
use data::{Dataset, Preprocess};
use deploy::convert::{self, Calibration, DEFAULT_IMAGES, Scheme};
use deploy::{Model, Precision, Provider};

/// A model, and what it is calibrated with.
pub(crate) struct OriginalModel<'a> {
    pub(crate) path: &'a Path,
    pub(crate) model: &'a Model,
    /// Training images and how they are prepared, for int8.
    pub(crate) images: Option<(&'a Dataset, &'a Preprocess)>,
}

/// The scheme of quantisation that suits a provider.
///
/// Why two kinds of int8 files? On the CPU ONNX Runtime replaces a ReLU by the range of the integers only
/// where zero is the lowest of them. The symmetric file, which TensorRT needs, runs half of its convolutions
/// in single precision there, and is less accurate.
pub(crate) fn scheme(provider: Provider) -> Scheme {
    match provider {
        Provider::Cpu => Scheme::Asymmetric,
        Provider::Cuda { .. } | Provider::TensorRt { .. } => Scheme::Symmetric,
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
    ) -> anyhow::Result<PathBuf> {
        if !self.is_converted_for(provider, precision)? {
            return Ok(self.path.to_owned());
        }
        let card = self.model.card.as_ref();
        let seed = card.map_or(0, |card| card.provenance.seed);
        let images = self.images.filter(|_| precision == Precision::Int8);
        let calibration = images.map(|(dataset, preprocess)| {
            let scheme = scheme(provider);
            Calibration::choose(dataset, DEFAULT_IMAGES, seed, preprocess.clone(), scheme)
        });
        let converted = convert::cached(self.path, precision, calibration.as_ref(), cache)?;
        if !converted.reused {
            let path = converted.path.display();
            printer.log(format!("converted to {precision}: `{path}`"));
        }
        Ok(converted.path)
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

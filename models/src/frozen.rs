//! Frozen backbone: an ONNX file whose features a runtime computes, and a new classification layer in Burn.

use std::fmt;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use onnx::Document;
use onnx::siamese::Distance;

use crate::backbone::Backbone;
use crate::error::{Error, Result};
use crate::export::{bias_or_zeros, tensor};
use crate::head::Head;
use crate::init::Init;
use crate::layers::Linear;

/// A frozen backbone with a new classification layer.
#[derive(Module, Debug)]
pub struct Frozen {
    /// The classification layer.
    pub fc: Linear,
    /// What the layer gets of two images; none of a classifier.
    #[module(skip)]
    pub(crate) distance: Option<Distance>,
    #[module(skip)]
    pub(crate) backbone: Arc<Backbone>,
}

impl Frozen {
    pub(crate) fn new(backbone: Arc<Backbone>, head: Head, init: &mut Init) -> Self {
        Self {
            fc: head.layer(backbone.width, init),
            distance: head.distance(),
            backbone,
        }
    }

    /// Images `[N, ...]` to features `[N, D]`, without gradients.
    pub(crate) fn features(&self, images: Tensor<4>) -> Result<Tensor<2>> {
        let (device, [count, ..]) = (images.device(), images.dims());
        let failed = |error: &dyn fmt::Display| Error::Invalid {
            message: format!(
                "the features of `{}` cannot be computed: {error}",
                self.backbone.file.path.display()
            ),
            hint: None,
        };
        let images = images
            .try_into_data()
            .map_err(|error| failed(&format!("{error:?}")))?;
        let images = images
            .try_into_vec::<f32>()
            .map_err(|error| failed(&format!("{error:?}")))?;
        let features = self
            .backbone
            .extractor
            .features(&images, count)
            .map_err(|error| failed(&error))?;
        let shape = [count, self.backbone.width];
        Ok(Tensor::from_data(TensorData::new(features, shape), &device))
    }

    /// The file's document with the new classification layer.
    pub(crate) fn to_onnx(&self) -> Result<Document> {
        let mut document = self.backbone.file.document(self.backbone.takes_any_batch)?;
        let weight = tensor(self.fc.weight.val().into_data())?;
        let bias = bias_or_zeros(&self.fc)?;
        self.backbone
            .file
            .cut
            .replace_layer(&mut document, &weight, &bias)?;
        Ok(document)
    }
}

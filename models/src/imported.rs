//! Imported backbone: an ONNX graph up to its features as a Burn module that is trained whole, with a new
//! classification layer.
//!
//! The graph is interpreted node by node on tensors whose rank is known at run time, so that it needs no shapes
//! before, and shape arithmetic is done for each batch. Knows how to run and train the graph, not how to write it
//! back (`export`).
//!
//! At run time, not by Rust code that is generated from a file: a user's file would need a compiler, and tuned
//! weights would have no names to go back to.

mod dyn_tensor;
mod elementwise;
mod host;
mod layers;
mod movement;
mod operators;
mod plan;
mod refuse;
mod resize;
mod shapes;
mod value;
mod weights;

pub(crate) use plan::Source;
pub use weights::Weight;
pub(crate) use weights::separate;

use crate::backbone::Backbone;
use crate::error::Result;
use crate::head::Head;
use crate::init::Init;
use crate::layers::{BatchNorm, Linear};
use burn::module::Module;
use burn::tensor::Tensor;
use onnx::siamese::Distance;
use plan::{Modules, Plan};
use std::sync::Arc;

/// An ONNX graph up to its features, and a new classification layer.
#[derive(Module, Debug)]
pub struct Imported {
    /// What training changes, in graph order.
    pub weights: Vec<Weight>,
    /// Batch normalisations in graph order.
    pub norms: Vec<BatchNorm>,
    /// The new classification layer.
    pub fc: Linear,
    /// What the layer gets of two images; none of a classifier.
    #[module(skip)]
    pub(crate) distance: Option<Distance>,
    #[module(skip)]
    plan: Arc<Plan>,
    #[module(skip)]
    pub(crate) backbone: Arc<Backbone>,
}

impl Imported {
    /// Reads the file of a backbone; the new classification layer is random.
    pub(crate) fn new(backbone: Arc<Backbone>, head: Head, init: &mut Init) -> Result<Self> {
        let (file, device) = (&backbone.file, init.device.clone());
        if !backbone.takes_any_batch {
            return Err(refuse::fixed_batch(
                &file.path,
                file.fixed_batch().unwrap_or(1),
            ));
        }
        let mut document = file.document(true)?;
        separate(&mut document, &file.cut)?;
        file.cut.cut(&mut document)?;
        let (plan, Modules { weights, norms }) = Plan::read(&file.path, &document, &device)?;
        let imported = Self {
            weights,
            norms,
            fc: head.layer(backbone.width, init),
            distance: head.distance(),
            plan: Arc::new(plan),
            backbone,
        };
        imported.check(init)?;
        Ok(imported)
    }

    /// Runs two images of random numbers: what does not fit is an error now and not in the first epoch.
    fn check(&self, init: &mut Init) -> Result<()> {
        let [a, b, c] = self.backbone.image_shape;
        let images = init.uniform([2, a, b, c], 1).val();
        let images = if images.device().is_autodiff() {
            images.inner()
        } else {
            images
        };
        let features = self.valid().features(images)?;
        match features.dims() == [2, self.backbone.width] {
            true => Ok(()),
            false => Err(refuse::no_features(&self.backbone.file.path)),
        }
    }

    /// Images, as the file takes them, to the features that the classification layer sees, `[N, D]`.
    ///
    /// # Errors
    /// A node does not fit images of this size.
    pub fn features(&self, images: Tensor<4>) -> Result<Tensor<2>> {
        self.plan.run(images, &self.weights, &self.norms)
    }

    /// The file's tensor with the path `path` in the module, such as `weights.3` or `norms.0.bias`; `None` for the
    /// classification layer.
    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        let (kind, rest) = path.split_once('.')?;
        let (index, field) = rest.split_once('.').unwrap_or((rest, ""));
        let index: usize = index.parse().ok()?;
        match kind {
            "weights" => self.plan.weights.get(index),
            "norms" => {
                let fields = ["weight", "bias", "running_mean", "running_var"];
                let field = fields.iter().position(|name| *name == field)?;
                self.plan.norms.get(index).map(|sources| &sources[field])
            }
            _ => None,
        }
    }
}

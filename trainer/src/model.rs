//! Model of a run: built from its recipe, and its forward pass from a batch to logits. It knows no loop.
//!
//! Another way to compute features (a backbone that only ONNX Runtime can run, say) is another arm of
//! [`Model::forward`]; the loop does not change.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use models::Network;

use crate::backbone::Backbone;
use crate::context::TrainingContext;
use crate::error::Result;
use crate::examples::Inputs;
use crate::recipe::{DeviceKind, Recipe, Views};
use crate::resolve;
use crate::tensors;

/// A network, with the session that computes its frozen part instead of Burn.
#[derive(Clone)]
pub struct Model {
    pub network: Network,
    /// The frozen part in ONNX Runtime, where images are seen in a fresh view every epoch.
    pub backbone: Option<Backbone>,
}

impl From<Network> for Model {
    /// A model that Burn computes as a whole.
    fn from(network: Network) -> Self {
        Self {
            network,
            backbone: None,
        }
    }
}

impl Model {
    /// The untrained network of a recipe. Where it sees fresh views on the CPU, ONNX Runtime (which must be
    /// loaded) computes its frozen part: it is faster there than Burn.
    pub fn build(
        recipe: &Recipe,
        num_classes: usize,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        let network = build_network(recipe, num_classes, context)?;
        let backbone = match (recipe.views, recipe.device) {
            (Some(Views::Fresh), DeviceKind::Cpu) => {
                let open = |folder: &Path| Backbone::open(&network, folder, context.threads);
                // A cache folder may be full or read-only; the graph is only passed through it.
                open(&context.cache).or_else(|_| open(&std::env::temp_dir()))?
            }
            _ => None,
        };
        Ok(Self { network, backbone })
    }

    /// The same network before training: with the same initial weights, since the seed alone decides them.
    pub fn rebuild(&self, recipe: &Recipe, context: &TrainingContext<'_>) -> Result<Self> {
        let network = if self.network.is_frozen() {
            // Training moves the classification layer alone, and a clone has its own.
            self.network.clone()
        } else {
            // NB: clones share the running statistics of batch norm.
            build_network(recipe, self.network.num_classes(), context)?
        };
        Ok(Self {
            network,
            backbone: self.backbone.clone(),
        })
    }

    /// The model for inference: without autodiff, batch norm with its running statistics.
    #[must_use]
    pub fn valid(&self) -> Self {
        Self {
            network: self.network.valid(),
            backbone: self.backbone.clone(),
        }
    }

    /// Logits `[N, K]` of a batch's inputs.
    pub fn forward(&self, inputs: Inputs, device: &Device) -> Result<Tensor<2>> {
        Ok(match (inputs, &self.backbone) {
            (Inputs::Features { values, shape }, _) => {
                let features = Tensor::from_data(TensorData::new(values, shape), device);
                self.network.classify(features)
            }
            (Inputs::Images { values, shape }, Some(backbone)) => {
                let features = backbone.features(&values, shape[0], device)?; // [N, D]
                self.network.classify(features)
            }
            (Inputs::Images { values, shape }, None) => {
                let images = Tensor::from_data(TensorData::new(values, shape), device);
                self.network.forward(images)
            }
        })
    }

    /// The device that the network is on, without autodiff.
    pub fn device(&self) -> Device {
        tensors::device(&self.network)
    }
}

/// The untrained network of a recipe, without a session of its frozen part.
pub fn build_network(
    recipe: &Recipe,
    num_classes: usize,
    context: &TrainingContext<'_>,
) -> Result<Network> {
    let backbone = recipe
        .backbone
        .as_deref()
        .map(|name| resolve::backbone_path(name, &context.cache, context.offline, context.printer))
        .transpose()?;
    let device = resolve::device(recipe.device)?;
    let spec = resolve::network_spec(recipe, backbone);
    Ok(Network::build(&spec, num_classes, recipe.seed, &device)?)
}

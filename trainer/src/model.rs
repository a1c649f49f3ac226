//! Model of a run: built from its recipe, and its forward pass from a batch to logits. It knows no loop.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use models::{Head, Network, Spec};

use crate::backbone::InputImages;
use crate::context::TrainingContext;
use crate::error::Result;
use crate::examples::Inputs;
use crate::recipe::Recipe;
use crate::{backbone, device, resolve, tensors};

/// A network that takes batches of either kind.
#[derive(Clone)]
pub struct Model {
    pub network: Network,
}

impl From<Network> for Model {
    fn from(network: Network) -> Self {
        Self { network }
    }
}

impl Model {
    /// The untrained network of a recipe. ONNX Runtime, which must be loaded, opens a backbone.
    /// It takes these images, where its file leaves their size open.
    pub fn build(
        recipe: &Recipe,
        images: impl Into<InputImages>,
        head: impl Into<Head>,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        Ok(build_network(recipe, images, head, context)?.into())
    }

    /// The network before training with the seed of `recipe`: the seed alone decides its initial weights.
    pub fn rebuild(&self, recipe: &Recipe, context: &TrainingContext<'_>) -> Result<Self> {
        let head = recipe.head(self.network.num_classes());
        let network = match self.network.source() {
            // It is opened already.
            Some(backbone) => {
                // By the recipe: a fine-tuning may have ended with the frozen backbone.
                let spec = match recipe.is_fine_tuned() {
                    true => Spec::Imported(Arc::clone(backbone)),
                    false => Spec::Frozen(Arc::clone(backbone)),
                };
                let device = device::open(recipe.device)?;
                Network::build(&spec, head, recipe.seed, &device)?
            }
            // NB: clones share the running statistics of batch norm.
            None => build_network(recipe, self.network.image_shape(), head, context)?,
        };
        Ok(network.into())
    }

    /// The model for inference: without autodiff, batch norm with its running statistics.
    #[must_use]
    pub fn valid(&self) -> Self {
        self.network.valid().into()
    }

    /// Logits `[N, K]` of a batch's inputs. The one logit of a verifier is that of the answer `same`; that of
    /// `different` is 0, so that the softmax of both is the sigmoid of the one, and their cross-entropy its binary
    /// cross-entropy. Of a Euclidean distance it is how far the distance is below half the margin.
    pub fn forward(&self, inputs: Inputs, device: &Device) -> Result<Tensor<2>> {
        let logits = match inputs {
            Inputs::Features { values, shape } => {
                let features = Tensor::from_data(TensorData::new(values, shape), device);
                self.network.classify(features)
            }
            Inputs::Images { values, shape } => {
                let images = Tensor::from_data(TensorData::new(values, shape), device);
                self.network.forward(images)?
            }
            Inputs::Pairs { values, shape } => {
                let images = Tensor::from_data(TensorData::new(values, shape), device);
                let features = self.network.features(images)?; // [2N, D]
                self.network.compare(features)
            }
        };
        Ok(match logits.dims() {
            [_, 1] => Tensor::cat(vec![logits.zeros_like(), logits], 1),
            _ => logits,
        })
    }

    /// Features `[N, D]` of a batch's images.
    pub fn features(&self, inputs: Inputs, device: &Device) -> Result<Tensor<2>> {
        let (values, shape) = match inputs {
            Inputs::Features { values, shape } => {
                return Ok(Tensor::from_data(TensorData::new(values, shape), device));
            }
            Inputs::Images { values, shape } | Inputs::Pairs { values, shape } => (values, shape),
        };
        let images = Tensor::from_data(TensorData::new(values, shape), device);
        Ok(self.network.features(images)?)
    }

    /// The device that the network is on, without autodiff.
    pub fn device(&self) -> Device {
        tensors::device(&self.network)
    }
}

/// The untrained network of a recipe, for these images where its file leaves their size open.
pub fn build_network(
    recipe: &Recipe,
    images: impl Into<InputImages>,
    head: impl Into<Head>,
    context: &TrainingContext<'_>,
) -> Result<Network> {
    let device = device::open(recipe.device)?;
    let spec = spec(recipe, images.into(), context)?;
    Ok(Network::build(&spec, head, recipe.seed, &device)?)
}

/// The network that a recipe describes, its backbone opened.
fn spec(recipe: &Recipe, images: InputImages, context: &TrainingContext<'_>) -> Result<Spec> {
    let Some(name) = recipe.backbone.as_deref() else {
        return Ok(Spec::Custom(models::CustomConfig {
            width: recipe.width,
            cells: recipe.cells,
            growth: recipe.growth,
            cell: recipe.cell.into(),
            image_channels: recipe.num_channels(),
            image_size: recipe.size,
        }));
    };
    let path = resolve::backbone_path(name, &context.cache, context.offline, context.printer)?;
    let backbone = backbone::open(&path, recipe.cut_at.as_deref(), images, context.threads)?;
    Ok(match recipe.is_fine_tuned() {
        true => Spec::Imported(backbone),
        false => Spec::Frozen(backbone),
    })
}

//! Image classifiers as Burn modules, native or imported from ONNX, and their way back to ONNX.
//!
//! Knows no image files, no training loop and no runtime.
//!
//! | module | content |
//! |---|---|
//! | `custom` | the course's residual network |
//! | `backbone` | an ONNX file with its features |
//! | `frozen` | an ONNX file whose features a runtime computes, with a new classification layer |
//! | `imported` | an ONNX graph as a module to fine-tune, its classification layer replaced |
//! | `head` | the layer of a classifier, or the distance of a verifier |
//! | `layers`, `init` | convolution, batch norm, linear with PyTorch's semantics and initial weights |
//! | `state` | parameters by name |
//! | `trainable` | what training changes, and its depth |
//! | `export` | network to ONNX document |
//! | `architectures` | ONNX graphs of other libraries' networks, with weights from a checkpoint |
//! | `checkpoint` | checkpoints of PyTorch and safetensors: tensors by name |
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use classifold_models::{CustomConfig, Network, Spec};
//!
//! let device = Device::default();
//! let spec = Spec::Custom(CustomConfig::default());
//! let network = Network::build(&spec, 2, 0, &device)?;
//! let images = Tensor::zeros([1, 3, 64, 96], &device); // [N, 3, H, W]
//! assert_eq!(network.forward(images)?.dims(), [1, 2]); // [N, K]
//! # Ok::<(), classifold_models::Error>(())
//! ```

mod architectures;
mod backbone;
mod checkpoint;
mod custom;
mod error;
mod export;
mod frozen;
mod head;
mod imported;
mod init;
mod layers;
mod state;
mod trainable;

pub use architectures::{
    Activation, CheckpointOptions, ConvertedCheckpoint, VitSettings, convert_checkpoint,
};
pub use backbone::{Backbone, BackboneFile, FeatureExtractor};
pub use custom::{Cell, CellKind, CustomConfig, CustomResNet};
pub use error::{Error, Result};
pub use frozen::Frozen;
pub use head::{Head, PairHead};
pub use imported::{Imported, Weight};
pub use layers::{BatchNorm, Conv2d, Linear};
pub use onnx::siamese::Distance;
pub use trainable::TrainableTensor;

use burn::module::{Module, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use init::Init;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Specification of a network.
#[derive(Debug, Clone)]
pub enum Spec {
    /// The course's residual network with random weights.
    Custom(CustomConfig),
    /// A frozen backbone with a new classification layer, which alone is trained.
    Frozen(Arc<Backbone>),
    /// A backbone that is trained whole, with a new classification layer.
    Imported(Arc<Backbone>),
}

/// Image classifier with one interface for training, checkpoints and export.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a process holds one or two, and Burn knows no boxed modules"
)]
pub enum Network {
    /// The course's residual network.
    Custom(CustomResNet),
    /// A frozen backbone with a new classification layer.
    Frozen(Frozen),
    /// An imported backbone with a new classification layer.
    Imported(Imported),
}

impl Network {
    /// Builds a network: a classifier of so many classes, or the verifier of [`compare`](Self::compare) with a
    /// [`PairHead`]. Its random weights depend on `seed` alone.
    ///
    /// On an autodiff device (`device.autodiff()`) it is ready for training. Parameters are
    /// numbered in module order, so that another process can load an optimiser's state.
    ///
    /// # Errors
    /// No network has the configuration, or the ONNX file cannot be imported.
    pub fn build(spec: &Spec, head: impl Into<Head>, seed: u64, device: &Device) -> Result<Self> {
        let head = head.into();
        if head == Head::Classes(0) {
            let what = "the number of classes";
            return Err(Error::configuration(what, 0, "at least 1"));
        }
        let mut init = Init::new(seed, device);
        let network = match spec {
            Spec::Custom(config) => Self::Custom(CustomResNet::new(config, head, &mut init)?),
            Spec::Frozen(backbone) => Self::Frozen(Frozen::new(backbone.clone(), head, &mut init)),
            Spec::Imported(backbone) => {
                Self::Imported(Imported::new(backbone.clone(), head, &mut init)?)
            }
        };
        Ok(state::number_parameters(network))
    }

    /// Images `[N, 3, H, W]`, prepared, to logits `[N, K]`; a frozen backbone may take other shapes.
    ///
    /// Batch norm uses the batch's statistics on an autodiff device and the running ones
    /// otherwise (see [`Module::valid`]).
    ///
    /// # Errors
    /// The engine of a frozen backbone fails, or a node of an imported one does not fit images of this size.
    pub fn forward(&self, images: Tensor<4>) -> Result<Tensor<2>> {
        Ok(self.classify(self.features(images)?))
    }

    /// Images to features `[N, D]`, the input of the classification layer.
    ///
    /// # Errors
    /// The engine of a frozen backbone fails, or a node of an imported one does not fit images of this size.
    pub fn features(&self, images: Tensor<4>) -> Result<Tensor<2>> {
        match self {
            Self::Custom(network) => Ok(network.features(images)),
            Self::Frozen(network) => network.features(images),
            Self::Imported(network) => network.features(images),
        }
    }

    /// What the classification layer takes to logits `[N, K]`: features `[N, D]`, or the distances of pairs.
    #[must_use]
    pub fn classify(&self, inputs: Tensor<2>) -> Tensor<2> {
        match self.distance() {
            Some(distance) => head::logits(distance, self.fc(), inputs),
            None => self.fc().forward(inputs),
        }
    }

    /// Features `[2N, D]`, those of a pair one after the other, to one logit each `[N, 1]`: the classification layer of
    /// their distance, in which neither image is the first.
    ///
    /// # Panics
    /// When the network is a classifier.
    #[must_use]
    pub fn compare(&self, features: Tensor<2>) -> Tensor<2> {
        let distance = self.distance();
        let distance = distance.expect("a network that compares was built with a head for pairs");
        self.classify(head::distances(distance, features))
    }

    /// What is computed of the features of two images; none of a classifier.
    #[must_use]
    pub fn distance(&self) -> Option<Distance> {
        match self {
            Self::Custom(network) => network.distance,
            Self::Frozen(network) => network.distance,
            Self::Imported(network) => network.distance,
        }
    }

    /// Description for logs and model cards, such as `custom resnet (8, 16, 32, 64)`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Custom(network) => {
                let widths = network.cells.iter().map(|c| c.conv2.weight.val().dims()[0]);
                let stem = network.conv1.weight.val().dims()[0];
                let all: Vec<_> = std::iter::once(stem)
                    .chain(widths)
                    .map(|w| w.to_string())
                    .collect();
                let kind = match network.cells.first().map(|cell| cell.kind) {
                    Some(CellKind::Plain) => "custom plain network",
                    _ => "custom resnet",
                };
                format!("{kind} ({})", all.join(", "))
            }
            Self::Frozen(network) => backbone_name(&network.backbone.file.path, "frozen"),
            Self::Imported(network) => backbone_name(&network.backbone.file.path, "fine-tuned"),
        }
    }

    /// Numbers of all parameters and of those that training changes.
    #[must_use]
    pub fn num_parameters(&self) -> (usize, usize) {
        let trained = state::count_parameters(self) - usize::from(self.constant().is_some());
        match self.backbone() {
            Some(backbone) => (backbone.file.num_parameters + trained, trained),
            None => (trained, trained),
        }
    }

    /// The tensors that training changes, from the first that the network uses to its classification layer.
    #[must_use]
    pub fn trainable_tensors(&self) -> Vec<TrainableTensor> {
        let first_use = |path: &str| match self {
            Self::Imported(network) => network.source(path).map(|source| source.first_use),
            Self::Custom(_) | Self::Frozen(_) => None,
        };
        let mut tensors = trainable::tensors(self, first_use, |path| self.tensor_name(path));
        let constant = self.constant();
        tensors.retain(|tensor| Some(tensor.id) != constant);
        tensors
    }

    /// The single number among the tensors that nothing trains: half the margin of a Euclidean distance.
    fn constant(&self) -> Option<ParamId> {
        let is_margin = self.distance() == Some(Distance::Euclidean);
        let bias = self.fc().bias.as_ref().filter(|_| is_margin);
        bias.map(|bias| bias.id)
    }

    /// Number of batch norms; a file whose batch norms are folded into its convolutions has none.
    #[must_use]
    pub fn num_batch_norms(&self) -> usize {
        trainable::num_batch_norms(self)
    }

    /// The network with its batch norms in inference mode (`on`): they normalise with the running statistics and
    /// do not move them. Their weights and biases are still trained.
    #[must_use]
    pub fn with_norms_in_inference_mode(self, on: bool) -> Self {
        trainable::set_norms(self, on)
    }

    /// Whether training changes the classification layer alone.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.backbone().is_some()
    }

    /// An imported network, whose backbone has the weights of its file, as a frozen one. Others stay as they are.
    #[must_use]
    pub fn into_frozen(self) -> Self {
        match self {
            Self::Imported(network) => Self::Frozen(Frozen {
                fc: network.fc,
                distance: network.distance,
                backbone: network.backbone,
            }),
            Self::Custom(_) | Self::Frozen(_) => self,
        }
    }

    /// The frozen backbone.
    #[must_use]
    pub fn backbone(&self) -> Option<&Arc<Backbone>> {
        match self {
            Self::Frozen(network) => Some(&network.backbone),
            Self::Custom(_) | Self::Imported(_) => None,
        }
    }

    /// Number of features D of an image.
    #[must_use]
    pub fn num_features(&self) -> usize {
        match self {
            Self::Custom(network) => network.num_features(),
            Self::Frozen(network) => network.backbone.width,
            Self::Imported(network) => network.backbone.width,
        }
    }

    /// Number of classes K.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.fc().weight.val().dims()[0]
    }

    /// The backbone, frozen or trained whole.
    #[must_use]
    pub fn source(&self) -> Option<&Arc<Backbone>> {
        match self {
            Self::Custom(_) => None,
            Self::Frozen(network) => Some(&network.backbone),
            Self::Imported(network) => Some(&network.backbone),
        }
    }

    /// Shape of a prepared image: `[3, H, W]`; a backbone may take another number of channels, or `[H, W, C]`.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        match self {
            Self::Custom(network) => network.image_shape,
            Self::Frozen(network) => network.backbone.image_shape,
            Self::Imported(network) => network.backbone.image_shape,
        }
    }

    /// SHA-256 of the backbone's file in hexadecimal.
    #[must_use]
    pub fn backbone_sha256(&self) -> Option<&str> {
        match self {
            Self::Custom(_) => None,
            Self::Frozen(network) => Some(&network.backbone.file.sha256),
            Self::Imported(network) => Some(&network.backbone.file.sha256),
        }
    }

    /// The classification layer.
    #[must_use]
    pub fn fc(&self) -> &Linear {
        match self {
            Self::Custom(network) => &network.fc,
            Self::Frozen(network) => &network.fc,
            Self::Imported(network) => &network.fc,
        }
    }

    /// The network with its logits divided by `temperature`, which must be above 0.
    ///
    /// Weight and bias of the classification layer are divided, since (W / T) x + b / T = (W x + b) / T:
    /// nothing after the layer needs to know of T.
    #[must_use]
    pub fn with_temperature(self, temperature: f64) -> Self {
        let mut network = self;
        let fc = match &mut network {
            Self::Custom(network) => &mut network.fc,
            Self::Frozen(network) => &mut network.fc,
            Self::Imported(network) => &mut network.fc,
        };
        *fc = fc.clone().divide(temperature);
        network
    }

    /// The network with another classification layer: weight `[K, D]`, row by row, and bias `[K]`.
    ///
    /// # Errors
    /// The layer has another shape.
    pub fn with_head(self, weight: Vec<f32>, bias: Vec<f32>) -> Result<Self> {
        let mut state: BTreeMap<_, _> = self.state().into_iter().collect();
        let (rows, columns) = (bias.len(), weight.len() / bias.len().max(1));
        let layer = [
            ("fc.weight", TensorData::new(weight, [rows, columns])),
            ("fc.bias", TensorData::new(bias, [rows])),
        ];
        state.extend(layer.map(|(name, data)| (name.to_owned(), data)));
        self.load_state(&state)
    }

    /// Every parameter and running statistic by name, such as `cells.0.conv1.weight`; those of an imported file are
    /// `backbone.` and the file's own name.
    #[must_use]
    pub fn state(&self) -> Vec<(String, TensorData)> {
        // Running statistics are with the thread of the last training step; `valid` collects them.
        let state = state::read(&self.valid()).into_iter();
        state
            .map(|(path, data)| (self.tensor_name(&path), data))
            .collect()
    }

    /// Name of the tensor with the path `path` in the module: that of the file, where it has one.
    fn tensor_name(&self, path: &str) -> String {
        match self {
            // The prefix keeps it apart from the classification layer's.
            Self::Imported(network) => match network.source(path) {
                Some(source) => format!("backbone.{}", source.name),
                None => path.to_owned(),
            },
            Self::Custom(_) | Self::Frozen(_) => path.to_owned(),
        }
    }

    /// The network with the tensors of `state`, which must have exactly its names and shapes.
    ///
    /// # Errors
    /// A tensor is missing, superfluous or misshapen; the error names the first.
    pub fn load_state(self, state: &BTreeMap<String, TensorData>) -> Result<Self> {
        let shape_of_names = self.clone();
        state::write(self, state, |path| shape_of_names.tensor_name(path))
    }

    /// The network as an ONNX document: one input of images with a dynamic batch axis, one output
    /// `logits`.
    ///
    /// # Errors
    /// The imported file has changed or is missing.
    pub fn to_onnx(&self) -> Result<onnx::Document> {
        match self.valid() {
            Self::Custom(network) => export::custom(&network),
            Self::Frozen(network) => network.to_onnx(),
            Self::Imported(network) => export::graft(&network),
        }
    }

    /// A verifier as an ONNX document of two inputs of images. Its output is the probability `[N, 1]` that both are the
    /// same, or their Euclidean distance.
    ///
    /// # Errors
    /// As [`to_onnx`](Self::to_onnx); the network is a classifier.
    pub fn to_verifier_onnx(&self) -> Result<onnx::Document> {
        let Some(distance) = self.distance() else {
            let what = "the network of a verifier";
            return Err(Error::configuration(
                what,
                "a classifier",
                "a head for pairs",
            ));
        };
        let mut document = match distance {
            Distance::AbsoluteDifference | Distance::Cosine => self.to_onnx()?,
            // The logit falls with the distance; the file has the distance itself.
            Distance::Euclidean => {
                let weight = self.fc().weight.val().neg().into_data();
                let weight = weight
                    .try_into_vec()
                    .expect("weights are in single precision");
                self.clone().with_head(weight, vec![0.0])?.to_onnx()?
            }
        };
        onnx::siamese::join(&mut document, distance, self.num_features())?;
        Ok(document)
    }

    /// The encoder of a verifier as an ONNX document: one input of images, one output `features`, `[batch, D]`. Its nodes
    /// are those of [`to_verifier_onnx`](Self::to_verifier_onnx).
    ///
    /// # Errors
    /// As [`to_verifier_onnx`](Self::to_verifier_onnx).
    pub fn to_encoder_onnx(&self) -> Result<onnx::Document> {
        let (mut document, _) = onnx::siamese::separate(&self.to_verifier_onnx()?)?;
        let outputs = document.outputs();
        let features = outputs.first().expect("an encoder has one output");
        let graph = document.graph_mut();
        let name = onnx::surgery::unique_name(graph, "features");
        onnx::surgery::rename_value(graph, &features.name, &name);
        document.check()?;
        Ok(document)
    }
}

/// Name of a network with a backbone, such as `resnet18 (frozen, new classification layer)`.
fn backbone_name(path: &Path, training: &str) -> String {
    let stem = path.file_stem().expect("a file was read from the path");
    let stem = stem.to_string_lossy();
    format!("{stem} ({training}, new classification layer)")
}

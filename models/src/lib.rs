//! Image classifiers as Burn modules, native or imported from ONNX, and their way back to ONNX.
//!
//! Knows no image files, no training loop and no runtime.
//!
//! | module | content |
//! |---|---|
//! | `custom` | the course's residual network, formulation (A) |
//! | `imported` | an ONNX graph as a module, its classification layer replaced |
//! | `layers`, `init` | convolution, batch norm, linear with PyTorch's semantics and initial weights |
//! | `state` | parameters by name |
//! | `export` | network to ONNX document |
//! | `efficientnet_lite` | ONNX graph of that family, with weights from a PyTorch checkpoint |
//! | `checkpoint` | PyTorch checkpoints: tensors by name |
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use classifold_models::{CustomConfig, Network, Spec};
//!
//! let device = Device::default();
//! let spec = Spec::Custom(CustomConfig::default());
//! let network = Network::build(&spec, 2, 0, &device)?;
//! let images = Tensor::zeros([1, 3, 64, 96], &device); // [N, 3, H, W]
//! assert_eq!(network.forward(images).dims(), [1, 2]); // [N, K]
//! # Ok::<(), classifold_models::Error>(())
//! ```

mod checkpoint;
mod custom;
mod efficientnet_lite;
mod error;
mod export;
mod imported;
mod init;
mod layers;
mod state;

pub use custom::{Cell, CustomConfig, CustomResNet};
pub use efficientnet_lite::EfficientNetLite;
pub use error::{Error, Result};
pub use imported::{Imported, OPERATORS};
pub use layers::{BatchNorm, Conv2d, Linear};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use init::Init;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Prefix of the names of the classification layer's tensors.
const FC: &str = "fc.";

/// Specification of a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// The course's residual network with random weights.
    Custom(CustomConfig),
    /// A pretrained backbone from an ONNX file with a new classification layer.
    Imported {
        /// The ONNX file of the backbone.
        path: PathBuf,
        /// Whether all of the network is trained, or the new classification layer alone.
        fine_tune: bool,
    },
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
    /// An imported backbone with a new classification layer.
    Imported(Imported),
}

impl Network {
    /// Builds a network. Its random weights depend on `seed` alone.
    ///
    /// On an autodiff device (`device.autodiff()`) it is ready for training. Parameters are
    /// numbered in module order, so that another process can load an optimiser's state.
    ///
    /// # Errors
    /// No network has the configuration, or the ONNX file cannot be imported.
    pub fn build(spec: &Spec, num_classes: usize, seed: u64, device: &Device) -> Result<Self> {
        if num_classes < 2 {
            let what = "the number of classes";
            return Err(Error::configuration(what, num_classes, "at least 2"));
        }
        let mut init = Init::new(seed, device);
        let network = match spec {
            Spec::Custom(config) => {
                Self::Custom(CustomResNet::new(config, num_classes, &mut init)?)
            }
            Spec::Imported { path, fine_tune } => {
                Self::Imported(Imported::open(path, num_classes, *fine_tune, &mut init)?)
            }
        };
        Ok(state::number_parameters(network))
    }

    /// Images `[N, 3, H, W]`, normalised, to logits `[N, K]`.
    ///
    /// Batch norm uses the batch's statistics on an autodiff device and the running ones
    /// otherwise (see [`Module::valid`]).
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Custom(network) => network.forward(images),
            Self::Imported(network) => network.forward(images),
        }
    }

    /// Images `[N, 3, H, W]` to features `[N, D]`, the input of the classification layer.
    #[must_use]
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Custom(network) => network.features(images),
            Self::Imported(network) => network.features(images),
        }
    }

    /// Features `[N, D]` to logits `[N, K]`: the classification layer alone.
    #[must_use]
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        self.fc().forward(features)
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
                format!("custom resnet ({})", all.join(", "))
            }
            Self::Imported(network) => {
                let stem = network.origin.path.file_stem();
                let stem = stem
                    .expect("a file was read from the path")
                    .to_string_lossy();
                let training = match network.origin.fine_tune {
                    true => "fine-tuned",
                    false => "frozen",
                };
                format!("{stem} ({training}, new classification layer)")
            }
        }
    }

    /// Numbers of all parameters and of those that training changes.
    #[must_use]
    pub fn num_parameters(&self) -> (usize, usize) {
        let all = state::count_parameters(self);
        match self.is_frozen() {
            true => (all, state::count_parameters(self.fc())),
            false => (all, all),
        }
    }

    /// Whether training changes the classification layer alone.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        matches!(self, Self::Imported(network) if !network.origin.fine_tune)
    }

    /// The input of the classification layer, by its name in the imported file.
    #[must_use]
    pub fn cut(&self) -> Option<&str> {
        match self {
            Self::Custom(_) => None,
            Self::Imported(network) => Some(&network.origin.features),
        }
    }

    /// Number of classes K.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.fc().weight.val().dims()[0]
    }

    /// Height and width of the network's images.
    #[must_use]
    pub fn input_size(&self) -> (usize, usize) {
        match self {
            Self::Custom(_) => (224, 224),
            Self::Imported(network) => network.origin.input_size,
        }
    }

    /// SHA-256 of the backbone's file in hexadecimal.
    #[must_use]
    pub fn backbone_sha256(&self) -> Option<&str> {
        match self {
            Self::Custom(_) => None,
            Self::Imported(network) => Some(&network.origin.sha256),
        }
    }

    /// The classification layer.
    #[must_use]
    pub fn fc(&self) -> &Linear {
        match self {
            Self::Custom(network) => &network.fc,
            Self::Imported(network) => &network.fc,
        }
    }

    /// The network with its logits divided by `temperature`, which must be above 0.
    ///
    /// Weight and bias of the classification layer are divided, since (W / T) x + b / T = (W x + b) / T:
    /// nothing after the layer needs to know of T.
    #[must_use]
    pub fn with_temperature(self, temperature: f64) -> Self {
        match self {
            Self::Custom(mut network) => {
                network.fc = network.fc.divide(temperature);
                Self::Custom(network)
            }
            Self::Imported(mut network) => {
                network.fc = network.fc.divide(temperature);
                Self::Imported(network)
            }
        }
    }

    /// Every parameter and running statistic by name, such as `cells.0.conv1.weight`.
    #[must_use]
    pub fn state(&self) -> Vec<(String, TensorData)> {
        // Running statistics are with the thread of the last training step; `valid` collects them.
        state::read(&self.valid())
    }

    /// The network with the tensors of `state`, which must have exactly its names and shapes.
    ///
    /// # Errors
    /// A tensor is missing, superfluous or misshapen; the error names the first.
    pub fn load_state(self, state: &BTreeMap<String, TensorData>) -> Result<Self> {
        state::write(self, state)
    }

    /// The part of [`state`](Self::state) that training changes: of a frozen network its
    /// classification layer, otherwise everything.
    #[must_use]
    pub fn trained_state(&self) -> Vec<(String, TensorData)> {
        if !self.is_frozen() {
            return self.state();
        }
        let tensors = state::read(self.fc()).into_iter();
        tensors
            .map(|(name, data)| (format!("{FC}{name}"), data))
            .collect()
    }

    /// The network with the tensors of `state` in place of its [`trained_state`](Self::trained_state).
    ///
    /// # Errors
    /// A tensor is missing, superfluous or misshapen; the error names the first.
    pub fn load_trained_state(self, state: &BTreeMap<String, TensorData>) -> Result<Self> {
        match self {
            Self::Imported(mut network) if !network.origin.fine_tune => {
                let inner = |(name, data): (&String, &TensorData)| match name.strip_prefix(FC) {
                    Some(name) => Ok((name.to_owned(), data.clone())),
                    None => {
                        let reason = format!("it has `{name}`, which is not trained");
                        Err(Error::state_differs(&reason))
                    }
                };
                let head = state.iter().map(inner).collect::<Result<_>>()?;
                network.fc = state::write(network.fc, &head)?;
                Ok(Self::Imported(network))
            }
            network => network.load_state(state),
        }
    }

    /// The frozen part as an ONNX document with one output `features`; `None` if all of the network is
    /// trained.
    ///
    /// A runtime computes it faster than Burn.
    ///
    /// # Errors
    /// The imported file has changed or is missing.
    pub fn frozen_to_onnx(&self) -> Result<Option<onnx::Document>> {
        match self {
            Self::Imported(network) if self.is_frozen() => export::backbone(network).map(Some),
            _ => Ok(None),
        }
    }

    /// The network as an ONNX document: one input of images with a dynamic batch axis, one output
    /// `logits`.
    ///
    /// # Errors
    /// The imported file has changed or is missing.
    pub fn to_onnx(&self) -> Result<onnx::Document> {
        match self.valid() {
            Self::Custom(network) => export::custom(&network),
            Self::Imported(network) => export::graft(&network),
        }
    }
}

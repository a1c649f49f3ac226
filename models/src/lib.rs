//! Image classifiers as Burn modules, native or imported from ONNX, and their way back to ONNX.
//!
//! | room | what lives there |
//! |---|---|
//! | `custom` | the course's residual network, formulation (A) |
//! | `imported` | an ONNX graph as a module, its classification layer replaced |
//! | `layers`, `init` | convolution, batch norm, linear with PyTorch's semantics and initial weights |
//! | `state` | parameters by name |
//! | `kernels` | convolution, batch norm and pooling on the CPU, in place of Burn's |
//! | `export` | network to ONNX document |
//!
//! Knows no images, no files of pixels, no training loop, no runtime.

mod custom;
mod error;
mod export;
mod imported;
mod init;
mod kernels;
mod layers;
mod state;

pub use custom::{Cell, CustomConfig, CustomResNet};
pub use error::{Error, Result};
pub use imported::{Imported, OPERATORS};
pub use layers::{BatchNorm, Conv2d, Linear};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the names of the classification layer's tensors begin with.
const FC: &str = "fc.";

/// What to build.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// The course's residual network from scratch.
    Custom(CustomConfig),
    /// A pretrained backbone from an ONNX file with a new classification layer.
    Imported {
        /// The ONNX file.
        path: PathBuf,
        /// Train everything instead of the new classification layer alone.
        fine_tune: bool,
    },
}

/// A network that trainer, export and report treat alike, whatever it was made from.
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
    /// The one factory: a fresh network whose random weights are given by `seed` alone.
    ///
    /// On an autodiff device (`device.autodiff()`) it is ready for training. Parameters are
    /// numbered in module order, so that an optimiser's state can be loaded by another process.
    ///
    /// # Errors
    /// When the configuration makes no network, or the ONNX file cannot be imported.
    pub fn build(spec: &Spec, num_classes: usize, seed: u64, device: &Device) -> Result<Self> {
        if num_classes < 2 {
            return Err(Error::Configuration {
                what: "the number of classes",
                found: num_classes.to_string(),
                expected: "at least 2",
            });
        }
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = layers::Draw {
            rng,
            device: device.clone(),
        };
        let network = match spec {
            Spec::Custom(config) => {
                Self::Custom(CustomResNet::new(config, num_classes, &mut draw)?)
            }
            Spec::Imported { path, fine_tune } => {
                Self::Imported(Imported::open(path, num_classes, *fine_tune, &mut draw)?)
            }
        };
        Ok(state::number(network))
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

    /// Images `[N, 3, H, W]` to what the classification layer sees, `[N, D]`.
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

    /// A few words for logs and model cards, such as `custom resnet (8, 16, 32, 64)`.
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
                let stem = network
                    .origin
                    .path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy();
                let how = if network.origin.fine_tune {
                    "fine-tuned"
                } else {
                    "frozen"
                };
                format!("{stem} ({how}, new classification layer)")
            }
        }
    }

    /// Number of parameters: all of them, and those that training moves.
    #[must_use]
    pub fn num_parameters(&self) -> (usize, usize) {
        let all = state::count(self);
        match self.is_frozen() {
            true => (all, state::count(self.fc())),
            false => (all, all),
        }
    }

    /// Whether training moves the classification layer alone.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        matches!(self, Self::Imported(network) if !network.origin.fine_tune)
    }

    /// The imported file's name for what its classification layer reads: where it is cut.
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

    /// Height and width of the images that the network is made for.
    #[must_use]
    pub fn input_size(&self) -> (usize, usize) {
        match self {
            Self::Custom(_) => (224, 224),
            Self::Imported(network) => network.origin.input_size,
        }
    }

    /// SHA-256 of the backbone's file, in hexadecimal.
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

    /// The network whose logits are these divided by `temperature`, above 0: its classification
    /// layer's weight and bias are.
    ///
    /// For (W / T) x + b / T = (W x + b) / T, so nothing after the layer needs to know of T.
    #[must_use]
    pub fn with_temperature(self, temperature: f64) -> Self {
        match self {
            Self::Custom(mut network) => {
                network.fc = network.fc.divided(temperature);
                Self::Custom(network)
            }
            Self::Imported(mut network) => {
                network.fc = network.fc.divided(temperature);
                Self::Imported(network)
            }
        }
    }

    /// Every parameter and running statistic by name, such as `cells.0.conv1.weight`.
    #[must_use]
    pub fn state(&self) -> Vec<(String, TensorData)> {
        // A training step leaves its statistics with the thread that took it; `valid` collects them.
        state::read(&self.valid())
    }

    /// The network with the given tensors, which must be exactly its own in name and shape.
    ///
    /// # Errors
    /// [`Error::StateDiffers`] names the first tensor that is missing, superfluous or misshapen.
    pub fn load_state(self, state: &BTreeMap<String, TensorData>) -> Result<Self> {
        state::write(self, state)
    }

    /// The part of [`state`](Self::state) that training moves: of a frozen network its
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

    /// The network with the given tensors in place of those of [`trained_state`](Self::trained_state).
    ///
    /// # Errors
    /// [`Error::StateDiffers`] names the first tensor that is missing, superfluous or misshapen.
    pub fn load_trained_state(self, state: &BTreeMap<String, TensorData>) -> Result<Self> {
        match self {
            Self::Imported(mut network) if !network.origin.fine_tune => {
                let inner = |(name, data): (&String, &TensorData)| match name.strip_prefix(FC) {
                    Some(name) => Ok((name.to_owned(), data.clone())),
                    None => Err(Error::StateDiffers {
                        reason: format!("it has `{name}`, which is not trained"),
                    }),
                };
                let head = state.iter().map(inner).collect::<Result<_>>()?;
                network.fc = state::write(network.fc, &head)?;
                Ok(Self::Imported(network))
            }
            network => network.load_state(state),
        }
    }

    /// The part that training does not move as an ONNX document with one output `features`, for an
    /// engine that computes it faster than Burn; `None` where all of the network is trained.
    ///
    /// # Errors
    /// When the imported file has changed or gone since it was read.
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
    /// When the imported file has changed or gone since it was read.
    pub fn to_onnx(&self) -> Result<onnx::Document> {
        match self.valid() {
            Self::Custom(network) => export::custom(&network),
            Self::Imported(network) => export::graft(&network),
        }
    }
}

//! One residual cell of the custom network.

use crate::layers::{BatchNorm, Conv2d, Draw};
use burn::module::Module;
use burn::tensor::Tensor;

/// [BN, ReLU, conv 3 x 3 stride 2] twice beside a 1 x 1 stride 4 projection; no activation after
/// the sum.
#[derive(Module, Debug)]
pub struct Cell {
    /// First normalisation.
    pub bn1: BatchNorm,
    /// First convolution: widens the channels.
    pub conv1: Conv2d,
    /// Second normalisation.
    pub bn2: BatchNorm,
    /// Second convolution.
    pub conv2: Conv2d,
    /// P of the formulation: the skip, without bias.
    pub project: Conv2d,
}

impl Cell {
    pub(crate) fn new(in_channels: usize, out_channels: usize, rng: &mut Draw) -> Self {
        Self {
            bn1: BatchNorm::new(in_channels, &rng.device),
            conv1: Conv2d::new([out_channels, in_channels, 3, 3], 2, true, rng),
            bn2: BatchNorm::new(out_channels, &rng.device),
            conv2: Conv2d::new([out_channels, out_channels, 3, 3], 2, true, rng),
            project: Conv2d::new([out_channels, in_channels, 1, 1], 4, false, rng),
        }
    }

    /// `[N, C_in, H, W]` to `[N, C_out, H/4, W/4]`.
    #[must_use]
    pub fn forward(&self, y: Tensor<4>) -> Tensor<4> {
        let f = self.conv1.forward(self.bn1.forward_relu(y.clone()));
        let f = self.conv2.forward(self.bn2.forward_relu(f));
        self.project.forward(y) + f
    }
}

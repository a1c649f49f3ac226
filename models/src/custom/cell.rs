//! Residual cell of the custom network.

use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d};
use burn::module::Module;
use burn::tensor::Tensor;

/// Full pre-activation residual cell: [BN, ReLU, conv 3 x 3 stride 2] twice, plus a projection 1 x 1 of
/// stride 4. No activation follows the sum.
#[derive(Module, Debug)]
pub struct Cell {
    /// Normalisation of the input, `[C_in]`.
    pub bn1: BatchNorm,
    /// Convolution from C_in to C_out channels.
    pub conv1: Conv2d,
    /// Normalisation between the convolutions, `[C_out]`.
    pub bn2: BatchNorm,
    /// Convolution from C_out to C_out channels.
    pub conv2: Conv2d,
    /// Projection P of the skip connection, without bias.
    pub project: Conv2d,
}

impl Cell {
    pub(crate) fn new(in_channels: usize, out_channels: usize, init: &mut Init) -> Self {
        Self {
            bn1: BatchNorm::new(in_channels, &init.device),
            conv1: Conv2d::new([out_channels, in_channels, 3, 3], 2, true, init),
            bn2: BatchNorm::new(out_channels, &init.device),
            conv2: Conv2d::new([out_channels, out_channels, 3, 3], 2, true, init),
            project: Conv2d::new([out_channels, in_channels, 1, 1], 4, false, init),
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

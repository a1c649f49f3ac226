//! Residual cell of the custom network.

use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d};
use burn::module::Module;
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// Formulation of a cell of two convolutions F, with a projection P on the skip of a residual one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    /// (A): y' = P y + F(y), batch norm and ReLU before each convolution (He et al. 2016, figure 4e).
    #[default]
    Preactivation,
    /// (B): y' = relu(P y + F(y)), batch norm after each convolution and ReLU between them (He et al. 2015).
    Original,
    /// Without a skip, as in a plain convolutional network: y' = relu(F(y)), otherwise as (B).
    Plain,
}

/// Cell: two convolutions 3 x 3 of stride 2, plus a projection 1 x 1 of stride 4 where it is residual.
#[derive(Module, Debug)]
pub struct Cell {
    /// Where normalisation and activation stand.
    #[module(skip)]
    pub kind: CellKind,
    /// Normalisation of the input `[C_in]`, or in (B) of the first convolution's output `[C_out]`.
    pub bn1: BatchNorm,
    /// Convolution from C_in to C_out channels.
    pub conv1: Conv2d,
    /// Normalisation between the convolutions, or in (B) after the second, `[C_out]`.
    pub bn2: BatchNorm,
    /// Convolution from C_out to C_out channels.
    pub conv2: Conv2d,
    /// Projection P of the skip connection, without bias; none of a plain cell.
    pub project: Option<Conv2d>,
}

impl Cell {
    pub(crate) fn new(
        kind: CellKind,
        in_channels: usize,
        out_channels: usize,
        init: &mut Init,
    ) -> Self {
        let normalized = match kind {
            CellKind::Preactivation => in_channels,
            CellKind::Original | CellKind::Plain => out_channels,
        };
        Self {
            kind,
            bn1: BatchNorm::new(normalized, &init.device),
            conv1: Conv2d::new([out_channels, in_channels, 3, 3], 2, true, init),
            bn2: BatchNorm::new(out_channels, &init.device),
            conv2: Conv2d::new([out_channels, out_channels, 3, 3], 2, true, init),
            project: (kind != CellKind::Plain)
                .then(|| Conv2d::new([out_channels, in_channels, 1, 1], 4, false, init)),
        }
    }

    /// `[N, C_in, H, W]` to `[N, C_out, H/4, W/4]`.
    #[must_use]
    pub fn forward(&self, y: Tensor<4>) -> Tensor<4> {
        let f = match self.kind {
            CellKind::Preactivation => {
                let f = self.conv1.forward(self.bn1.forward_relu(y.clone()));
                self.conv2.forward(self.bn2.forward_relu(f))
            }
            CellKind::Original | CellKind::Plain => {
                let f = self.bn1.forward_relu(self.conv1.forward(y.clone()));
                self.bn2.forward(self.conv2.forward(f))
            }
        };
        let sum = match &self.project {
            Some(project) => project.forward(y) + f,
            None => f,
        };
        match self.kind {
            CellKind::Preactivation => sum,
            CellKind::Original | CellKind::Plain => activation::relu(sum),
        }
    }
}

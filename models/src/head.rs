//! Head of a network: what its last layer computes, the classes of an image or how far two images are apart.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use onnx::siamese::{Distance, LEAST_SQUARE};

use crate::init::{self, Init};
use crate::layers::Linear;

/// First scale of a cosine, and minus the first bias over it: the probability of the same direction is 92 %, that of a
/// right angle 8 %.
const COSINE_SCALE: f32 = 5.0;
const MIDDLE_COSINE: f32 = 0.5;

/// What a network computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head {
    /// Logits of so many classes.
    Classes(usize),
    /// One logit of two images: that both are the same.
    Pair(PairHead),
}

/// How a verifier compares two images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairHead {
    /// What is computed of their features.
    pub distance: Distance,
    /// Euclidean distance beyond which different images are far enough apart. The logit of a distance d is
    /// `margin / 2 - d`.
    pub margin: f64,
}

impl From<usize> for Head {
    fn from(num_classes: usize) -> Self {
        Self::Classes(num_classes)
    }
}

impl From<PairHead> for Head {
    fn from(head: PairHead) -> Self {
        Self::Pair(head)
    }
}

impl From<Distance> for Head {
    /// With a margin of 1.
    fn from(distance: Distance) -> Self {
        Self::Pair(PairHead {
            distance,
            margin: 1.0,
        })
    }
}

impl Head {
    /// None of a classifier.
    pub(crate) fn distance(self) -> Option<Distance> {
        match self {
            Self::Classes(_) => None,
            Self::Pair(head) => Some(head.distance),
        }
    }

    /// The layer of features `[N, width]` before training.
    pub(crate) fn layer(self, width: usize, init: &mut Init) -> Linear {
        match self {
            Self::Classes(classes) => Linear::new(width, classes, init),
            Self::Pair(PairHead { distance, margin }) => match distance {
                Distance::AbsoluteDifference => Linear::new(width, 1, init),
                Distance::Cosine => {
                    one_number(COSINE_SCALE, -COSINE_SCALE * MIDDLE_COSINE, &init.device)
                }
                // The farther apart, the less probable.
                Distance::Euclidean => one_number(-1.0, (margin / 2.0) as f32, &init.device),
            },
        }
    }
}

/// A layer of one number.
fn one_number(weight: f32, bias: f32, device: &Device) -> Linear {
    Linear {
        weight: init::parameter(vec![weight], [1, 1], device),
        bias: Some(init::parameter(vec![bias], [1], device)),
    }
}

/// The distances of features `[2N, D]`, those of a pair one after the other: `[N, D]`, or `[N, 1]`. The order of a pair
/// changes no bit.
pub(crate) fn distances(distance: Distance, features: Tensor<2>) -> Tensor<2> {
    let [images, width] = features.dims();
    let features = match distance {
        Distance::Cosine => features.clone() / lengths(features),
        Distance::AbsoluteDifference | Distance::Euclidean => features,
    };
    let pairs = features.reshape([images / 2, 2, width]);
    let side = |index| pairs.clone().narrow(1, index, 1).squeeze_dim::<2>(1); // [N, D]
    let (a, b) = (side(0), side(1));
    match distance {
        Distance::AbsoluteDifference => (a - b).abs(),
        Distance::Cosine => (a * b).sum_dim(1),
        Distance::Euclidean => lengths(a - b),
    }
}

/// The lengths of rows, `[N, 1]`. The square root of 0 has no slope: such a row gets none.
fn lengths(rows: Tensor<2>) -> Tensor<2> {
    let squares = (rows.clone() * rows).sum_dim(1);
    squares.clamp_min(LEAST_SQUARE).sqrt()
}

/// Distances to logits. The bias of a Euclidean distance is half its margin, which nothing trains.
pub(crate) fn logits(distance: Distance, layer: &Linear, distances: Tensor<2>) -> Tensor<2> {
    match distance {
        Distance::AbsoluteDifference | Distance::Cosine => layer.forward(distances),
        Distance::Euclidean => {
            let bias = layer.bias.as_ref().map(Param::val);
            let bias = bias.expect("the layer of a pair has a bias").detach();
            distances * layer.weight.val() + bias.unsqueeze()
        }
    }
}

//! Prediction as C reads it.

use crate::status::Status;

/// The answer for one image.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Whether there is an answer; the other fields are 0 where it is not `CLASSIFOLD_STATUS_OK`.
    pub status: Status,
    /// Whether the probability is below the threshold of the options or of the model's card: the image is of no class
    /// that the model is sure of.
    pub is_rejected: bool,
    /// The most probable class; `classifold_class_name` has its name.
    pub index: usize,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// How much more probable it is than the second class.
    pub margin: f32,
}

impl Prediction {
    pub(crate) const fn failed(status: Status) -> Self {
        Self {
            status,
            is_rejected: false,
            index: 0,
            probability: 0.0,
            margin: 0.0,
        }
    }
}

impl From<&deploy::Prediction> for Prediction {
    fn from(prediction: &deploy::Prediction) -> Self {
        Self {
            status: Status::Ok,
            is_rejected: prediction.is_rejected,
            index: prediction.index,
            probability: prediction.probability,
            margin: prediction.margin(),
        }
    }
}

//! The drawn images of model cards, as a network takes them. They know no network.

use data::card::golden_images;
use data::{Limits, Preprocess};

use crate::error::Result;

/// The images, each prepared: `[C, H, W]`.
pub fn prepared(preprocess: &Preprocess) -> Result<Vec<Vec<f32>>> {
    let images = golden_images::images().into_iter();
    let prepare = |(_, bytes): (_, Vec<u8>)| {
        let image = data::decode::decode_as(&bytes, preprocess.color(), &Limits::default())?;
        Ok(preprocess.apply(&image)?)
    };
    images.map(prepare).collect()
}

//! The frozen part of a network through ONNX Runtime, which computes it faster than Burn.
//!
//! The features agree with Burn's but for rounding. The finished file is verified against Burn's
//! whole network, never against features from here.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use data::loader::Batch;
use deploy::{Session, SessionOptions};
use models::Network;
use tempfile::TempPath;

use crate::error::Result;

/// A frozen backbone in ONNX Runtime, which must be loaded.
#[derive(Debug)]
pub struct Backbone {
    session: Mutex<Session>,
}

impl Backbone {
    /// The frozen part of `network`; `None` where all of it is trained. `folder` holds the part for
    /// the moment in which ONNX Runtime reads it.
    ///
    /// # Errors
    /// When the part cannot be written or opened.
    pub fn open(network: &Network, folder: &Path, threads: usize) -> Result<Option<Self>> {
        let Some(file) = cut_graph(network, folder)? else {
            return Ok(None);
        };
        let (height, width) = network.input_size();
        let options = SessionOptions {
            threads: Some(threads),
            image_shape: Some([3, height, width]),
            ..SessionOptions::default()
        };
        let session = Mutex::new(Session::open(&file, &options)?);
        Ok(Some(Self { session }))
    }

    /// Features of a batch, `[N, D]`.
    pub(crate) fn features(&self, batch: &Batch, device: &Device) -> Result<Tensor<2>> {
        let count = batch.shape[0];
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let features = session.run(&batch.images, count)?;
        let shape = [count, features.len() / count.max(1)];
        Ok(Tensor::from_data(TensorData::new(features, shape), device))
    }
}

/// The frozen part of `network` as a file of its own in `folder`, removed when dropped; `None`
/// where all of the network is trained.
pub(crate) fn cut_graph(network: &Network, folder: &Path) -> Result<Option<TempPath>> {
    let Some(document) = network.frozen_to_onnx()? else {
        return Ok(None);
    };
    let file = tempfile::Builder::new()
        .prefix(".backbone-")
        .suffix(".onnx")
        .tempfile_in(folder)?
        .into_temp_path();
    document.save(&file)?;
    Ok(Some(file))
}

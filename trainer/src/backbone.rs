//! Frozen backbone in ONNX Runtime, which computes it faster than Burn on a CPU. It knows
//! no image file, no head and no loop.
//!
//! Its features agree with Burn's but for rounding. An exported file is verified against Burn's whole
//! network, never against features from here.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use deploy::{Session, SessionOptions};
use models::Network;
use tempfile::TempPath;

use crate::error::Result;

/// A frozen backbone in ONNX Runtime, which must be loaded. Clones share one session.
#[derive(Clone, Debug)]
pub struct Backbone {
    session: Arc<Mutex<Session>>,
}

impl Backbone {
    /// Opens the frozen part of `network`; `None` where all of it is trained. `folder` holds its file for
    /// the moment in which ONNX Runtime reads it.
    pub fn open(network: &Network, folder: &Path, threads: usize) -> Result<Option<Self>> {
        let Some(file) = cut_graph(network, folder)? else {
            return Ok(None);
        };
        let session = Session::open(&file, &session_options(network, threads))?;
        Ok(Some(Self {
            session: Arc::new(Mutex::new(session)),
        }))
    }

    /// Features `[N, D]` of prepared images `[N, 3, H, W]`.
    pub(crate) fn features(
        &self,
        images: &[f32],
        count: usize,
        device: &Device,
    ) -> Result<Tensor<2>> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let features = session.run(images, count)?;
        let shape = [count, features.len() / count.max(1)];
        Ok(Tensor::from_data(TensorData::new(features, shape), device))
    }
}

/// How a session of the frozen part is opened.
pub(crate) fn session_options(network: &Network, threads: usize) -> SessionOptions {
    let (height, width) = network.input_size();
    SessionOptions {
        threads: Some(threads),
        // An imported file may leave the size of its images open.
        image_shape: Some([3, height, width]),
        ..SessionOptions::default()
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

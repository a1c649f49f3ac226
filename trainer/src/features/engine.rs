//! Engine that computes features: ONNX Runtime on the frozen part, or Burn on a GPU. It knows no image file.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use deploy::Session;
use models::Network;
use rayon::prelude::*;

use crate::error::Result;
use crate::recipe::DeviceKind;
use crate::{backbone, tensors};

/// Burn's release, which is part of what its features depend on.
const BURN: &str = "0.22.1";

/// Memory of a session, in sizes of its file: the weights, packed once more, and working memory.
const SESSION_SIZES: u64 = 3;

/// Engine that computes features.
pub(super) enum Engine {
    /// Sessions of the cut graph in ONNX Runtime, one per worker. Each computes on one thread, an
    /// image at a time: no result depends on the number of threads or on its neighbours, and that is
    /// as fast on two cores as batches on all of them.
    Sessions(Vec<Session>),
    /// The network in Burn, batch by batch.
    Burn(Box<Network>),
}

impl Engine {
    /// The engine of a device, as part of a [`CacheKey`](super::CacheKey).
    pub(super) fn name(device: DeviceKind) -> String {
        let burn = |device| format!("burn {BURN} {device}");
        match device {
            DeviceKind::Cpu => {
                let version = deploy::runtime::loaded().map(|found| found.version.as_str());
                format!("onnxruntime {} cpu", version.unwrap_or("unknown"))
            }
            DeviceKind::Cuda => burn("cuda"),
            DeviceKind::Wgpu => burn("wgpu"),
        }
    }

    /// Opens one session per thread, but no more than `memory_bytes` hold, and at least one. `folder` holds
    /// the cut graph while ONNX Runtime reads it.
    pub(super) fn open(
        network: &Network,
        device: DeviceKind,
        threads: usize,
        memory_bytes: u64,
        folder: &Path,
    ) -> Result<Self> {
        let file = match device {
            DeviceKind::Cpu => backbone::cut_graph(network, folder)?,
            DeviceKind::Cuda | DeviceKind::Wgpu => None,
        };
        let Some(file) = file else {
            return Ok(Self::Burn(Box::new(network.valid())));
        };
        let bytes = fs_err::metadata(&file)?.len().max(1);
        let affordable = usize::try_from(memory_bytes / (SESSION_SIZES * bytes)).unwrap_or(threads);
        let sessions = threads.min(affordable).max(1);
        // Where memory allows fewer sessions than threads, each session gets several threads.
        let options = backbone::session_options(network, threads / sessions);
        let open = |_| Ok(Session::open(&file, &options)?);
        let sessions: Result<Vec<Session>> = (0..sessions).into_par_iter().map(open).collect();
        Ok(Self::Sessions(sessions?))
    }
}

/// Features `[N, D]` of prepared images `[N, 3, H, W]`, computed by Burn.
pub(super) fn burn_features(network: &Network, images: Vec<f32>, count: usize) -> Result<Vec<f32>> {
    let (height, width) = network.input_size();
    let images = TensorData::new(images, [count, 3, height, width]);
    let features = network.features(Tensor::from_data(images, &tensors::device(network))); // [N, D]
    tensors::read(features)
}

#[cfg(test)]
mod tests {
    use super::BURN;

    #[test]
    fn burns_release_is_the_one_that_is_built_with() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"={BURN}\"")));
    }
}

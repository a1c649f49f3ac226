//! TensorRT's options, the batch sizes an engine is built for (optimisation profile), and the key of what
//! an engine depends on. Names and meanings of the options:
//! <https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html>.

use std::path::{Path, PathBuf};

use onnx::{Dim, Document};
use ort::ep::TensorRT;

use crate::engine_cache::EngineKey;
use crate::error::Result;
use crate::options::SessionOptions;
use crate::precision::Precision;
use crate::presets;

/// Largest batch where the batch sizes are not known.
const USUAL_BATCH: usize = 32;

/// Profile and folder of a TensorRT engine.
#[derive(Debug, Clone, Default)]
pub(crate) struct EngineRequest {
    /// `None` where the file fixes every dimension.
    pub(crate) profile: Option<Profile>,
    /// Folder in which engines are cached; `None` caches none.
    pub(crate) folder: Option<PathBuf>,
}

/// Optimisation profile: the batch sizes that an engine is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    input: String,
    image_shape: [usize; 3],
    /// The smallest and the largest batch. Kernels are chosen for the largest, where they matter most.
    pub(crate) batches: (usize, usize),
}

impl Profile {
    /// The profile of a model for the batches of `options`; `None` where the file fixes the batch.
    pub(crate) fn for_model(document: &Document, options: &SessionOptions) -> Option<Self> {
        let inputs = document.inputs();
        let [input] = inputs.as_slice() else {
            return None;
        };
        let [first, image @ ..] = input.dims.as_slice() else {
            return None;
        };
        if matches!(first, Dim::Fixed(batch) if *batch > 0) {
            return None;
        }
        let fixed = |dim: &Dim| match dim {
            Dim::Fixed(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        let fixed_shape: Option<Vec<usize>> = image.iter().map(fixed).collect();
        let image_shape = options
            .image_shape
            .or_else(|| fixed_shape?.try_into().ok())?;
        let smallest = options.batches.iter().min().copied().unwrap_or(1).max(1);
        let largest = options.batches.iter().max().copied().unwrap_or(USUAL_BATCH);
        Some(Self {
            input: input.name.clone(),
            image_shape,
            batches: (smallest, largest.max(smallest)),
        })
    }

    /// As ONNX Runtime reads it: `input:8x3x224x224`.
    pub(super) fn shape(&self, batch: usize) -> String {
        let [a, b, c] = self.image_shape;
        format!("{}:{batch}x{a}x{b}x{c}", self.input)
    }

    fn describe(&self) -> String {
        let (smallest, largest) = self.batches;
        format!("{} to {}", self.shape(smallest), self.shape(largest))
    }
}

/// TensorRT on one GPU.
pub(super) fn preset(device: i32, request: &presets::ProviderRequest) -> TensorRT {
    let engine = &request.tensorrt;
    let mut tensorrt = TensorRT::default()
        .with_device_id(device)
        .with_fp16(request.precision == Precision::Fp16)
        // The ranges are in the file's quantise nodes; no table is needed.
        .with_int8(request.precision == Precision::Int8)
        .with_context_memory_sharing(true)
        .with_cuda_graph(request.graph);
    if let Some(profile) = &engine.profile {
        let (smallest, largest) = profile.batches;
        tensorrt = tensorrt
            .with_profile_min_shapes(profile.shape(smallest))
            .with_profile_opt_shapes(profile.shape(largest))
            .with_profile_max_shapes(profile.shape(largest));
    }
    if let Some(folder) = &engine.folder {
        let folder = folder.display();
        tensorrt = tensorrt
            .with_engine_cache(true)
            .with_engine_cache_path(&folder)
            .with_timing_cache(true)
            .with_timing_cache_path(&folder);
    }
    tensorrt
}

/// Cache key of an engine: the model's content with its external data, TensorRT's options, the GPU and the
/// versions.
pub(crate) fn key(
    document: &mut Document,
    options: &SessionOptions,
    profile: Option<&Profile>,
    gpu: &str,
) -> Result<EngineKey> {
    let model = presets::model_sha256(document)?;
    let profile = profile.map_or("as the file says".to_owned(), Profile::describe);
    let version = presets::runtime_version();
    let precision = options.precision.name();
    // Part of the key, since TensorRT's choice of kernels follows the variable.
    let tf32 = if tf32_is_off() { "off" } else { "on" };
    Ok(EngineKey::new([
        ("model", model.as_str()),
        ("precision", precision),
        ("profile", &profile),
        ("gpu", gpu),
        ("runtime", version),
        ("tf32", tf32),
    ]))
}

/// Cache key of TensorRT's timing cache, the measured times of its kernels, which holds for every model.
pub(crate) fn timing_key(gpu: &str) -> EngineKey {
    let version = presets::runtime_version();
    EngineKey::new([("kind", "timing"), ("gpu", gpu), ("runtime", version)])
}

/// The timing cache in a folder of engines.
pub(crate) fn timing_file(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "timing"))
}

/// TensorRT multiplies single precision in TF32 unless NVIDIA's own variable forbids it; ONNX Runtime has
/// no option for it.
pub(crate) fn tf32_is_off() -> bool {
    std::env::var_os("NVIDIA_TF32_OVERRIDE").is_some_and(|value| value == "0")
}

#[cfg(test)]
mod tests;

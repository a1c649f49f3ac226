//! Session options. Knows no provider's own options.

use std::path::PathBuf;

use crate::precision::Precision;
use machine::Provider;

/// How a session is made.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// What computes.
    pub provider: Provider,
    /// At which precision. A file that must be converted for it ([`Precision::converts`]) is given
    /// converted.
    pub precision: Precision,
    /// Threads inside an operation; `None` is one per core.
    pub threads: Option<usize>,
    /// Whether these threads spin while they wait for work: quicker, and busy.
    pub spinning: bool,
    /// Whether the CPU's memory is kept between runs.
    pub arena: bool,
    /// Whether nodes that compute may run elsewhere than on `provider`.
    pub allow_fallback: bool,
    /// Numbers of images that will be run at a time: what TensorRT builds for. Empty: not known.
    pub batches: Vec<usize>,
    /// Whether a GPU records the launches of a run and replays them (CUDA graphs), where `batches` is one
    /// number: quicker, but ONNX Runtime records for the thread that runs, and while one thread records no
    /// other may use the GPU. For sessions that stay with one thread each and are warmed up one by one.
    pub record: bool,
    /// Folder of kept TensorRT engines; `None` is `engines` in the cache folder.
    pub engines: Option<PathBuf>,
    /// Shape of one image as prepared (`[C, H, W]` or `[H, W, C]`): needed where the model leaves it open.
    pub image_shape: Option<[usize; 3]>,
    /// The output to read, where the model has several.
    pub output: Option<String>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            provider: Provider::default(),
            precision: Precision::default(),
            threads: None,
            spinning: true,
            arena: true,
            allow_fallback: false,
            batches: Vec::new(),
            record: false,
            engines: None,
            image_shape: None,
            output: None,
        }
    }
}

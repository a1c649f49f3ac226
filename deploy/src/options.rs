//! Session options. Knows no provider's own options.

use std::path::PathBuf;

use machine::Provider;

use crate::precision::Precision;

/// Options of a session.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The execution provider.
    pub provider: Provider,
    /// Precision in which it computes. Where that needs another file ([`Precision::converts`]), the file that is
    /// opened must be the converted one.
    pub precision: Precision,
    /// Threads inside an operation; `None` is one per core.
    pub threads: Option<usize>,
    /// Whether these threads spin while they wait for work: less latency for more processor time.
    pub spinning: bool,
    /// Whether ONNX Runtime's arena keeps the CPU's memory between runs.
    pub arena: bool,
    /// Whether nodes that compute may run on another provider.
    pub allow_fallback: bool,
    /// Batch sizes that will be run, for which TensorRT builds its engine. Empty: not known. Unless all are 1, two
    /// images are tried where the batch axis is open.
    pub batches: Vec<usize>,
    /// Whether a GPU records the kernel launches of a run and replays them (CUDA graph), where `batches` is one
    /// number. That is faster, but ONNX Runtime records for the thread that runs, and no other thread may use
    /// the GPU meanwhile: only for sessions that stay with one thread each and are warmed up one by one.
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

//! Context of a command: cache folder, ONNX Runtime, threads, log and Ctrl-C. It knows no recipe and no step.

use std::path::{Path, PathBuf};

use console::Printer;
use deploy::Provider;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::runtime;

/// Context of a command: cache folder, ONNX Runtime, threads, log and Ctrl-C.
#[derive(Debug)]
pub struct TrainingContext<'a> {
    pub cache: PathBuf,
    /// The ONNX Runtime library of `--runtime`.
    pub runtime: Option<PathBuf>,
    pub offline: bool,
    /// What ONNX Runtime computes on.
    pub provider: Provider,
    /// Threads that decode, prepare and compute.
    pub threads: usize,
    pub printer: &'a Printer,
    /// Whether the user has asked to stop.
    pub interrupt: Interrupt,
}

impl<'a> TrainingContext<'a> {
    /// A context that downloads nothing, with the cache folder of `--cache` or of the environment.
    pub fn new(cache: Option<&Path>, threads: Option<usize>, printer: &'a Printer) -> Result<Self> {
        Ok(Self {
            cache: data::cache::dir(cache)?,
            runtime: None,
            offline: true,
            provider: Provider::Cpu,
            threads: bound_threads(threads),
            printer,
            interrupt: Interrupt::default(),
        })
    }

    /// Finds ONNX Runtime, installs it where it is missing and downloads are allowed, and loads it. A provider whose GPU
    /// or libraries are missing is an error.
    pub fn ensure_runtime(&self) -> Result<()> {
        runtime::ensure(
            self.runtime.clone(),
            self.provider,
            &self.cache,
            self.offline,
            self.printer,
        )
    }
}

/// Bounds the threads of this process to the cores, and to `wanted`; returns their number.
pub fn bound_threads(wanted: Option<usize>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = wanted.unwrap_or(cores).clamp(1, cores);
    // A thread pool that exists already (in a test) stays as it is.
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        // As the main thread's: training runs in one of these.
        .stack_size(8 << 20)
        .build_global()
        .unwrap_or_default();
    threads
}

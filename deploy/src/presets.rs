//! Presets: ONNX Runtime's options of the CPU, CUDA and TensorRT, each in a file of its own. Opens nothing.

pub(crate) mod cpu;
mod cuda;
pub(crate) mod tensorrt;

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use crate::error::{Error, Result, chain};
use crate::precision::Precision;
use crate::runtime;
use machine::Provider;

/// What a session asks of its provider.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) precision: Precision,
    /// The CPU's memory arena.
    pub(crate) arena: bool,
    /// The launches of a run are recorded once and replayed.
    pub(crate) graph: bool,
    /// What TensorRT builds, and where that is kept.
    pub(crate) tensorrt: tensorrt::Request,
}

/// What is registered with a session, in order of preference. Every one must start.
pub(crate) fn dispatches(
    provider: Provider,
    request: &Request,
) -> Result<Vec<ExecutionProviderDispatch>> {
    let cpu = ep::CPU::default()
        .with_arena_allocator(request.arena)
        .build();
    let list = match provider {
        Provider::Cpu => vec![cpu],
        Provider::Cuda { device } => {
            check::<ep::CUDA>(provider)?;
            let cuda = cuda::preset(id(device), request.precision, request.graph);
            vec![cuda.build(), cpu]
        }
        Provider::TensorRt { device } => {
            check::<ep::TensorRT>(provider)?;
            check::<ep::CUDA>(provider)?;
            let tensorrt = tensorrt::preset(id(device), request);
            // What is left for CUDA is not replayed: TensorRT's recording would not hold it.
            let cuda = cuda::preset(id(device), request.precision, false);
            vec![tensorrt.build(), cuda.build(), cpu]
        }
    };
    // Without `error_on_failure` ONNX Runtime drops a provider that does not start, and computes elsewhere.
    Ok(list
        .into_iter()
        .map(ExecutionProviderDispatch::error_on_failure)
        .collect())
}

/// Whether the library was built with the execution provider `P`.
fn check<P: ExecutionProvider>(provider: Provider) -> Result<()> {
    let failed = |e: ort::Error| Error::provider_failed(&provider.to_string(), &chain(&e));
    if P::is_available().map_err(failed)? {
        return Ok(());
    }
    let mut available = vec!["CPUExecutionProvider"];
    for (name, there) in [
        (ep::CUDA::NAME, ep::CUDA::is_available()),
        (ep::TensorRT::NAME, ep::TensorRT::is_available()),
    ] {
        if there.unwrap_or(false) {
            available.push(name);
        }
    }
    let library = runtime::loaded().map(|library| library.path.clone());
    Err(Error::provider_missing(
        &provider.to_string(),
        &library.unwrap_or_default(),
        P::NAME,
        &available.join(", "),
    ))
}

/// The number as ONNX Runtime takes it.
pub(crate) fn id(device: u32) -> i32 {
    i32::try_from(device).unwrap_or(i32::MAX)
}

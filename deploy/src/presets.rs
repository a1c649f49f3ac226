//! Options of ONNX Runtime's execution providers: CPU, CUDA, TensorRT, TensorRT for RTX and OpenVINO, each in a file of its
//! own. Opens nothing.

pub(crate) mod cpu;
mod cuda;
pub(crate) mod openvino;
pub(crate) mod tensorrt;
pub(crate) mod tensorrt_rtx;

use machine::Provider;
use onnx::Document;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, chain};
use crate::precision::Precision;
use crate::runtime;

/// Options that a session sets on its execution providers.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProviderRequest {
    pub(crate) precision: Precision,
    /// The CPU's memory arena.
    pub(crate) arena: bool,
    /// CUDA graph: the kernel launches of a run are recorded once and replayed.
    pub(crate) graph: bool,
    /// Engines of TensorRT.
    pub(crate) tensorrt: tensorrt::EngineRequest,
    /// The compiled model of OpenVINO.
    pub(crate) openvino: openvino::CompileRequest,
}

/// Execution providers of a session in order of preference, without a plugin. Every one must start.
pub(crate) fn execution_providers(
    provider: Provider,
    request: &ProviderRequest,
) -> Result<Vec<ExecutionProviderDispatch>> {
    let cpu = ep::CPU::default()
        .with_arena_allocator(request.arena)
        .build();
    let list = match provider {
        Provider::Cpu | Provider::TensorRtRtx { .. } | Provider::OpenVino { .. } => vec![cpu],
        Provider::Cuda { device } => {
            check_available::<ep::CUDA>(provider)?;
            let cuda = cuda::preset(device_id(device), request.precision, request.graph);
            vec![cuda.build(), cpu]
        }
        Provider::TensorRt { device } => {
            check_available::<ep::TensorRT>(provider)?;
            check_available::<ep::CUDA>(provider)?;
            let tensorrt = tensorrt::preset(device_id(device), request);
            // No CUDA graph for nodes that fall back to CUDA: TensorRT's graph would not hold them.
            let cuda = cuda::preset(device_id(device), request.precision, false);
            vec![tensorrt.build(), cuda.build(), cpu]
        }
    };
    // Without `error_on_failure` ONNX Runtime drops a provider that does not start, and computes elsewhere.
    Ok(list
        .into_iter()
        .map(ExecutionProviderDispatch::error_on_failure)
        .collect())
}

/// SHA-256 of a model's content with its external data.
pub(crate) fn model_sha256(document: &mut Document) -> Result<String> {
    document.inline_external_data()?;
    // The content, not the file's name: a model trained again under the same name needs its own engine.
    Ok(files::hash::hex(&Sha256::digest(document.to_bytes())))
}

/// Version of the ONNX Runtime that is loaded.
pub(crate) fn runtime_version() -> &'static str {
    runtime::loaded().map_or("", |found| found.version.as_str())
}

/// Whether the library was built with the execution provider `P`.
fn check_available<P: ExecutionProvider>(provider: Provider) -> Result<()> {
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

/// The GPU's number in ONNX Runtime's type.
pub(crate) fn device_id(device: u32) -> i32 {
    i32::try_from(device).unwrap_or(i32::MAX)
}

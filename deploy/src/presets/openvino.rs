//! OpenVINO's options, and the key of what a compiled model depends on. Names and meanings of the options:
//! <https://docs.openvino.ai/2026/openvino-workflow/running-inference/inference-devices-and-modes.html>.

use std::path::PathBuf;

use machine::OpenVinoDevice;
use machine::probe::Machine;
use onnx::Document;
use serde_json::json;

use crate::engine_cache::EngineKey;
use crate::error::Result;
use crate::plugin::{OPENVINO, PluginDevice};
use crate::precision::Precision;
use crate::presets;

/// Precision, threads and folder of a compiled model.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompileRequest {
    /// Precision in which it computes.
    pub(crate) precision: Precision,
    /// Threads on the processor; `None` is one per core.
    pub(crate) threads: Option<usize>,
    /// Folder in which the compiled model is kept; `None` keeps none.
    pub(crate) folder: Option<PathBuf>,
}

/// The options with the prefix that `ort` asks for.
///
/// All of them go through `load_config`, whose names OpenVINO checks: an unknown option of the provider itself is
/// ignored with a warning.
pub(crate) fn options(device: OpenVinoDevice, request: &CompileRequest) -> Vec<(String, String)> {
    // Never left out: OpenVINO chooses bf16 for a file of single precision where the processor has it.
    let mut config = json!({ "INFERENCE_PRECISION_HINT": hint(request.precision) });
    if device == OpenVinoDevice::Cpu
        && let Some(threads) = request.threads
    {
        config["INFERENCE_NUM_THREADS"] = threads.to_string().into();
        // OpenVINO binds the threads of every session to the same first cores: two sessions of one thread would share
        // one core.
        config["ENABLE_CPU_PINNING"] = "NO".into();
    }
    if let Some(folder) = &request.folder {
        config["CACHE_DIR"] = folder.display().to_string().into();
    }
    let name = device.name().to_uppercase();
    vec![(
        format!("{OPENVINO}.load_config"),
        json!({ name: config }).to_string(),
    )]
}

/// The products of an int8 file are the file's own; this is the precision of all others.
fn hint(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp32 | Precision::Tf32 | Precision::Int8 => "f32",
        Precision::Bf16 => "bf16",
        Precision::Fp16 => "f16",
    }
}

/// Cache key of a compiled model: the model's content with its external data, the precision, the device and the
/// versions. OpenVINO's own names of its files are the same for every precision.
pub(crate) fn key(
    document: &mut Document,
    precision: Precision,
    device: &PluginDevice,
) -> Result<EngineKey> {
    let model = presets::model_sha256(document)?;
    // Virtual machines hide the processor's model; what it can do decides what it compiles to.
    let features = Machine::read().features.join(" ");
    let known: Vec<&str> = device.precisions.iter().map(|p| p.name()).collect();
    let known = known.join(" ");
    let described = [&device.name, &device.description, &features, &known].map(String::as_str);
    Ok(EngineKey::new([
        ("model", model.as_str()),
        ("precision", precision.name()),
        ("device", &described.join("; ")),
        ("plugin", &device.version),
        ("runtime", presets::runtime_version()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(device: OpenVinoDevice, request: &CompileRequest) -> String {
        let options = options(device, request);
        let [(key, value)] = options.as_slice() else {
            panic!("{options:?}")
        };
        assert_eq!(key, "OpenVINOExecutionProvider.load_config");
        value.clone()
    }

    #[test]
    fn the_precision_is_always_said() {
        for (precision, hint) in [
            (Precision::Fp32, "f32"),
            (Precision::Int8, "f32"),
            (Precision::Bf16, "bf16"),
            (Precision::Fp16, "f16"),
        ] {
            let request = CompileRequest {
                precision,
                ..CompileRequest::default()
            };
            assert_eq!(
                text(OpenVinoDevice::Npu, &request),
                format!(r#"{{"NPU":{{"INFERENCE_PRECISION_HINT":"{hint}"}}}}"#)
            );
        }
    }

    #[test]
    fn threads_are_the_processors_and_are_not_bound_to_cores() {
        let request = CompileRequest {
            threads: Some(1),
            folder: Some("cache/a\"b".into()),
            ..CompileRequest::default()
        };
        assert_eq!(
            text(OpenVinoDevice::Cpu, &request),
            r#"{"CPU":{"CACHE_DIR":"cache/a\"b","ENABLE_CPU_PINNING":"NO","INFERENCE_NUM_THREADS":"1","INFERENCE_PRECISION_HINT":"f32"}}"#
        );
        assert_eq!(
            text(OpenVinoDevice::Gpu, &request),
            r#"{"GPU":{"CACHE_DIR":"cache/a\"b","INFERENCE_PRECISION_HINT":"f32"}}"#
        );
    }
}

//! CUDA's options. Knows no model. Names and meanings of the options:
//! <https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html>.
//!
//! ONNX Runtime gives every session a stream of its own: sessions on several threads overlap.

use ort::ep::CUDA;
use ort::ep::cuda::ConvAlgorithmSearch;

use crate::precision::Precision;

/// CUDA on one GPU; `graph` records the kernel launches of a run and replays them.
pub(super) fn preset(device: i32, precision: Precision, graph: bool) -> CUDA {
    CUDA::default()
        .with_device_id(device)
        // Tries every algorithm on the first run of a shape; a warm-up pays for it.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Exhaustive)
        .with_conv_max_workspace(true)
        // On by default in ONNX Runtime; without it answers are those of the CPU to single precision.
        .with_tf32(precision == Precision::Tf32)
        .with_prefer_nhwc(prefers_nhwc(precision))
        .with_cuda_graph(graph)
}

/// Whether channels go last.
///
/// The tensor cores, which compute half precision and TF32, read channels last: given channels first,
/// cuDNN transposes input and output of every convolution. Single precision runs on the other cores, whose
/// kernels read channels first. Convolutions of an int8 file are single precision on CUDA, between
/// dequantise nodes.
fn prefers_nhwc(precision: Precision) -> bool {
    matches!(precision, Precision::Fp16 | Precision::Tf32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options as name and value.
    fn options(precision: Precision, graph: bool) -> String {
        format!("{:?}", preset(1, precision, graph)).replace(": ", ", ")
    }

    #[test]
    fn tf32_is_on_only_when_asked_for() {
        for precision in Precision::ALL {
            let expected = format!(r#""use_tf32", "{}""#, precision == Precision::Tf32);
            let text = options(precision, false);
            assert!(text.contains(&expected), "{precision}: {text}");
        }
    }

    #[test]
    fn channels_go_last_for_the_tensor_cores() {
        for (precision, last) in [
            (Precision::Fp32, false),
            (Precision::Tf32, true),
            (Precision::Fp16, true),
            (Precision::Int8, false),
        ] {
            let text = options(precision, last);
            for expected in [
                format!(r#""prefer_nhwc", "{last}""#),
                format!(r#""enable_cuda_graph", "{last}""#),
                r#""device_id", "1""#.to_owned(),
                r#""cudnn_conv_algo_search", "EXHAUSTIVE""#.to_owned(),
            ] {
                assert!(text.contains(&expected), "{expected}: {text}");
            }
        }
    }
}

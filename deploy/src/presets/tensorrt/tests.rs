//! Profiles, options and keys; no TensorRT is needed for them.

use machine::Provider;
use onnx::proto::DataType;
use onnx::{GraphBuilder, ModelInfo, Tensor};

use super::*;

/// A classifier of 2 classes over `[batch, 3, 4, 4]`, whose weights are `gain`.
fn model(batch: Dim, gain: f32) -> Document {
    let mut graph = GraphBuilder::new("tiny");
    let dims = [batch, Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let weight = Tensor::f32(&[2, 3], vec![gain; 6]).unwrap();
    let weight = graph.initializer("weight", &weight);
    let bias = graph.initializer("bias", &Tensor::f32(&[2], vec![0.0; 2]).unwrap());
    let y = graph.gemm("fc", &x, &weight, &bias);
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(2)],
    );
    graph.finish(&ModelInfo::default()).unwrap()
}

fn options(precision: Precision, batches: &[usize]) -> SessionOptions {
    SessionOptions {
        provider: Provider::TensorRt { device: 0 },
        precision,
        batches: batches.to_vec(),
        ..SessionOptions::default()
    }
}

fn batches(batch: Dim, requested: &[usize]) -> Option<(usize, usize)> {
    let options = options(Precision::Fp32, requested);
    Profile::for_model(&model(batch, 1.0), &options).map(|profile| profile.batches)
}

#[test]
fn a_profile_holds_the_batches_that_will_be_run() {
    assert_eq!(batches("batch".into(), &[8, 1, 32]), Some((1, 32)));
    assert_eq!(batches("batch".into(), &[7]), Some((7, 7)));
    assert_eq!(batches("batch".into(), &[]), Some((1, USUAL_BATCH)));
    assert_eq!(batches(Dim::Unknown, &[0, 2]), Some((1, 2)));
    assert_eq!(batches(Dim::Fixed(4), &[4]), None, "the file fixes it");
}

#[test]
fn options_say_precision_profile_and_folder() {
    let profile = Profile::for_model(
        &model("batch".into(), 1.0),
        &options(Precision::Fp16, &[1, 8]),
    );
    let rtx = presets::tensorrt_rtx::options(profile.as_ref());
    let expected = [("min", 1), ("opt", 8), ("max", 8)].map(|(which, batch)| {
        let key = format!("NvTensorRTRTXExecutionProvider.nv_profile_{which}_shapes");
        (key, format!("input:{batch}x3x4x4"))
    });
    assert_eq!(rtx, expected);
    assert_eq!(presets::tensorrt_rtx::options(None), []);
    let mut request = presets::ProviderRequest {
        precision: Precision::Fp16,
        graph: true,
        tensorrt: EngineRequest {
            profile,
            folder: Some("engines/12ab".into()),
        },
        ..presets::ProviderRequest::default()
    };
    let text = |request: &presets::ProviderRequest| {
        format!("{:?}", preset(1, request)).replace(": ", ", ")
    };
    let whole = text(&request);
    for (name, value) in [
        ("device_id", "1"),
        ("trt_fp16_enable", "true"),
        ("trt_int8_enable", "false"),
        ("trt_cuda_graph_enable", "true"),
        ("trt_context_memory_sharing_enable", "true"),
        ("trt_profile_min_shapes", "input:1x3x4x4"),
        ("trt_profile_opt_shapes", "input:8x3x4x4"),
        ("trt_profile_max_shapes", "input:8x3x4x4"),
        ("trt_engine_cache_enable", "true"),
        ("trt_engine_cache_path", "engines/12ab"),
        ("trt_timing_cache_enable", "true"),
        ("trt_timing_cache_path", "engines/12ab"),
    ] {
        let expected = format!("{name:?}, {value:?}");
        assert!(whole.contains(&expected), "{expected}: {whole}");
    }
    request.tensorrt = EngineRequest::default();
    request.precision = Precision::Int8;
    let bare = text(&request);
    assert!(bare.contains(r#""trt_int8_enable", "true""#), "{bare}");
    assert!(
        !bare.contains("cache") && !bare.contains("profile"),
        "{bare}"
    );
}

#[test]
fn the_key_follows_the_weights_and_not_the_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let fp16 = options(Precision::Fp16, &[1]);
    let key_of = |gain: f32, options: &SessionOptions, gpu: &str| {
        model("batch".into(), gain).save(&path).unwrap();
        let mut document = Document::open(&path).unwrap();
        let profile = Profile::for_model(&document, options);
        key(&mut document, options, profile.as_ref(), gpu).unwrap()
    };
    let monday = key_of(1.0, &fp16, "H100 sm_90");
    assert_eq!(key_of(1.0, &fp16, "H100 sm_90"), monday);
    assert_ne!(key_of(2.0, &fp16, "H100 sm_90"), monday, "trained again");
    assert_ne!(key_of(1.0, &fp16, "A100 sm_80"), monday, "another GPU");
    let fp32 = options(Precision::Fp32, &[1]);
    assert_ne!(
        key_of(1.0, &fp32, "H100 sm_90"),
        monday,
        "another precision"
    );
    let eight = options(Precision::Fp16, &[8]);
    assert_ne!(key_of(1.0, &eight, "H100 sm_90"), monday, "other batches");
}

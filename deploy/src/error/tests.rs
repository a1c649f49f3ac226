//! Every error, as people read it.

use super::*;

fn catalogue() -> Vec<Error> {
    let library = Path::new("libonnxruntime.so");
    let model = Path::new("model.onnx");
    let image = Path::new("a.jpg");
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    let nodes = ["cpu: TopK `best`", "cuda: Softmax `last`, LRN `norm1`"].map(str::to_owned);
    vec![
        Error::runtime_load(library, "libstdc++.so.6 is missing".to_owned()),
        Error::runtime_differs(library, "other.so".as_ref()),
        Error::not_converted("fp32"),
        Error::no_calibration(),
        Error::provider_missing(
            "cuda:0",
            library,
            "CUDAExecutionProvider",
            "CPUExecutionProvider",
        ),
        Error::provider_failed("cuda:0", "no libcudnn.so.9"),
        Error::nodes_elsewhere("tensorrt:0", &nodes),
        Error::placement_unknown("cuda:0"),
        Error::precision_name("half"),
        Error::precision_unsupported("tf32", "cpu"),
        Error::precision_differs(model, "fp16", "fp32"),
        Error::Machine(machine::Error::ProviderName {
            text: "gpu".to_owned(),
        }),
        Error::Onnx(onnx::Error::Invalid {
            message: format!("`{}` is empty", model.display()),
            hint: Some("download or export the file again".to_owned()),
        }),
        Error::Pixels("sharpen(3)".parse::<pixels::Preprocess>().unwrap_err()),
        Error::Files(files::Error::writing("engines")(
            std::io::ErrorKind::StorageFull.into(),
        )),
        Error::model_load(model, "unknown operator Foo"),
        Error::model_newer(model, "1.28.0", "opset 26 or older", "opset 99"),
        Error::not_a_classifier(model, "an input [N, C, H, W]", "an input [1, 768]"),
        Error::no_card(model, "what its classes are called"),
        Error::class_count(model, 2, 3),
        Error::shape_differs(model, "[3, 224, 224]", "[1, 28, 28]"),
        Error::classes_differ(
            model,
            &names(&["ants", "bees"]),
            &names(&["ants", "bees", "wasps"]),
        ),
        Error::input_length(2, 96, 95),
        Error::batch_size(model, (1, 32), 64),
        Error::run("out of memory"),
        Error::run(
            "Non-zero status code returned while running Reshape node. Name:'/flatten' Status Message: \
             /onnxruntime_src/core/providers/cpu/tensor/reshape_helper.h:40 \
             onnxruntime::ReshapeHelper::ReshapeHelper(const TensorShape&, TensorShapeVector&, bool) \
             input_shape_size == size was false. The input tensor cannot be reshaped to the requested shape.",
        ),
        Error::no_images(),
        Error::unreadable(image, "truncated"),
        Error::no_golden(model),
        Error::not_tuned(model),
        Error::tuned_changed(model, "2026-11-30"),
        Error::tuned_elsewhere(model, "ONNX Runtime", "1.28.0", "1.29.0"),
        Error::tuned_damaged(
            "tuned/0a.json".as_ref(),
            &"it is not the file that was kept",
        ),
    ]
}

#[test]
fn every_error_reads_well() {
    let mut text = String::new();
    for error in catalogue() {
        text += &format!("{error}\n  hint: {}\n\n", error.hint().unwrap_or_default());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn an_error_says_what_it_is_about() {
    let count = |kind| catalogue().iter().filter(|e| e.kind() == kind).count();
    let kinds = [Kind::Runtime, Kind::Model, Kind::Image, Kind::Argument];
    assert_eq!(kinds.map(count), [7, 8, 2, 16]);
}

#[test]
#[cfg(feature = "eval")]
fn a_folder_that_is_not_there_keeps_its_hint() {
    let error = Error::from(data::Dataset::open("photos".as_ref(), 0).unwrap_err());
    assert_eq!(error.kind(), Kind::Image);
    assert!(error.hint().unwrap().contains("data folder"), "{error}");
}

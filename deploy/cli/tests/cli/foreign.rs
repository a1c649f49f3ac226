//! Models of other tools, whose files say little and may be damaged.

use fs_err as fs;
use onnx::{Document, Tensor};

use crate::support::{PREPROCESS, Run, deploy, flags, model, workshop};

/// Runs a command of the tiny model with its flags.
fn run(folder: &tempfile::TempDir, args: &[&str]) -> Run {
    deploy(folder.path()).args(args).args(flags()).run()
}

/// Writes a card into the model.
fn attach(folder: &tempfile::TempDir) -> Run {
    let args = ["card", "attach", "model.onnx", "--classes", "classes.txt"];
    deploy(folder.path())
        .args(args)
        .args(["--preprocess", PREPROCESS])
        .run()
}

#[test]
fn answers_that_are_not_finite_are_refused_and_the_image_is_named() {
    let folder = workshop();
    let path = folder.path().join("model.onnx");
    let mut document = model(1.0);
    let bias = Tensor::f32(&[2], vec![f32::NAN, 0.0]).unwrap();
    document.set_tensor("bias", &bias).unwrap();
    document.save(&path).unwrap();
    let first = "blue/0.png`: the model's answer is not finite";
    let predict = run(&folder, &["predict", "photos/test"]);
    predict.refused(first);
    assert_eq!(predict.out, "");
    run(&folder, &["eval", "--data", "photos"]).refused(first);
    let args = ["convert", "--precision", "fp16", "--data", "photos"];
    run(&folder, &args).refused(first);
    assert!(!folder.path().join("model.fp16.onnx").exists());
    let before = fs::read(&path).unwrap();
    attach(&folder).refused("`turned.jpg`: the model's answer is not finite");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_card_is_replaced() {
    let folder = workshop();
    let path = folder.path().join("model.onnx");
    assert_eq!(attach(&folder).code, 0);
    for (key, value) in [("golden", "[{\"logits\":[null]}]"), ("version", "9")] {
        let mut document = Document::open(&path).unwrap();
        let pair = (format!("classifier.{key}"), value.to_owned());
        document.set_metadata("", &[pair]);
        document.save(&path).unwrap();
        let check = || deploy(folder.path()).args(["check", "model.onnx"]).run();
        assert_eq!(check().code, 2, "{key}");
        let run = attach(&folder);
        assert_eq!(run.code, 0, "{}", run.err);
        assert_eq!(check().code, 0, "{key}");
    }
}

//! Model files that cannot be used.

use fs_err as fs;
use tests::{Workshop, shared, tiny_models};

/// From a picture to the input of the tiny models.
const STEPS: &str =
    "decode(rgb, exif)|resize(32, 32, bilinear, antialias)|scale(1/255)|layout(nchw, f32)";

/// What `deploy info`, `deploy eval` and `trainer fit --backbone` say of a file.
fn refusals(shop: &Workshop, model: &str) -> [String; 3] {
    let eval = format!("eval -q --data pictures --model {model}");
    [
        shop.deploy(&format!("info -q {model}")).run().refusal(),
        shop.deploy(&eval).run().refusal(),
        shop.fit(&format!("-q --backbone {model}")).run().refusal(),
    ]
}

#[test]
fn a_truncated_file() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 -q").run().ok();
    let bytes = fs::read(shop.path("runs/1/model.onnx")).unwrap();
    shop.write("cut.onnx", &bytes[..bytes.len() * 2 / 3]);
    let [info, eval, fit] = refusals(&shop, "cut.onnx");
    assert_eq!((&eval, &fit), (&info, &info.replace("`cut", "`[DIR]/cut")));
    let info = shop.deploy("info -q cut.onnx").run();
    insta::assert_snapshot!(info.refusal_without_numbers(), @r#"
    error: `cut.onnx` is cut off: [N] bytes expected, [N] found

    hint: download or export the file again
    "#);
}

#[test]
fn every_length_of_a_truncated_file() {
    let shop = Workshop::new();
    let bytes = fs::read(tiny_models::residual(&shop.path("tiny.onnx"))).unwrap();
    for length in (0..bytes.len()).step_by(bytes.len() / 12) {
        shop.write("cut.onnx", &bytes[..length]);
        let classes = shop.write("classes.txt", "a\nb\nc\nd\ne\n");
        let info = shop.deploy("info -q cut.onnx").run();
        let predict = shop.deploy("predict -q --model cut.onnx pictures/test --preprocess");
        let predict = predict.word(STEPS).args("--classes").path(&classes).run();
        for refused in [info.refusal(), predict.refusal()] {
            assert!(refused.contains("`cut.onnx`"), "{length}: {refused}");
        }
    }
}

#[test]
fn a_pointer_in_place_of_the_file() {
    let shop = Workshop::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:\
        4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6df52c\nsize 46820737\n";
    shop.write("pointer.onnx", pointer);
    let [info, eval, fit] = refusals(&shop, "pointer.onnx");
    insta::assert_snapshot!(info, @r#"
    error: `pointer.onnx` is a git-LFS pointer, not the model itself

    hint: run `git lfs pull` in the repository, or download the file itself
    "#);
    insta::assert_snapshot!(eval, @r#"
    error: `pointer.onnx` is a git-LFS pointer, not the model itself

    hint: run `git lfs pull` in the repository, or download the file itself
    "#);
    insta::assert_snapshot!(fit, @r#"
    error: `[DIR]/pointer.onnx` is a git-LFS pointer, not the model itself

    hint: run `git lfs pull` in the repository, or download the file itself
    "#);
}

#[test]
fn files_that_are_no_models() {
    let shop = Workshop::new();
    shop.write("text.onnx", "This is no model.\n");
    shop.write("empty.onnx", "");
    let [info, _, fit] = refusals(&shop, "text.onnx");
    insta::assert_snapshot!(info, @r#"
    error: `text.onnx` is not an ONNX model but a text file

    hint: give the `.onnx` file of the model
    "#);
    insta::assert_snapshot!(fit, @r#"
    error: `[DIR]/text.onnx` is not an ONNX model but a text file

    hint: give the `.onnx` file of the model
    "#);
    let [info, _, fit] = refusals(&shop, "empty.onnx");
    insta::assert_snapshot!(info, @r#"
    error: `empty.onnx` is empty

    hint: download or export the file again
    "#);
    insta::assert_snapshot!(fit, @r#"
    error: `[DIR]/empty.onnx` is empty

    hint: download or export the file again
    "#);
    let [info, eval, fit] = refusals(&shop, "none.onnx");
    insta::assert_snapshot!(info, @r#"
    error: `none.onnx` does not exist

    hint: check the path
    "#);
    insta::assert_snapshot!(eval, @r#"
    error: `none.onnx` does not exist

    hint: check the path
    "#);
    insta::assert_snapshot!(fit, @r#"
    error: `[DIR]/none.onnx` does not exist

    hint: check the path
    "#);
}

#[test]
fn missing_external_data() {
    let shop = Workshop::new();
    tiny_models::external(&shop.path("split.onnx"));
    let [info, eval, fit] = refusals(&shop, "split.onnx");
    insta::assert_snapshot!(info, @r#"
    error: the values of tensor `head.w` are missing: `./weights.bin` does not exist

    hint: the model keeps its weights in a second file: put `weights.bin` beside it
    "#);
    insta::assert_snapshot!(eval, @r#"
    error: the values of tensor `head.w` are missing: `./weights.bin` does not exist

    hint: the model keeps its weights in a second file: put `weights.bin` beside it
    "#);
    insta::assert_snapshot!(fit, @r#"
    error: the values of tensor `head.w` are missing: `[DIR]/weights.bin` does not exist

    hint: the model keeps its weights in a second file: put `weights.bin` beside it
    "#);
    let Some(bad) = shared::find("onnx/bad/missing_external_data.onnx") else {
        return;
    };
    fs::copy(bad, shop.path("mobilenet.onnx")).unwrap();
    let [info, eval, fit] = refusals(&shop, "mobilenet.onnx");
    insta::assert_snapshot!(info, @r#"
    error: the values of tensor `features.0.0.weight` are missing: `./mobilenet.onnx.data` does not exist

    hint: the model keeps its weights in a second file: put `mobilenet.onnx.data` beside it
    "#);
    assert_eq!(eval, info);
    assert_eq!(fit, info.replace("./", "[DIR]/"));
}

#[test]
fn a_model_that_is_no_classifier() {
    let shop = Workshop::new();
    tiny_models::filter(&shop.path("filter.onnx"));
    shop.write("classes.txt", "discs\nsquares\n");
    let eval = "eval -q --data pictures --model filter.onnx --classes classes.txt --preprocess";
    let eval = shop.deploy(eval).word(STEPS).run();
    insta::assert_snapshot!(eval.refusal(), @r#"
    error: `filter.onnx` is not an image classifier
      expected: an output [N, K]
      found:    an output [?, 3, 32, 32]

    hint: only classifiers with one image input and an output of class scores are run
    "#);
    let fit = shop.fit("-q --backbone filter.onnx").run();
    insta::assert_snapshot!(fit.refusal(), @r#"
    error: `[DIR]/filter.onnx` has no classification layer, and none of its outputs is known as features (filtered: Float [batch, 3, 32, 32])

    hint: take an image classifier, or name the value that holds the features [N, D] with `--cut-at`
    "#);
    shop.deploy("info filter.onnx").run().ok();
}

#[test]
fn a_classifier_without_a_card() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    let eval = "eval -q --data pictures --model tiny.onnx";
    insta::assert_snapshot!(shop.deploy(eval).run().refusal(), @r#"
    error: `tiny.onnx` does not say what its classes are called: it carries no model card

    hint: write it into the file with `deploy card attach`, or give `--classes FILE` and `--preprocess TEXT`
    "#);
}

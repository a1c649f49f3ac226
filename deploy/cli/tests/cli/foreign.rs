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

/// The tiny model with a node behind its logits.
fn ending_in(folder: &tempfile::TempDir, op: &str) {
    let mut document = model(3.0);
    let graph = document.graph_mut();
    let scores = graph.output[0].name().to_owned();
    graph.node.last_mut().unwrap().output[0] = "before".into();
    let end = onnx::node(op, "end", &["before"], &[&scores], vec![]);
    graph.node.push(end);
    document.save(&folder.path().join("model.onnx")).unwrap();
}

#[test]
fn what_the_output_means_is_said_and_can_be_overruled() {
    let folder = workshop();
    // Red 200 of 255 and no blue: logits 2.353 and 0. In Python: sigmoid 0.9132 and 0.5, softmax 0.9132.
    let predict = |kind: &[&str]| {
        let args = ["predict", "photos/test/red/0.png", "--top-k", "2"];
        let run = run(&folder, &[&args, kind].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        (run.out, run.err)
    };
    let answer = |text: &str| format!("photos/test/red/0.png: {text}\n");
    for (op, said, expected) in [
        ("Identity", "logits: no softmax", "red 91.3 %, blue 8.7 %"),
        (
            "Softmax",
            "probabilities: for drawn",
            "red 91.3 %, blue 8.7 %",
        ),
        (
            "Sigmoid",
            "independent: a sigmoid",
            "red 91.3 %, blue 50.0 %",
        ),
    ] {
        ending_in(&folder, op);
        let (out, err) = predict(&[]);
        assert_eq!(out, answer(expected), "{op}");
        let said = format!("its output is read as {said}");
        assert!(err.contains(&said), "{op}: {err}");
    }
    let (out, err) = predict(&["--output-kind", "probabilities"]);
    assert_eq!(out, answer("red 64.6 %, blue 35.4 %"));
    assert!(!err.contains("is read as"), "{err}");
    assert_eq!(attach(&folder).code, 0);
    let info = deploy(folder.path()).args(["info", "model.onnx"]).run();
    assert!(info.out.contains("meaning     independent"), "{}", info.out);
}

#[test]
fn one_of_several_outputs_is_chosen_and_written_into_the_card() {
    let folder = workshop();
    let path = folder.path().join("model.onnx");
    let mut document = model(10.0);
    let graph = document.graph_mut();
    let scores = graph.output[0].clone();
    let turned = onnx::node("Neg", "turn", &[scores.name()], &["turned"], vec![]);
    graph.node.push(turned);
    let mut output = scores.clone();
    output.name = Some("turned".into());
    graph.output.insert(0, output);
    document.save(&path).unwrap();

    let predict = ["predict", "photos/test/red/0.png"];
    let refused = run(&folder, &predict);
    refused.refused("has several outputs");
    assert!(
        refused.err.contains("`--output NAME`, such as `turned`"),
        "{}",
        refused.err
    );
    let chosen = run(
        &folder,
        &[&predict[..], &["--output", scores.name()]].concat(),
    );
    assert_eq!(chosen.out, "photos/test/red/0.png: red 100.0 %\n");
    run(&folder, &[&predict[..], &["--output", "x"]].concat()).refused("has no such output");

    let args = [
        "card",
        "attach",
        "model.onnx",
        "--classes",
        "classes.txt",
        "--output",
        "turned",
    ];
    let run = deploy(folder.path())
        .args(args)
        .args(["--preprocess", PREPROCESS])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    let args = ["predict", "photos/test/red/0.png", "--model", "model.onnx"];
    let by_card = deploy(folder.path()).args(args).run();
    assert_eq!(by_card.out, "photos/test/red/0.png: blue 100.0 %\n");
    assert_eq!(
        deploy(folder.path())
            .args(["check", "model.onnx"])
            .run()
            .code,
        0
    );
}

#[test]
fn a_batch_of_one_left_in_the_graph_is_run_one_by_one_everywhere() {
    let folder = workshop();
    model(10.0).save(&folder.path().join("good.onnx")).unwrap();
    let mut document = model(10.0);
    let graph = document.graph_mut();
    let shape = Tensor::i64(&[2], vec![1, -1]).unwrap();
    graph.initializer.push(shape.to_proto("shape"));
    let flatten = graph
        .node
        .iter_mut()
        .find(|node| node.op_type() == "Flatten");
    let flatten = flatten.unwrap();
    flatten.op_type = Some("Reshape".into());
    flatten.attribute.clear();
    flatten.input.push("shape".into());
    document.save(&folder.path().join("model.onnx")).unwrap();

    let said = "images are run one by one: its batch axis is open, but two images fail";
    let eval = run(&folder, &["eval", "--data", "photos", "--json", "-"]);
    assert!(eval.out.contains("\"accuracy\": 0.75"), "{}", eval.err);
    assert!(eval.err.contains(said), "{}", eval.err);
    for precision in ["fp16", "int8"] {
        let args = ["convert", "--precision", precision, "--data", "photos"];
        let convert = run(&folder, &args);
        assert_eq!(convert.code, 0, "{}", convert.err);
        assert!(convert.out.contains("none of 8 images"), "{}", convert.out);
    }
    assert_eq!(attach(&folder).code, 0);
    let check = deploy(folder.path()).args(["check", "model.onnx"]).run();
    assert_eq!(check.code, 0, "{}", check.err);
    assert!(check.err.contains(said), "{}", check.err);
    let args = ["diff", "good.onnx", "model.onnx", "--data", "photos"];
    let facts = ["--classes", "classes.txt", "--preprocess", PREPROCESS];
    let diff = deploy(folder.path()).args(args).args(facts).run();
    assert!(diff.out.contains("none of 8 images"), "{}", diff.err);
    assert!(
        diff.err.contains(&format!("`model.onnx`: {said}")),
        "{}",
        diff.err
    );
}

#[test]
fn names_of_ultralytics_are_shown_and_used() {
    let folder = workshop();
    let path = folder.path().join("model.onnx");
    let mut document = model(10.0);
    let names = "{0: 'red', 1: 'blue'}".to_owned();
    document.set_metadata("", &[("names".to_owned(), names)]);
    document.save(&path).unwrap();
    let info = deploy(folder.path()).args(["info", "model.onnx"]).run();
    let line = "classes     2: red, blue (by its metadata `names`)";
    assert!(info.out.contains(line), "{}", info.out);
    let args = ["predict", "photos/test/red/0.png", "--model", "model.onnx"];
    let predict = deploy(folder.path()).args(args);
    let predict = predict.args(["--preprocess", PREPROCESS]).run();
    assert_eq!(
        predict.out, "photos/test/red/0.png: red 100.0 %\n",
        "{}",
        predict.err
    );
    let args = ["card", "attach", "model.onnx", "--preprocess", PREPROCESS];
    assert_eq!(deploy(folder.path()).args(args).run().code, 0);
    let info = deploy(folder.path()).args(["info", "model.onnx"]).run();
    assert!(
        info.out.contains("classes     2: red, blue\n"),
        "{}",
        info.out
    );
}

//! Answers that do not depend on the other images of a run, and graphs that are freed from a fixed batch.

use std::path::Path;

use classifold::convert::dynamic_batch;
use classifold::{Classifier, Session, SessionOptions, golden};
use onnx::proto::DataType;
use onnx::{Attr, Dim, Document, GraphBuilder, ModelFile, ModelInfo, Tensor};

use crate::support::{Tiny, flat, installed};

/// Red and blue scores of the mean colour `[N, 3, 1, 1]`, on whose way `between` stands.
fn model(batch: &Dim, between: impl Fn(&mut GraphBuilder, &str) -> String) -> Document {
    let mut graph = GraphBuilder::new("between");
    let dims = [batch.clone(), 3.into(), 4.into(), 4.into()];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    let x = between(&mut graph, &x);
    let rows = vec![10.0, 0.0, 0.0, 0.0, 0.0, 10.0];
    let weight = graph.initializer("weight", &Tensor::f32(&[2, 3], rows).unwrap());
    let bias = graph.initializer("bias", &Tensor::f32(&[2], vec![0.0; 2]).unwrap());
    let y = graph.gemm("fc", &x, &weight, &bias);
    graph.output(&y, "logits", DataType::Float, &[batch.clone(), 2.into()]);
    let mut document = graph.finish(&ModelInfo::default()).unwrap();
    document.set_metadata(classifold::card::PREFIX, &Tiny::default().card().to_pairs());
    document
}

fn open(document: &Document, folder: &Path) -> Classifier {
    let path = folder.join("model.onnx");
    document.save(&path).unwrap();
    let builder = Classifier::builder(&path).runtime(installed().clone());
    builder.threads(1).open().unwrap()
}

/// Values in 8-bit integers of the range that all values of a run have.
fn dynamic_quantisation(graph: &mut GraphBuilder, x: &str) -> String {
    let x = graph.flatten("flatten", x);
    let outputs = ["quantized", "scale", "zero"];
    let name = "quantize";
    graph.push(onnx::node(
        "DynamicQuantizeLinear",
        name,
        &[&x],
        &outputs,
        vec![],
    ));
    graph.node("DequantizeLinear", "dequantize", &outputs, vec![])
}

#[test]
fn a_dynamically_quantised_model_answers_an_image_by_that_image_alone() {
    let folder = tempfile::tempdir().unwrap();
    for batch in ["batch".into(), Dim::Fixed(3)] {
        let classifier = open(&model(&batch, dynamic_quantisation), folder.path());
        assert_eq!(
            classifier.notes(),
            [
                "`DynamicQuantizeLinear` takes its numbers from all images of a run: they are run one at a time"
            ]
        );
        // Beside the bright image, all numbers of the dark ones are 0 or 1 of 255.
        let images = [flat(2, 1), flat(255, 255), flat(1, 2)];
        let prepared = images.map(|image| classifier.prepare(&image).unwrap());
        let together = classifier.run(&prepared.concat(), 3).unwrap();
        let alone = prepared
            .map(|image| classifier.run(&image, 1).unwrap())
            .concat();
        assert_eq!(together, alone, "{batch:?}");
        assert!(
            together[0] > together[1] && together[4] < together[5],
            "{together:?}"
        );
        assert_eq!(
            classifier.preferred_batch(),
            if batch == Dim::Fixed(3) { 3 } else { 1 }
        );
        assert!(golden::check_batch(&classifier).unwrap().ok);
    }
}

/// Values less the mean of all images of a run.
fn less_the_mean(graph: &mut GraphBuilder, x: &str) -> String {
    let x = graph.flatten("flatten", x);
    let axes = vec![("axes", Attr::Ints(vec![0]))];
    let mean = graph.node("ReduceMean", "mean", &[&x], axes);
    graph.node("Sub", "less", &[&x, &mean], vec![])
}

#[test]
fn a_model_whose_answers_depend_on_the_batch_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let classifier = open(&model(&"batch".into(), less_the_mean), folder.path());
    let found = golden::check_batch(&classifier).unwrap();
    assert!(!found.ok && found.difference > 0.1, "{found:?}");
    let in_training = |graph: &mut GraphBuilder, x: &str| {
        let mut inputs = vec![x.to_owned()];
        for (name, value) in [("scale", 1.0), ("shift", 0.0), ("mean", 0.3), ("var", 0.1)] {
            let vector = Tensor::f32(&[3], vec![value; 3]).unwrap();
            inputs.push(graph.initializer(name, &vector));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![("training_mode", Attr::Int(1))];
        let outputs = ["normed", "new_mean", "new_var"];
        let norm = "BatchNormalization";
        graph.push(onnx::node(norm, "norm", &inputs, &outputs, attributes));
        graph.flatten("flatten", outputs[0])
    };
    let classifier = open(&model(&"batch".into(), in_training), folder.path());
    assert!(
        classifier.notes()[0].contains("training mode"),
        "{:?}",
        classifier.notes()
    );
    assert!(!golden::check_batch(&classifier).unwrap().ok);
    let plain = |graph: &mut GraphBuilder, x: &str| graph.flatten("flatten", x);
    let classifier = open(&model(&"batch".into(), plain), folder.path());
    assert!(golden::check_batch(&classifier).unwrap().ok);
}

#[test]
fn averages_over_the_edge_are_pytorchs_or_the_user_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let logits = |classifier: &Classifier| {
        let image = classifier.prepare(&flat(1, 200)).unwrap();
        classifier.run(&image, 1).unwrap()
    };
    let plain = |graph: &mut GraphBuilder, x: &str| graph.flatten("flatten", x);
    let expected = logits(&open(&model(&"batch".into(), plain), folder.path()));
    // The one pixel and three beyond the image, which PyTorch leaves out.
    let beyond = |graph: &mut GraphBuilder, x: &str| {
        let attributes = vec![
            ("kernel_shape", Attr::Ints(vec![2, 2])),
            ("strides", Attr::Ints(vec![2, 2])),
            ("ceil_mode", Attr::Int(1)),
            ("count_include_pad", Attr::Int(1)),
        ];
        let x = graph.node("AveragePool", "edge", &[x], attributes);
        graph.flatten("flatten", &x)
    };
    let classifier = open(&model(&"batch".into(), beyond), folder.path());
    let is_told = classifier
        .notes()
        .iter()
        .any(|note| note.contains("`edge`"));
    // The pinned version is an old one.
    assert!(is_told || !installed().version.starts_with("1.28."));
    assert_eq!(
        logits(&classifier) != expected,
        is_told,
        "{:?}",
        classifier.notes()
    );
}

#[test]
fn a_graph_is_freed_from_its_batch_only_where_two_images_give_their_two_rows() {
    classifold::runtime::load(installed()).unwrap();
    // As PyTorch's newer exporter writes it.
    let reshape = |graph: &mut GraphBuilder, x: &str| {
        let shape = graph.initializer("shape", &Tensor::i64(&[2], vec![1, 3]).unwrap());
        let attributes = vec![("allowzero", Attr::Int(1))];
        graph.node("Reshape", "flat", &[x, &shape], attributes)
    };
    // All images become one: the mean of two images is one row.
    let merge = |graph: &mut GraphBuilder, x: &str| {
        let shape = graph.initializer("shape", &Tensor::i64(&[3], vec![1, 3, -1]).unwrap());
        let ones = graph.initializer("ones", &Tensor::f32(&[3], vec![1.0; 3]).unwrap());
        // The weight has the shape, too, so that the constant must stay.
        let ones = graph.node("Reshape", "ones_3d", &[&ones, &shape], vec![]);
        let x = graph.node("Reshape", "merged", &[x, &shape], vec![]);
        let x = graph.node("Mul", "times_one", &[&x, &ones], vec![]);
        let attributes = vec![("axes", Attr::Ints(vec![2])), ("keepdims", Attr::Int(0))];
        graph.node("ReduceMean", "mean", &[&x], attributes)
    };
    let file = |document: Document| ModelFile::from_bytes(document.to_bytes()).unwrap();
    let fixed = model(&Dim::Fixed(1), reshape);
    let freed = file(
        dynamic_batch(&fixed, None)
            .unwrap()
            .expect("it can be freed"),
    );
    let options = SessionOptions::default();
    let images: Vec<f32> = (0..2 * 48).map(|i| i as f32 / 96.0).collect();
    let [expected, found] = [&file(fixed), &freed].map(|file| {
        let mut session = Session::from_file(file, &options).unwrap();
        session.run(&images, 2).unwrap()
    });
    assert_eq!(expected, found);
    // However small the scores are.
    let small = |graph: &mut GraphBuilder, x: &str| {
        let factor = graph.initializer("factor", &Tensor::f32(&[], vec![1e-4]).unwrap());
        let x = graph.node("Mul", "small", &[x, &factor], vec![]);
        less_the_mean(graph, &x)
    };
    let one = Dim::Fixed(1);
    for wrong in [
        model(&one, merge),
        model(&one, less_the_mean),
        model(&one, small),
    ] {
        assert!(dynamic_batch(&wrong, None).unwrap().is_none());
    }
}

//! Several outputs, shapes of outputs, optional inputs, and a batch that only the input leaves open.

use classifold::{Batch, Classifier, ClassifierBuilder, Model, Session, SessionOptions};
use fs_err as fs;
use onnx::proto::{DataType, MetadataEntryProto, TypeProto, ValueInfoProto, type_proto};
use onnx::{Attr, Dim, Document, GraphBuilder, ModelInfo, Tensor};

use crate::support::{Tiny, flat, installed};

const CLASSES: [&str; 3] = ["red", "green", "blue"];

/// A graph whose value `means` is the mean red, green and blue of each image, `[N, 3]`.
fn means(batch: Dim) -> GraphBuilder {
    let mut graph = GraphBuilder::new("means");
    let dims = [batch, 3.into(), 4.into(), 4.into()];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    graph.flatten("means", &x);
    graph
}

fn finish(graph: GraphBuilder) -> Document {
    graph.finish(&ModelInfo::default()).unwrap()
}

fn builder(folder: &tempfile::TempDir, document: &Document) -> ClassifierBuilder {
    let path = folder.path().join("model.onnx");
    fs::write(&path, document.to_bytes()).unwrap();
    Classifier::builder(&path)
        .runtime(installed().clone())
        .classes(CLASSES.map(String::from).to_vec())
        .preprocess(Tiny::default().preprocess())
        .threads(1)
}

/// Three images in one run: red, blue, and more red than blue.
fn labels(classifier: &Classifier) -> Vec<String> {
    let images = [(255, 0), (0, 255), (200, 100)];
    let mut prepared = Vec::new();
    for (red, blue) in images {
        prepared.extend(classifier.prepare(&flat(red, blue)).unwrap());
    }
    let logits = classifier.logits(&prepared, images.len()).unwrap();
    let rows = logits.chunks_exact(classifier.classes().len());
    rows.map(|row| classifier.decide(row).unwrap().label)
        .collect()
}

/// Features `[N, 8]`, a label, logits, and the logits of an auxiliary head that are turned around.
fn several() -> Document {
    let mut graph = means("batch".into());
    let weight = graph.initializer("weight", &Tensor::f32(&[3, 8], vec![1.0; 24]).unwrap());
    graph.node("MatMul", "features", &["means", &weight], vec![]);
    graph.node("Neg", "aux", &["means"], vec![]);
    let axis = vec![("axis", Attr::Int(1)), ("keepdims", Attr::Int(0))];
    graph.node("ArgMax", "label", &["means"], axis);
    let batch = || Dim::from("batch");
    graph.output(
        "features",
        "features",
        DataType::Float,
        &[batch(), 8.into()],
    );
    graph.output("label", "label", DataType::Int64, &[batch()]);
    graph.output("means", "logits", DataType::Float, &[batch(), 3.into()]);
    graph.output("aux", "aux", DataType::Float, &[batch(), 3.into()]);
    finish(graph)
}

#[test]
fn one_of_several_outputs_is_chosen_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let document = several();
    let names: Vec<String> = document.outputs().into_iter().map(|o| o.name).collect();
    let [features, label, logits, aux] = names.as_slice() else {
        panic!("{names:?}");
    };
    let open = |name: &str| builder(&folder, &document).output(name).open();
    assert_eq!(labels(&open(logits).unwrap()), ["red", "blue", "red"]);
    assert_eq!(labels(&open(aux).unwrap()), ["blue", "red", "green"]);

    let error = builder(&folder, &document).open().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("has several outputs\n  expected: one"),
        "{text}"
    );
    let hint = error.hint().unwrap();
    assert!(hint.ends_with(&format!("such as `{logits}`")), "{hint}");
    let error = open("nothing").unwrap_err().to_string();
    assert!(
        error.contains("expected: `nothing`\n  found:    4: "),
        "{error}"
    );
    let error = open(label).unwrap_err().to_string();
    assert!(error.contains("is not an image classifier"), "{error}");
    let error = open(features).unwrap_err().to_string();
    assert!(
        error.contains("expected: 8 names\n  found:    3"),
        "{error}"
    );
}

#[test]
fn the_only_output_that_can_be_scores_needs_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = several();
    document.graph_mut().output.pop();
    let classifier = builder(&folder, &document).open().unwrap();
    assert_eq!(labels(&classifier), ["red", "blue", "red"]);
    let note = format!("`{}` is the output of class scores", classifier.output());
    assert!(
        classifier.notes()[0].starts_with(&note),
        "{:?}",
        classifier.notes()
    );
}

#[test]
fn class_scores_may_have_other_shapes() {
    let shapes: [(Dim, &[i64], Vec<Dim>, Batch); 5] = [
        (
            "batch".into(),
            &[-1, 1, 1, 3],
            vec!["batch".into(), 1.into(), 1.into(), 3.into()],
            Batch::Dynamic,
        ),
        (
            "batch".into(),
            &[-1, 3, 1, 1],
            vec!["batch".into(), 3.into(), 1.into(), 1.into()],
            Batch::Dynamic,
        ),
        (1.into(), &[3], vec![3.into()], Batch::Fixed(1)),
        ("batch".into(), &[3], vec![3.into()], Batch::Fixed(1)),
        (
            1.into(),
            &[1, 1, 3],
            vec![1.into(), 1.into(), 3.into()],
            Batch::Fixed(1),
        ),
    ];
    for (batch, reshape, dims, expected) in shapes {
        let folder = tempfile::tempdir().unwrap();
        let mut graph = means(batch);
        let shape = Tensor::i64(&[reshape.len()], reshape.to_vec()).unwrap();
        let shape = graph.initializer("shape", &shape);
        let y = graph.node("Reshape", "scores", &["means", &shape], vec![]);
        graph.output(&y, "scores", DataType::Float, &dims);
        let document = finish(graph);
        let classifier = builder(&folder, &document).open().unwrap();
        assert_eq!(labels(&classifier), ["red", "blue", "red"], "{reshape:?}");
        let mut session = Session::open(classifier.path(), &SessionOptions::default()).unwrap();
        assert_eq!(session.batch(), expected, "{reshape:?}");
        // Buffers of fixed shapes know the axes, too.
        let mut bound = session.bind(1, classifold::Feed::Host).unwrap();
        bound
            .fill(&classifier.prepare(&flat(0, 255)).unwrap())
            .unwrap();
        bound.run().unwrap();
        assert_eq!(bound.outputs().unwrap()[2], 1.0, "{reshape:?}");
    }
}

#[test]
fn a_shape_that_is_known_after_a_run_alone_is_found_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut graph = means("batch".into());
    // ONNX Runtime does not follow a shape through `Abs`.
    graph.node("Shape", "shape", &["means"], vec![]);
    graph.node("Abs", "same", &["shape"], vec![]);
    let y = graph.node("Reshape", "scores", &["means", "same"], vec![]);
    let dims = ["batch".into(), "classes".into()];
    graph.output(&y, "scores", DataType::Float, &dims);
    let classifier = builder(&folder, &finish(graph)).open().unwrap();
    assert_eq!(labels(&classifier), ["red", "blue", "red"]);
    let session = Session::open(classifier.path(), &SessionOptions::default()).unwrap();
    assert_eq!(classifold::engine::Engine::num_outputs(&session), 3);
}

#[test]
fn one_number_for_each_image_needs_no_second_axis() {
    let folder = tempfile::tempdir().unwrap();
    let mut graph = means("batch".into());
    let two = graph.initializer("two", &Tensor::i64(&[], vec![2]).unwrap());
    let x = graph.node(
        "Gather",
        "blue",
        &["means", &two],
        vec![("axis", Attr::Int(1))],
    );
    let y = graph.node("Sigmoid", "score", &[&x], vec![]);
    graph.output(&y, "score", DataType::Float, &["batch".into()]);
    let builder = builder(&folder, &finish(graph)).classes(vec!["other".into(), "blue".into()]);
    let classifier = builder.open().unwrap();
    assert_eq!(classifier.preferred_batch(), 8);
    // The sigmoid of no blue is 0.5, a tie, in which the first class wins.
    assert_eq!(labels(&classifier), ["other", "blue", "blue"]);
}

#[test]
fn an_optional_input_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut graph = means("batch".into());
    graph.output(
        "means",
        "logits",
        DataType::Float,
        &["batch".into(), 3.into()],
    );
    let mut document = finish(graph);
    let tensor = document.graph().input[0].r#type.clone();
    let optional = type_proto::Optional {
        elem_type: tensor.map(Box::new),
    };
    let mask = ValueInfoProto {
        name: Some("mask".into()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::OptionalType(optional)),
            denotation: None,
        }),
        ..Default::default()
    };
    document.graph_mut().input.insert(0, mask);
    let classifier = builder(&folder, &document).open().unwrap();
    assert_eq!(labels(&classifier), ["red", "blue", "red"]);
}

#[test]
fn names_of_ultralytics_are_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let mut graph = means("batch".into());
    graph.output(
        "means",
        "logits",
        DataType::Float,
        &["batch".into(), 3.into()],
    );
    let mut document = finish(graph);
    document.model.metadata_props = vec![MetadataEntryProto {
        key: Some("names".into()),
        value: Some("{0: 'ants', 1: \"bee's\", 2: 'cats'}".into()),
    }];
    let path = folder.path().join("model.onnx");
    document.save(&path).unwrap();
    let open = || {
        let builder = Classifier::builder(&path).runtime(installed().clone());
        builder.preprocess(Tiny::default().preprocess())
    };
    assert_eq!(open().open().unwrap().classes(), ["ants", "bee's", "cats"]);
    let named = open().classes(CLASSES.map(String::from).to_vec());
    assert_eq!(named.open().unwrap().classes(), CLASSES);
    assert_eq!(Model::open(&path).unwrap().class_names().unwrap().len(), 3);
}

#[test]
fn a_batch_of_one_under_an_open_axis_runs_images_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut graph = means("batch".into());
    let shape = graph.initializer("shape", &Tensor::i64(&[2], vec![1, -1]).unwrap());
    let x = graph.node("Reshape", "flat", &["means", &shape], vec![]);
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let weight = graph.initializer("weight", &Tensor::f32(&[3, 3], identity.to_vec()).unwrap());
    let y = graph.node("MatMul", "logits", &[&x, &weight], vec![]);
    graph.output(&y, "logits", DataType::Float, &["batch".into(), 3.into()]);
    let document = finish(graph);
    for parallel in [false, true] {
        let builder = builder(&folder, &document);
        let builder = if parallel {
            builder.parallel(2)
        } else {
            builder
        };
        let classifier = builder.open().unwrap();
        assert_eq!(classifier.preferred_batch(), 1);
        assert_eq!(labels(&classifier), ["red", "blue", "red"]);
        let note = &classifier.notes()[0];
        assert!(
            note.starts_with("images are run one by one: its batch"),
            "{note}"
        );
    }
    // No error, but one row for all images.
    let mut graph = means("batch".into());
    let axes = graph.initializer("axes", &Tensor::i64(&[1], vec![0]).unwrap());
    let keep = vec![("keepdims", Attr::Int(1))];
    let y = graph.node("ReduceSum", "logits", &["means", &axes], keep);
    graph.output(&y, "logits", DataType::Float, &["batch".into(), 3.into()]);
    let classifier = builder(&folder, &finish(graph)).open().unwrap();
    assert_eq!(labels(&classifier), ["red", "blue", "red"]);
}

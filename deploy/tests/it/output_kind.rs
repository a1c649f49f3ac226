//! What an output means: softmax and sigmoid wherever they stand in the graph, and no answer changed by a guess.

use classifold::card::OutputKind;
use classifold::{Classifier, ClassifierBuilder};
use fs_err as fs;
use onnx::proto::{DataType, FunctionProto, ModelProto, OperatorSetIdProto};
use onnx::{Attr, GraphBuilder, ModelInfo, Tensor};

use crate::support::{Tiny, flat, installed};

/// Adds the end of a graph behind the logits `[N, 3]`; gives the output's name.
type Ending = fn(&mut GraphBuilder, &str) -> String;

/// A classifier of three classes: the mean red, green and blue, 0 to 3, then `ending`.
fn model(ending: Ending) -> ModelProto {
    let mut graph = GraphBuilder::new("tiny");
    let dims = ["batch".into(), 3.into(), 4.into(), 4.into()];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let three = graph.initializer("three", &Tensor::f32(&[], vec![3.0]).unwrap());
    let x = graph.node("Mul", "logits", &[&x, &three], vec![]);
    let y = ending(&mut graph, &x);
    graph.output(&y, &y, DataType::Float, &["batch".into(), "classes".into()]);
    graph.finish(&ModelInfo::default()).unwrap().model
}

fn builder(folder: &tempfile::TempDir, model: &ModelProto, classes: &[&str]) -> ClassifierBuilder {
    let path = folder.path().join("model.onnx");
    let document = onnx::Document::from_model(model.clone());
    fs::write(&path, document.to_bytes()).unwrap();
    Classifier::builder(&path)
        .runtime(installed().clone())
        .classes(classes.iter().map(ToString::to_string).collect())
        .preprocess(Tiny::default().preprocess())
        .threads(1)
}

fn probabilities(classifier: &Classifier) -> Vec<f32> {
    let image = classifier.prepare(&flat(250, 40)).unwrap();
    let logits = classifier.logits(&image, 1).unwrap();
    classifier.decide(&logits).unwrap().probabilities
}

fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{what}: {found:?} and {expected:?}");
    }
}

fn node(
    graph: &mut GraphBuilder,
    op: &str,
    inputs: &[&str],
    attributes: Vec<(&str, Attr)>,
) -> String {
    graph.node(op, op, inputs, attributes)
}

fn ints(graph: &mut GraphBuilder, name: &str, values: &[i64]) -> String {
    let tensor = Tensor::i64(&[values.len()], values.to_vec()).unwrap();
    graph.initializer(name, &tensor)
}

fn number(graph: &mut GraphBuilder, name: &str, value: f32) -> String {
    graph.initializer(name, &Tensor::f32(&[], vec![value]).unwrap())
}

fn softmax(graph: &mut GraphBuilder, x: &str) -> String {
    node(graph, "Softmax", &[x], vec![("axis", Attr::Int(1))])
}

fn sliced(graph: &mut GraphBuilder, x: &str, end: i64) -> String {
    let [starts, ends, axes] = [("starts", 0), ("ends", end), ("axes", 1)]
        .map(|(name, value)| ints(graph, name, &[value]));
    node(graph, "Slice", &[x, &starts, &ends, &axes], vec![])
}

const ENDINGS: [(&str, Ending); 8] = [
    ("none", |_, x| x.to_owned()),
    ("softmax", softmax),
    ("clip", |graph, x| {
        let y = softmax(graph, x);
        let [low, high] = [("low", 0.0), ("high", 1.0)].map(|(name, v)| number(graph, name, v));
        node(graph, "Clip", &[&y, &low, &high], vec![])
    }),
    ("per cent", |graph, x| {
        let y = softmax(graph, x);
        let hundredth = number(graph, "hundredth", 0.01);
        node(graph, "Div", &[&y, &hundredth], vec![])
    }),
    ("slice", |graph, x| {
        let y = softmax(graph, x);
        sliced(graph, &y, 3)
    }),
    ("gather", |graph, x| {
        let y = softmax(graph, x);
        let order = ints(graph, "order", &[0, 1, 2]);
        node(graph, "Gather", &[&y, &order], vec![("axis", Attr::Int(1))])
    }),
    ("transpose", |graph, x| {
        let turn = || vec![("perm", Attr::Ints(vec![1, 0]))];
        let y = graph.node("Transpose", "turn", &[x], turn());
        let y = node(graph, "Softmax", &[&y], vec![("axis", Attr::Int(0))]);
        graph.node("Transpose", "turn back", &[&y], turn())
    }),
    ("written out", |graph, x| {
        let e = node(graph, "Exp", &[x], vec![]);
        let axes = ints(graph, "axes", &[1]);
        let sum = node(graph, "ReduceSum", &[&e, &axes], vec![]);
        node(graph, "Div", &[&e, &sum], vec![])
    }),
];

#[test]
fn a_softmax_is_not_applied_twice_wherever_it_stands() {
    let classes = ["red", "green", "blue"];
    let mut expected = None;
    for (name, ending) in ENDINGS {
        let folder = tempfile::tempdir().unwrap();
        let classifier = builder(&folder, &model(ending), &classes).open().unwrap();
        let kind = match name {
            "none" => OutputKind::Logits,
            _ => OutputKind::Probabilities,
        };
        assert_eq!(classifier.output_kind(), kind, "{name}");
        assert_eq!(classifier.notes().len(), 1, "{name}");
        let found = probabilities(&classifier);
        assert_near(&found, expected.get_or_insert(found.clone()), name);
    }
    // torch.tensor([250., 9, 40], dtype=torch.float64).div(85).softmax(0)
    assert_near(
        &expected.unwrap(),
        &[0.8747097, 0.0513466, 0.0739437],
        "torch",
    );
}

#[test]
fn a_softmax_inside_a_function_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model(|graph, x| node(graph, "Identity", &[x], vec![]));
    let end = model.graph.as_mut().unwrap().node.last_mut().unwrap();
    end.op_type = Some("Head".into());
    end.domain = Some("local".into());
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.into()),
        version: Some(version),
    };
    model.opset_import.push(opset("local", 1));
    model.functions.push(FunctionProto {
        name: Some("Head".into()),
        domain: Some("local".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: vec![onnx::node("Sigmoid", "s", &["a"], &["b"], vec![])],
        opset_import: vec![opset("", 17)],
        ..Default::default()
    });
    let classes = ["red", "green", "blue"];
    let classifier = builder(&folder, &model, &classes).open().unwrap();
    assert_eq!(classifier.output_kind(), OutputKind::Independent);
    model.functions[0].node[0].op_type = Some("Softmax".into());
    let classifier = builder(&folder, &model, &classes).open().unwrap();
    assert_eq!(classifier.output_kind(), OutputKind::Probabilities);
}

#[test]
fn several_sigmoids_and_a_part_of_a_softmax_are_shown_as_they_are() {
    let endings: [(Ending, &[&str]); 3] = [
        (
            |graph, x| node(graph, "Sigmoid", &[x], vec![]),
            &["red", "green", "blue"],
        ),
        (
            |graph, x| {
                let x = node(graph, "Neg", &[x], vec![]);
                let e = node(graph, "Exp", &[&x], vec![]);
                let one = number(graph, "one", 1.0);
                let sum = node(graph, "Add", &[&e, &one], vec![]);
                node(graph, "Reciprocal", &[&sum], vec![])
            },
            &["red", "green", "blue"],
        ),
        (
            |graph, x| {
                let y = softmax(graph, x);
                sliced(graph, &y, 2)
            },
            &["red", "green"],
        ),
    ];
    for (ending, classes) in endings {
        let folder = tempfile::tempdir().unwrap();
        let model = model(ending);
        let classifier = builder(&folder, &model, classes).open().unwrap();
        assert_eq!(classifier.output_kind(), OutputKind::Independent);
        let outputs = classifier.run(&classifier.prepare(&flat(250, 40)).unwrap(), 1);
        let outputs = outputs.unwrap();
        assert_near(&probabilities(&classifier), &outputs, "as they are");
        // The caller knows better.
        let chosen = builder(&folder, &model, classes).output_kind(OutputKind::Probabilities);
        let chosen = chosen.open().unwrap();
        let sum: f32 = outputs.iter().sum();
        let divided: Vec<f32> = outputs.iter().map(|p| p / sum).collect();
        assert_near(&probabilities(&chosen), &divided, "divided by their sum");
        assert!(chosen.notes().is_empty());
    }
}

#[test]
fn a_probability_of_zero_has_a_finite_logit() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(|graph, x| node(graph, "Floor", &[x], vec![]));
    let builder = builder(&folder, &model, &["red", "green", "blue"]);
    let classifier = builder.output_kind(OutputKind::Independent).open().unwrap();
    let image = classifier.prepare(&flat(50, 40)).unwrap();
    let logits = classifier.logits(&image, 1).unwrap();
    assert!(logits.iter().all(|logit| logit.is_finite()), "{logits:?}");
    let probabilities = classifier.probabilities(&logits).unwrap();
    assert!(
        probabilities.iter().all(|p| *p < 1e-30),
        "{probabilities:?}"
    );
}

#[test]
fn logits_that_are_called_probabilities_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(|graph, x| node(graph, "Neg", &[x], vec![]));
    let builder = || builder(&folder, &model, &["red", "green", "blue"]);
    for kind in [OutputKind::Probabilities, OutputKind::Independent] {
        let classifier = builder().output_kind(kind).open().unwrap();
        let image = classifier.prepare(&flat(250, 40)).unwrap();
        let error = classifier.logits(&image, 1).unwrap_err();
        assert!(
            error.to_string().contains("is not of probabilities"),
            "{error}"
        );
        assert!(
            error
                .hint()
                .unwrap()
                .contains("ClassifierBuilder::output_kind")
        );
    }
}

#[test]
fn a_card_that_its_own_samples_contradict_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model(softmax);
    let classes = ["red", "green", "blue"];
    let classifier = builder(&folder, &model, &classes).open().unwrap();
    let mut card = Tiny::default().card();
    card.classes = classes.map(String::from).to_vec();
    card.outputs = vec![];
    card.golden = classifold::golden::create_samples(&classifier).unwrap();
    for (kind, notes) in [(OutputKind::Logits, 1), (OutputKind::Probabilities, 0)] {
        card.output_kind = kind;
        let mut document = onnx::Document::from_model(model.clone());
        document.set_metadata(classifold::card::PREFIX, &card.to_pairs());
        model = document.model;
        let classifier = builder(&folder, &model, &classes).open().unwrap();
        assert_eq!(classifier.output_kind(), kind, "the card is believed");
        assert_eq!(classifier.notes().len(), notes, "{:?}", classifier.notes());
    }
}

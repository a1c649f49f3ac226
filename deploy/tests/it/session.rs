//! Sessions on the CPU: where nodes run, bound runs, precisions, models that are too new.

use classifold::card::OutputKind;
use classifold::{Classifier, Feed, Kind, Model, Precision, Provider, Session, SessionOptions};
use half::f16;
use onnx::proto::DataType;
use onnx::{Attr, Dim, Document, GraphBuilder, ModelInfo, Tensor, TensorData};

use crate::support::{Tiny, installed, shared};

fn open(path: &std::path::Path, options: &SessionOptions) -> Session {
    classifold::runtime::load(installed()).unwrap();
    Session::open(path, options).unwrap()
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 101) as f32 / 100.0).collect()
}

#[test]
fn the_numbers_of_weights_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    // A weight [2, 3] and a bias [2].
    let model = Model::open(&Tiny::default().save(folder.path())).unwrap();
    assert_eq!(model.num_parameters, 8);
    let half = Model::open(&half(folder.path())).unwrap();
    assert!(half.num_parameters > 0);
}

#[test]
fn a_batch_of_no_size_is_an_open_one() {
    let folder = tempfile::tempdir().unwrap();
    for (size, expected) in [(0, None), (-1, None), (3, Some(3))] {
        let tiny = Tiny {
            batch: Dim::Fixed(size),
            ..Tiny::default()
        };
        let model = Model::open(&tiny.save(folder.path())).unwrap();
        assert_eq!(model.fixed_batch(), expected, "{size}");
    }
}

#[test]
fn every_node_is_proven_to_run_on_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(
        &Tiny::default().save(folder.path()),
        &SessionOptions::default(),
    );
    let nodes = &session.placement().nodes;
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["cpu"]);
    let operators: Vec<&str> = nodes["cpu"].iter().map(|node| node.op.as_str()).collect();
    assert!(operators.contains(&"GlobalAveragePool"), "{operators:?}");
    assert!(
        nodes["cpu"].iter().any(|node| node.name == "fc"),
        "{nodes:?}"
    );
    assert_eq!(session.cold_start().build, None);
    assert!(!session.cold_start().session.is_zero());
    assert!(session.notes().is_empty());
}

#[test]
fn a_real_model_is_proven_too() {
    let Some(path) = shared("weights/resnet18.onnx") else {
        return;
    };
    let session = open(&path, &SessionOptions::default());
    let counts = session.placement().counts();
    assert!(counts["cpu"] > 40 && counts.len() == 1, "{counts:?}");
}

#[test]
fn bound_runs_give_what_plain_runs_give() {
    let cases = [
        Tiny::default(),
        Tiny {
            batch: Dim::Fixed(3),
            ..Tiny::default()
        },
        Tiny {
            input: DataType::Float16,
            ..Tiny::default()
        },
        Tiny {
            input: DataType::Uint8,
            ..Tiny::default()
        },
        Tiny {
            unknown_output: true,
            ..Tiny::default()
        },
    ];
    for tiny in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut session = open(&tiny.save(folder.path()), &SessionOptions::default());
        let first: Vec<f32> = numbers(144).iter().map(|v| v * 200.0).collect();
        let second: Vec<f32> = first.iter().rev().copied().collect();
        let expected = [&first, &second].map(|images| session.run(images, 3).unwrap());
        assert_ne!(expected[0], expected[1]);
        for feed in [Feed::Host, Feed::Resident] {
            let mut bound = session.bind(3, feed).unwrap();
            for (images, expected) in [&first, &second].into_iter().zip(&expected) {
                bound.fill(images).unwrap();
                let phases = bound.run().unwrap();
                assert_eq!((phases.to_device, phases.from_device), (None, None));
                assert!(!phases.compute.is_zero());
                assert_eq!(&bound.outputs().unwrap(), expected);
            }
            let error = bound.fill(&first[1..]).unwrap_err().to_string();
            assert_eq!(error, "3 images of this model are 144 numbers, 143 given");
        }
    }
}

#[test]
fn a_fixed_model_is_bound_to_its_own_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny {
        batch: Dim::Fixed(2),
        ..Tiny::default()
    }
    .save(folder.path());
    let mut session = open(&path, &SessionOptions::default());
    let error = session.bind(3, Feed::Host).unwrap_err();
    assert!(error.to_string().ends_with("expected: 2"), "{error}");
    session.bind(2, Feed::Host).unwrap().run().unwrap();
}

#[test]
fn threads_spinning_and_arena_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::default().save(folder.path());
    let images = numbers(96);
    let expected = open(&path, &SessionOptions::default())
        .run(&images, 2)
        .unwrap();
    let options = SessionOptions {
        threads: Some(2),
        spinning: false,
        arena: false,
        batches: vec![1, 2],
        ..SessionOptions::default()
    };
    assert_eq!(open(&path, &options).run(&images, 2).unwrap(), expected);
}

#[test]
fn a_model_newer_than_the_runtime_says_what_both_are() {
    classifold::runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.onnx");
    for (opset, ir_version, found) in [(99, 8, "opset 99"), (17, 99, "IR version 99")] {
        let mut graph = GraphBuilder::new("new");
        let dims = ["batch".into(), Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)];
        let x = graph.input("input", DataType::Float, &dims);
        let x = graph.global_average_pool("pool", &x);
        let y = graph.flatten("flatten", &x);
        graph.output(
            &y,
            "logits",
            DataType::Float,
            &["batch".into(), Dim::Fixed(3)],
        );
        let info = ModelInfo {
            opset,
            ir_version,
            ..ModelInfo::default()
        };
        graph.finish(&info).unwrap().save(&path).unwrap();
        let error = Session::open(&path, &SessionOptions::default()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Model, "{text}");
        assert!(text.contains("newer than ONNX Runtime 1.28.0"), "{text}");
        assert!(text.contains(&format!("found:    {found}")), "{text}");
        assert!(text.contains("or older\n"), "{text}");
        assert!(error.hint().unwrap().contains("ORT_DYLIB_PATH"));
    }
}

#[test]
fn tf32_is_no_precision_of_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let options = SessionOptions {
        precision: Precision::Tf32,
        ..SessionOptions::default()
    };
    let path = Tiny::default().save(folder.path());
    let error = Session::open(&path, &options).unwrap_err();
    assert_eq!(error.to_string(), "provider `cpu` does not compute in tf32");
}

/// The tiny model with its product in half precision.
fn half(folder: &std::path::Path) -> std::path::PathBuf {
    let mut graph = GraphBuilder::new("half");
    let dims = ["batch".into(), Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let halves = [10.0, 0.0, 0.0, 0.0, 0.0, 10.0].map(|v| f16::from_f32(v).to_bits());
    let weight = Tensor::new(&[3, 2], TensorData::F16(halves.to_vec())).unwrap();
    let weight = graph.initializer("weight", &weight);
    let x = graph.node("Cast", "to_half", &[&x], vec![("to", Attr::Int(10))]);
    let y = graph.node("MatMul", "fc", &[&x, &weight], vec![]);
    let y = graph.node("Cast", "to_float", &[&y], vec![("to", Attr::Int(1))]);
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(2)],
    );
    let document: Document = graph.finish(&ModelInfo::default()).unwrap();
    let path = folder.join("half.onnx");
    document.save(&path).unwrap();
    path
}

#[test]
fn a_file_of_another_precision_than_asked_for_is_refused() {
    let tiny = Tiny::default();
    let folder = tempfile::tempdir().unwrap();
    for precision in [Precision::Fp16, Precision::Int8] {
        let builder = tiny.builder(&tiny.save(folder.path()));
        let error = builder.precision(precision).open().unwrap_err();
        assert!(error.to_string().contains("cannot be run in"), "{error}");
        assert!(error.to_string().contains("found:    fp32"), "{error}");
    }
    let builder = tiny.builder(&half(folder.path()));
    let builder = builder.output_kind(OutputKind::Logits);
    let classifier: Classifier = builder.precision(Precision::Fp16).open().unwrap();
    assert_eq!(classifier.placement().unwrap().nodes.len(), 1);
    assert!(classifier.notes().is_empty());
}

#[test]
fn a_provider_without_its_library_fails_before_it_falls_back() {
    classifold::runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::default().save(folder.path());
    for provider in [
        Provider::Cuda { device: 0 },
        Provider::TensorRt { device: 0 },
    ] {
        for precision in [Precision::Fp32, Precision::Tf32] {
            let options = SessionOptions {
                provider,
                precision,
                batches: vec![4],
                allow_fallback: true,
                ..SessionOptions::default()
            };
            let error = Session::open(&path, &options).unwrap_err();
            let start = format!("provider `{provider}` cannot start");
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }
}

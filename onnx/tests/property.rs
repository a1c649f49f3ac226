//! What holds for any input: nothing panics, and what is written is read again.
#![allow(clippy::unwrap_used, reason = "tests may")]

use std::path::Path;
use std::sync::LazyLock;

use classifold_onnx::proto::{DataType, ModelProto};
use classifold_onnx::{
    Dim, Document, GraphBuilder, Header, ModelInfo, Tensor, TensorData, surgery,
};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

/// Every field of the schema set, by Python's onnx: `scripts/reference/onnx_every_field.py`.
const EVERY_FIELD: &[u8] = include_bytes!("every_field.onnx");

#[test]
fn every_field_of_the_schema_keeps_its_bytes() {
    let model = ModelProto::decode(EVERY_FIELD).unwrap();
    assert!(model.encode_to_vec() == EVERY_FIELD);
}

/// Does everything that can be done with a file, whatever it says.
fn use_all(path: &Path) {
    let _ = Header::open(path);
    let Ok(mut document) = Document::open(path) else {
        return;
    };
    let _ = (
        document.inputs(),
        document.outputs(),
        document.opset(),
        document.metadata(),
    );
    let _ = (document.check(), document.check_external_data());
    let tensors = document
        .graph()
        .initializer
        .iter()
        .map(|tensor| tensor.name().to_owned());
    let values = document
        .graph()
        .node
        .iter()
        .flat_map(|node| node.output.clone());
    for name in tensors.chain(values).collect::<Vec<_>>() {
        if let Ok(tensor) = document.tensor(&name) {
            let _ = (
                tensor.as_f32().map(|v| v.len()),
                tensor.as_i64().map(|v| v.len()),
            );
            let _ = document.set_tensor(&name, &tensor);
        }
        let graph = document.graph_mut();
        let _ = (
            surgery::producer(graph, &name),
            surgery::consumers(graph, &name),
        );
        surgery::rename_value(graph, &name, "renamed");
    }
    surgery::set_batch_dynamic(document.graph_mut());
    surgery::prune(document.graph_mut());
    let _ = document.save(&path.with_extension("out"));
}

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// Uses these bytes as a file; the name keeps tests that run at once apart.
fn use_bytes(name: &str, bytes: &[u8]) {
    let path = FOLDER.path().join(name);
    fs_err::write(&path, bytes).unwrap();
    use_all(&path);
}

fn small(values: Vec<f32>, name: &str, classes: usize) -> Document {
    let mut graph = GraphBuilder::new(name);
    let features = values.len() / classes;
    let x = graph.input("x", DataType::Float, &["batch".into(), features.into()]);
    let weight = Tensor::f32(&[classes, features], values[..classes * features].to_vec()).unwrap();
    graph.initializer("w", &weight);
    graph.initializer("b", &Tensor::f32(&[classes], vec![0.0; classes]).unwrap());
    let y = graph.gemm("fc", &x, "w", "b");
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Unknown],
    );
    graph
        .finish(&ModelInfo {
            doc_string: name.to_owned(),
            ..Default::default()
        })
        .unwrap()
}

fn tensors() -> impl Strategy<Value = TensorData> {
    prop_oneof![
        vec(any::<f32>(), 0..20).prop_map(TensorData::F32),
        vec(any::<f64>(), 0..20).prop_map(TensorData::F64),
        vec(any::<u16>(), 0..20).prop_map(TensorData::F16),
        vec(any::<i8>(), 0..20).prop_map(TensorData::I8),
        vec(any::<i32>(), 0..20).prop_map(TensorData::I32),
        vec(any::<i64>(), 0..20).prop_map(TensorData::I64),
        vec(any::<u64>(), 0..20).prop_map(TensorData::U64),
        vec(any::<bool>(), 0..20).prop_map(TensorData::Bool),
        vec(vec(any::<u8>(), 0..5), 0..5).prop_map(TensorData::String),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_a_model(bytes in vec(any::<u8>(), 0..200)) {
        use_bytes("any.onnx", &bytes);
    }

    #[test]
    fn a_model_with_bytes_changed_does_not_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = small(vec![1.0; 12], "a name", 3).to_bytes();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        use_bytes("changed.onnx", &bytes);
    }

    #[test]
    fn every_field_changed_does_not_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = EVERY_FIELD.to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        use_bytes("every.onnx", &bytes);
        use_bytes("every_cut.onnx", &bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn what_is_saved_is_read_again(
        values in vec(any::<u32>().prop_map(f32::from_bits), 4..60),
        name in "\\PC{1,12}",
        classes in 1_usize..4,
    ) {
        let document = small(values, &name, classes);
        let path = FOLDER.path().join("saved.onnx");
        document.save(&path).unwrap();
        prop_assert!(fs_err::read(&path).unwrap() == document.to_bytes());
        let read = Document::open(&path).unwrap();
        // Bits, since not-a-number differs from itself.
        prop_assert_eq!(read.to_bytes(), document.to_bytes());
        prop_assert_eq!(&Header::open(&path).unwrap().doc_string, &name);
        read.check().unwrap();
    }

    #[test]
    fn a_tensor_comes_back_from_its_message(data in tensors()) {
        let count = match &data {
            TensorData::F32(v) => v.len(),
            TensorData::F64(v) => v.len(),
            TensorData::F16(v) => v.len(),
            TensorData::I8(v) => v.len(),
            TensorData::I32(v) => v.len(),
            TensorData::I64(v) => v.len(),
            TensorData::U64(v) => v.len(),
            TensorData::Bool(v) => v.len(),
            TensorData::String(v) => v.len(),
            other => panic!("{other:?}"),
        };
        let tensor = Tensor::new(&[count], data).unwrap();
        let proto = tensor.to_proto("t");
        let again = Tensor::from_proto(&proto).unwrap();
        prop_assert_eq!(again.to_proto("t").encode_to_vec(), proto.encode_to_vec());
        prop_assert!(Tensor::new(&[count + 1], tensor.data).is_err());
    }
}

//! Other people's files, as they are. Skipped where `../shared` is not.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use classifold_onnx::proto::{DataType, ModelProto};
use classifold_onnx::{Attr, Dim, Document, Header, Tensor, ValueInfo, node, surgery};
use prost::Message;

/// A file or folder under `../shared`; `None` where there is none, which CI does not forgive.
fn shared(path: &str) -> Option<PathBuf> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(path);
    if full.exists() {
        return Some(full);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "../shared/{path} is missing"
    );
    println!("skipped: needs ../shared/{path}");
    None
}

fn models() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["onnx", "weights"] {
        let Some(folder) = shared(folder) else {
            continue;
        };
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "onnx")
            {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn files_keep_every_byte() {
    let mut files = models();
    files.extend(shared("onnx/bad/missing_external_data.onnx"));
    for path in files {
        let document = Document::open(&path).unwrap();
        assert!(
            document.to_bytes() == fs_err::read(&path).unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_header_says_what_the_document_says() {
    for path in models() {
        let (header, document) = (Header::open(&path).unwrap(), Document::open(&path).unwrap());
        let model = &document.model;
        assert_eq!(header.ir_version, model.ir_version());
        assert_eq!(header.producer_name.as_bytes(), model.producer_name());
        assert_eq!(header.producer_version.as_bytes(), model.producer_version());
        assert_eq!(header.metadata, document.metadata());
        assert_eq!(header.opset(), Some(document.opset()));
        assert_eq!(header.file_bytes, fs_err::metadata(&path).unwrap().len());
        document.check().unwrap();
    }
}

#[test]
fn every_tensor_of_every_file_is_read() {
    let mut counts = HashMap::new();
    for path in models() {
        let document = Document::open(&path).unwrap();
        for proto in &document.graph().initializer {
            let tensor = document.tensor(proto.name()).unwrap();
            assert_eq!(tensor.elem_type() as i32, proto.data_type());
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        counts.insert(name, document.graph().initializer.len());
    }
    // Counted with Python's onnx. Files that came later are read, but not counted.
    let expected = [
        ("mesonet_tf2onnx_op15_nhwc", 29),
        ("mnist_pytorch_dynamo_op18", 8),
        ("mobilenetv2_int8dyn_pytorch_op15", 264),
        ("paddle_textdir_cls_op10", 0),
        ("resnet20_cifar10_pytorch_op9", 108),
        ("squeezenet_fp16_caffe2_op7", 52),
        ("resnet18", 42),
    ];
    for (name, count) in expected {
        assert!(counts.is_empty() || counts[name] == count, "{counts:?}");
    }
}

#[test]
fn constants_in_nodes_are_tensors_too() {
    let Some(path) = shared("onnx/paddle_textdir_cls_op10.onnx") else {
        return;
    };
    let document = Document::open(&path).unwrap();
    let is_constant = |n: &&classifold_onnx::proto::NodeProto| n.op_type() == "Constant";
    let names = document
        .graph()
        .node
        .iter()
        .filter(is_constant)
        .map(|n| &n.output[0]);
    let values: usize = names.map(|name| document.tensor(name).unwrap().len()).sum();
    assert!(values > 100_000, "{values}");
}

#[test]
fn inputs_are_those_that_must_be_fed() {
    let Some(path) = shared("onnx/squeezenet_fp16_caffe2_op7.onnx") else {
        return;
    };
    let document = Document::open(&path).unwrap();
    let inputs = document.inputs();
    assert_eq!(
        inputs.len(),
        1,
        "IR version 3 lists initializers as inputs: {inputs:?}"
    );
    assert_eq!(inputs[0].to_string(), "data_0: Float16 [1, 3, 224, 224]");
    assert_eq!(document.outputs()[0].name, "softmaxout_1");
}

#[test]
fn a_missing_data_file_is_named_with_its_tensor() {
    let Some(path) = shared("onnx/bad/missing_external_data.onnx") else {
        return;
    };
    assert_eq!(Header::open(&path).unwrap().opset(), Some(18));
    let document = Document::open(&path).unwrap();
    let error = document.check_external_data().unwrap_err();
    let (text, hint) = (error.to_string(), error.hint().unwrap());
    let tensor = text.split('`').nth(1).unwrap();
    assert!(hint.contains("`mobilenet.onnx.data`"), "{hint}");
    assert!(document.tensor(tensor).is_err());
    assert!(
        document
            .save(&std::env::temp_dir().join("never-written.onnx"))
            .is_err()
    );
}

#[test]
fn a_git_lfs_pointer_says_so() {
    let Some(path) = shared("onnx/bad/lfs_pointer_resnet18-v1-7.onnx") else {
        return;
    };
    for error in [
        Header::open(&path).unwrap_err(),
        Document::open(&path).unwrap_err(),
    ] {
        assert!(error.to_string().contains("git-LFS pointer"), "{error}");
        assert!(error.hint().unwrap().contains("git lfs pull"));
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let Some(path) = shared("onnx/mnist_pytorch_dynamo_op18.onnx") else {
        return;
    };
    let bytes = fs_err::read(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.onnx");
    let lengths = (0..bytes.len())
        .step_by(997)
        .chain(1..60)
        .chain(bytes.len() - 60..bytes.len());
    for len in lengths {
        fs_err::write(&cut, &bytes[..len]).unwrap();
        let (header, document) = (Header::open(&cut), Document::open(&cut));
        let ends_early = ModelProto::decode(&bytes[..len]).is_ok_and(|m| m.graph.is_some());
        if ends_early {
            continue; // cut between two of the last fields: a smaller model
        }
        let text = document.unwrap_err().to_string();
        let expected = ["is cut off", "is empty"];
        assert!(
            expected.iter().any(|words| text.contains(words)),
            "{len}: {text}"
        );
        assert!(header.is_err(), "{len}");
    }
}

#[test]
fn a_new_head_leaves_the_rest_untouched() {
    let Some(path) = shared("weights/resnet18.onnx") else {
        return;
    };
    let source = Document::open(&path).unwrap();
    let mut document = source.clone();
    let graph = document.graph_mut();
    let last = graph.node.len() - 1;
    assert_eq!(graph.node[last].op_type(), "Gemm");
    let features = graph.node[last].input[0].clone();
    let names = ["fc.weight", "fc.bias"].map(|name| surgery::unique_name(graph, name));
    assert_eq!(names, ["fc.weight_1", "fc.bias_1"]);
    let weight = Tensor::f32(&[2, 512], vec![0.1; 1024]).unwrap();
    let bias = Tensor::f32(&[2], vec![0.2; 2]).unwrap();
    graph.initializer.push(weight.to_proto(&names[0]));
    graph.initializer.push(bias.to_proto(&names[1]));
    let inputs = [features.as_str(), &names[0], &names[1]];
    let attributes = vec![("transB", Attr::Int(1))];
    graph
        .node
        .push(node("Gemm", "head", &inputs, &["logits"], attributes));
    let logits = ValueInfo::new(
        "logits",
        DataType::Float,
        vec!["batch".into(), Dim::Fixed(2)],
    );
    surgery::set_outputs(graph, &[logits]);
    assert_eq!(
        surgery::prune(graph),
        (1, 2),
        "the old Gemm, its weight and bias"
    );
    surgery::set_batch_dynamic(graph);
    assert!(graph.node[..last] == source.graph().node[..last]);
    let old = source.graph().initializer.iter();
    let frozen: Vec<_> = old
        .filter(|tensor| !tensor.name().starts_with("fc."))
        .collect();
    assert!(graph.initializer[..40].iter().eq(frozen));
    document.check().unwrap();
    assert_eq!(
        document.inputs()[0].to_string(),
        "input: Float [batch, 3, 224, 224]"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.onnx");
    document.save(&file).unwrap();
    let again = Document::open(&file).unwrap();
    assert!(again.model == document.model);
    assert!(again.tensor("fc.weight_1").unwrap() == weight);
    if let Some(keep) = std::env::var_os("ONNX_TEST_OUT") {
        fs_err::copy(&file, Path::new(&keep).join("resnet18_head.onnx")).unwrap();
    }
}

#[test]
fn a_fixed_batch_becomes_dynamic() {
    let Some(path) = shared("onnx/mnist_pytorch_dynamo_op18.onnx") else {
        return;
    };
    let mut document = Document::open(&path).unwrap();
    assert_eq!(document.inputs()[0].dims[0], Dim::Fixed(1));
    let freed = surgery::set_batch_dynamic(document.graph_mut());
    assert_eq!(freed.len(), 1);
    assert_eq!(
        *document.tensor(&freed[0]).unwrap().as_i64().unwrap(),
        [0, 64]
    );
    assert_eq!(document.inputs()[0].dims[0], Dim::Named("batch".into()));
    document.check().unwrap();
    if let Some(keep) = std::env::var_os("ONNX_TEST_OUT") {
        document
            .save(&Path::new(&keep).join("mnist_dynamic.onnx"))
            .unwrap();
    }
}

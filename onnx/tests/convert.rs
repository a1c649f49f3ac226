//! Graphs in other precisions. What they compute is tested where models run, in `deploy`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use classifold_onnx::convert::{
    Range, Scheme, calibrated_values, prepare, quantizable_nodes, quantize, to_half,
};
use classifold_onnx::proto::{DataType, GraphProto, NodeProto};
use classifold_onnx::{
    Attr, BatchNormInputs, Dim, Document, GraphBuilder, ModelInfo, Tensor, TensorData, ValueInfo,
    Window, node,
};

const IMAGE: [Dim; 4] = [Dim::Unknown, Dim::Fixed(3), Dim::Fixed(8), Dim::Fixed(12)];

/// Numbers between -0.5 and 0.5, all different.
fn weights(dims: &[usize]) -> Tensor {
    let len: usize = dims.iter().product();
    let value = |i: usize| (i * 7919 % 1000) as f32 / 1000.0 - 0.4995;
    Tensor::f32(dims, (0..len).map(value).collect()).unwrap()
}

/// A convolution with batch normalisation, a residual, pooling and a linear layer.
fn residual() -> Document {
    let mut graph = GraphBuilder::new("residual");
    let x = graph.input("input", DataType::Float, &IMAGE);
    let w = graph.initializer("conv1.weight", &weights(&[4, 3, 3, 3]));
    let x = graph.conv("conv1", &x, &w, None, Window::square(3, 1, 1));
    let names = ["bn.weight", "bn.bias", "bn.mean", "bn.var"];
    for (i, name) in names.into_iter().enumerate() {
        graph.initializer(name, &Tensor::f32(&[4], vec![i as f32 + 0.5; 4]).unwrap());
    }
    let [scale, bias, mean, var] = names;
    let norm = BatchNormInputs {
        scale,
        bias,
        mean,
        var,
    };
    let x = graph.batch_norm("bn", &x, norm, 1e-5);
    let x = graph.relu("relu", &x);
    let x = graph.max_pool("maxpool", &x, Window::square(2, 2, 0));
    let w = graph.initializer("conv2.weight", &weights(&[4, 4, 3, 3]));
    let b = graph.initializer("conv2.bias", &weights(&[4]));
    let y = graph.conv("conv2", &x, &w, Some(&b), Window::square(3, 1, 1));
    let y = graph.add("add", &y, &x);
    let y = graph.relu("relu2", &y);
    let y = graph.global_average_pool("pool", &y);
    let y = graph.flatten("flatten", &y);
    let w = graph.initializer("fc.weight", &weights(&[2, 4]));
    let b = graph.initializer("fc.bias", &weights(&[2]));
    let y = graph.gemm("fc", &y, &w, &b);
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &[Dim::Unknown, Dim::Fixed(2)],
    );
    graph.finish(&ModelInfo::default()).unwrap()
}

fn operators(document: &Document) -> Vec<&str> {
    document
        .graph()
        .node
        .iter()
        .map(NodeProto::op_type)
        .collect()
}

fn named<'g>(graph: &'g GraphProto, name: &str) -> &'g NodeProto {
    graph.node.iter().find(|node| node.name() == name).unwrap()
}

fn finished(graph: GraphBuilder) -> Document {
    graph.finish(&ModelInfo::default()).unwrap()
}

#[test]
fn a_network_computes_in_half_precision_between_two_casts() {
    let mut document = residual();
    let report = to_half(&mut document).unwrap();
    assert_eq!((report.halved, report.kept.len()), (6, 0));
    let expected = [
        "Cast",
        "Conv",
        "Relu",
        "MaxPool",
        "Conv",
        "Add",
        "Relu",
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
        "Cast",
    ];
    assert_eq!(operators(&document), expected);
    for tensor in &document.graph().initializer {
        assert_eq!(
            tensor.data_type(),
            DataType::Float16 as i32,
            "{}",
            tensor.name()
        );
    }
    let types = |infos: Vec<ValueInfo>| infos[0].elem_type;
    assert_eq!(types(document.inputs()), DataType::Float);
    assert_eq!(types(document.outputs()), DataType::Float);
    assert_eq!(document.outputs()[0].name, "logits");
}

#[test]
fn batch_normalisation_is_folded_in_double_precision() {
    let mut document = residual();
    prepare(&mut document).unwrap();
    let conv = named(document.graph(), "conv1");
    assert_eq!((conv.output[0].as_str(), conv.input.len()), ("bn", 3));
    let folded = document.tensor(&conv.input[1]).unwrap();
    let old = residual().tensor("conv1.weight").unwrap();
    // weight 0.5, bias 1.5, mean 2.5, var 3.5
    let scale = 0.5 / (3.5_f64 + f64::from(1e-5_f32)).sqrt();
    for (new, old) in folded.as_f32().unwrap().iter().zip(&*old.as_f32().unwrap()) {
        assert_eq!(*new, (f64::from(*old) * scale) as f32);
    }
    let bias = document.tensor(&conv.input[2]).unwrap();
    assert_eq!(*bias.as_f32().unwrap(), [(1.5 - 2.5 * scale) as f32; 4]);
}

#[test]
fn constants_added_and_multiplied_by_channel_are_folded_and_others_are_not() {
    let mut graph = GraphBuilder::new("affine");
    let x = graph.input("input", DataType::Float, &IMAGE);
    let w = graph.initializer("weight", &weights(&[4, 3, 1, 1]));
    let x = graph.conv("conv", &x, &w, None, Window::square(1, 1, 0));
    let three = graph.initializer("three", &Tensor::f32(&[1, 4, 1, 1], vec![3.0; 4]).unwrap());
    let x = graph.node("Mul", "mul", &[&three, &x], vec![]);
    let x = graph.node("Sub", "sub", &[&x, &three], vec![]);
    let five = Tensor::f32(&[4, 1, 1], vec![5.0; 4]).unwrap();
    let five = graph.initializer("five", &five);
    let x = graph.add("plus", &five, &x);
    // Along the last axis, not along the channels.
    let row = graph.initializer("row", &Tensor::f32(&[12], vec![1.0; 12]).unwrap());
    let y = graph.add("add", &x, &row);
    graph.output(&y, "y", DataType::Float, &IMAGE);
    let mut document = finished(graph);
    prepare(&mut document).unwrap();
    assert_eq!(operators(&document), ["Conv", "Add"]);
    let bias = named(document.graph(), "conv").input[2].clone();
    assert_eq!(*document.tensor(&bias).unwrap().as_f32().unwrap(), [2.0; 4]);
    let weight = named(document.graph(), "conv").input[1].clone();
    let first = document.tensor(&weight).unwrap().as_f32().unwrap()[0];
    assert_eq!(first, 3.0 * weights(&[1]).as_f32().unwrap()[0]);
}

#[test]
fn arithmetic_on_shapes_and_scales_of_resize_stay_in_single_precision() {
    let mut graph = GraphBuilder::new("shapes");
    let x = graph.input("input", DataType::Float, &IMAGE);
    let w = graph.initializer("weight", &weights(&[3, 3, 1, 1]));
    let x = graph.conv("conv", &x, &w, None, Window::square(1, 1, 0));
    let shape = graph.node("Shape", "shape", &[&x], vec![]);
    let shape = graph.node("Cast", "float", &[&shape], vec![("to", Attr::Int(1))]);
    let half = graph.initializer("half", &Tensor::f32(&[], vec![0.5]).unwrap());
    let scales = graph.node("Mul", "scales", &[&shape, &half], vec![]);
    let y = graph.node("Resize", "resize", &[&x, "", &scales], vec![]);
    graph.output(&y, "y", DataType::Float, &IMAGE);
    let mut document = finished(graph);
    let report = to_half(&mut document).unwrap();
    assert_eq!((report.halved, report.kept.len()), (1, 0));
    let graph = document.graph();
    assert_eq!(
        named(graph, "float").attribute[0].i(),
        DataType::Float as i64
    );
    assert_eq!(named(graph, "scales").input, ["float", "half"]);
    let resize = named(graph, "resize");
    assert_eq!(
        (resize.input[0].as_str(), resize.input[2].as_str()),
        ("conv", "scales")
    );
}

#[test]
fn what_a_body_takes_from_outside_comes_in_single_precision() {
    let body = |name: &str, op: &str| {
        let out = format!("{name}_out");
        Box::new(GraphProto {
            name: Some(name.to_owned()),
            node: vec![node(op, name, &["conv"], &[&out], vec![])],
            output: vec![ValueInfo::new(&out, DataType::Float, IMAGE.to_vec()).to_proto()],
            ..Default::default()
        })
    };
    let mut graph = GraphBuilder::new("branches");
    let x = graph.input("input", DataType::Float, &IMAGE);
    let flag = graph.input("flag", DataType::Bool, &[]);
    let w = graph.initializer("weight", &weights(&[3, 3, 1, 1]));
    graph.conv("conv", &x, &w, None, Window::square(1, 1, 0));
    let branches = vec![
        ("then_branch", Attr::Graph(body("then", "Relu"))),
        ("else_branch", Attr::Graph(body("else", "Neg"))),
    ];
    let y = graph.node("If", "if", &[&flag], branches);
    let y = graph.node("Tanh", "tanh", &[&y], vec![]);
    graph.output(&y, "y", DataType::Float, &IMAGE);
    let mut document = finished(graph);
    let report = to_half(&mut document).unwrap();
    assert_eq!(report.kept.len(), 1);
    assert_eq!(
        (report.kept[0].node.as_str(), report.kept[0].op.as_str()),
        ("if", "If")
    );
    let branch = named(document.graph(), "if").attribute[0]
        .g
        .as_deref()
        .unwrap();
    assert_eq!(branch.node[0].input, ["conv_fp32"]);
    assert_eq!(
        operators(&document),
        ["Cast", "Conv", "Cast", "If", "Cast", "Tanh", "Cast"]
    );
}

#[test]
fn a_constant_beyond_half_precision_keeps_its_node() {
    for (value, halved, kept) in [(1e5, 1, 1), (1e-6, 1, 1), (0.5, 2, 0)] {
        let mut graph = GraphBuilder::new("large");
        let x = graph.input("input", DataType::Float, &IMAGE);
        let w = graph.initializer("weight", &weights(&[3, 3, 1, 1]));
        let x = graph.conv("conv", &x, &w, None, Window::square(1, 1, 0));
        let x = graph.relu("relu", &x);
        let factor = graph.initializer("factor", &Tensor::f32(&[], vec![value]).unwrap());
        let y = graph.node("Mul", "mul", &[&x, &factor], vec![]);
        graph.output(&y, "y", DataType::Float, &IMAGE);
        let mut document = finished(graph);
        let report = to_half(&mut document).unwrap();
        assert_eq!(
            (report.halved, report.kept.len()),
            (halved, kept),
            "{value}"
        );
        let factor = &named(document.graph(), "mul").input[1];
        assert_eq!(factor == "factor", kept == 1);
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let mut graph = GraphBuilder::new("strange");
    let x = graph.input("input", DataType::Float, &IMAGE);
    let mut strange = node("Warp", "layer7", &[&x], &["warped"], vec![]);
    strange.domain = Some("com.example".to_owned());
    graph.push(strange);
    graph.output("warped", "y", DataType::Float, &IMAGE);
    // The graph says the type of its output; of what lies before, nobody does.
    let y = graph.node("Relu", "relu", &["y"], vec![]);
    graph.output(&y, "z", DataType::Float, &IMAGE);
    let mut document = finished(graph);
    document.graph_mut().output.remove(0);
    let error = to_half(&mut document).unwrap_err();
    let expected = "operator `com.example.Warp` of node `layer7` cannot be converted: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

fn ranges(document: &Document) -> HashMap<String, Range> {
    let range = Range {
        low: -1.0,
        high: 3.0,
    };
    calibrated_values(document)
        .unwrap()
        .into_iter()
        .map(|name| (name, range))
        .collect()
}

#[test]
fn integers_stand_where_they_can_be_fused() {
    let mut document = residual();
    prepare(&mut document).unwrap();
    // Not before a ReLU, which the integers' range replaces; moved values have the range of their source.
    let mut names = calibrated_values(&document).unwrap();
    names.sort();
    assert_eq!(names, ["conv2", "input", "pool", "relu", "relu2"]);
    let ranges = ranges(&document);
    let report = quantize(&mut document, &ranges, Scheme::Asymmetric, &[]).unwrap();
    assert_eq!((report.nodes, report.values, report.kept.len()), (3, 7, 0));
    let graph = document.graph();
    let scale_of = |value: &str| {
        let quantize = graph
            .node
            .iter()
            .find(|node| node.op_type() == "QuantizeLinear" && node.input[0] == value);
        quantize.unwrap().input[1].clone()
    };
    assert_eq!(scale_of("maxpool"), scale_of("relu"));
    assert_eq!(scale_of("flatten"), scale_of("pool"));
    // The logits come as they are computed.
    assert!(
        graph
            .node
            .last()
            .is_some_and(|node| node.op_type() == "Gemm")
    );
    // A bias counts in units of its products: scale of the input times scale of the weight.
    let scales = |name: &str| document.tensor(name).unwrap().as_f32().unwrap().to_vec();
    let back = |name: &str| {
        named(
            graph,
            &named(graph, "conv2").input[usize::from(name == "bias") + 1],
        )
    };
    let (weight, bias) = (back("weight"), back("bias"));
    // A scale for each output channel, which is a convolution's first axis.
    let axis = weight.attribute.iter().find(|a| a.name() == "axis");
    assert_eq!(axis.unwrap().i(), 0);
    let input = scales(&scale_of("maxpool"))[0];
    for (w, b) in scales(&weight.input[1]).iter().zip(scales(&bias.input[1])) {
        assert_eq!(w * input, b);
    }
    assert_eq!(
        document.tensor(&bias.input[0]).unwrap().elem_type(),
        DataType::Int32
    );
    assert_eq!(
        document.tensor(&weight.input[0]).unwrap().elem_type(),
        DataType::Int8
    );
}

#[test]
fn a_kept_node_computes_in_single_precision_and_reads_what_it_can_as_it_is() {
    let mut document = residual();
    prepare(&mut document).unwrap();
    let nodes = quantizable_nodes(&document).unwrap();
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["conv1", "conv2", "add", "pool", "fc"]);
    let products = nodes.iter().filter(|node| node.is_product);
    assert_eq!(products.count(), 3);
    let ranges = ranges(&document);
    let mut integers_first = document.clone();
    let kept = ["conv1".to_owned()];
    let report = quantize(&mut document, &ranges, Scheme::Asymmetric, &kept).unwrap();
    // Nothing is rounded before the pooling, which makes the value smaller.
    assert_eq!((report.nodes, report.kept), (2, kept.to_vec()));
    let graph = document.graph();
    assert_eq!(named(graph, "conv1").input[0], "input");
    assert_eq!(named(graph, "maxpool").input, ["relu"]);
    assert_eq!(
        document
            .tensor(&named(graph, "conv1").input[1])
            .unwrap()
            .elem_type(),
        DataType::Float
    );
    assert_eq!(named(graph, "conv2").input[0], "maxpool_dequantized");
    // The other way round: what comes as integers is read through the node that dequantises.
    let kept = ["conv2", "add", "pool"].map(str::to_owned);
    let report = quantize(&mut integers_first, &ranges, Scheme::Asymmetric, &kept).unwrap();
    assert_eq!((report.nodes, report.kept), (2, kept.to_vec()));
    let graph = integers_first.graph();
    assert_eq!(named(graph, "conv2").input[0], "maxpool_dequantized");
    assert_eq!(named(graph, "add").input, ["conv2", "maxpool_dequantized"]);
    assert_eq!(named(graph, "pool").input, ["relu2"]);
    let mut other = residual();
    prepare(&mut other).unwrap();
    for (kept, expected) in [
        (&["relu"][..], "the model has no node `relu`"),
        (
            &["fc", "conv1", "conv2"],
            "every convolution and matrix product would stay",
        ),
    ] {
        let kept: Vec<String> = kept.iter().map(|name| (*name).to_owned()).collect();
        let error = quantize(&mut other, &ranges, Scheme::Asymmetric, &kept).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn symmetric_integers_have_zero_in_the_middle_and_leave_biases_alone() {
    let mut document = residual();
    prepare(&mut document).unwrap();
    let ranges = ranges(&document);
    quantize(&mut document, &ranges, Scheme::Symmetric, &[]).unwrap();
    for tensor in &document.graph().initializer {
        let tensor = Tensor::from_proto(tensor).unwrap();
        match &tensor.data {
            TensorData::I8(values) if tensor.dims.is_empty() => assert_eq!(values, &[0]),
            TensorData::I8(_) | TensorData::F32(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(named(document.graph(), "conv2").input[2], "conv2.bias");
}

#[test]
fn a_value_without_a_range_is_named() {
    let mut document = residual();
    prepare(&mut document).unwrap();
    let mut ranges = ranges(&document);
    ranges.insert(
        "relu".to_owned(),
        Range {
            low: 0.0,
            high: f32::INFINITY,
        },
    );
    let error = quantize(&mut document, &ranges, Scheme::Asymmetric, &[]).unwrap_err();
    assert!(
        error.to_string().contains("`relu` has no finite range"),
        "{error}"
    );
}

#[test]
fn an_old_operator_set_becomes_13() {
    let mut graph = GraphBuilder::new("old");
    let x = graph.input("input", DataType::Float, &IMAGE);
    let w = graph.initializer("weight", &weights(&[4, 3, 1, 1]));
    let x = graph.conv("conv", &x, &w, None, Window::square(1, 1, 0));
    let bounds = vec![("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))];
    let x = graph.node("Clip", "clip", &[&x], bounds);
    let x = graph.global_average_pool("pool", &x);
    let axes = vec![("axes", Attr::Ints(vec![2, 3]))];
    let x = graph.node("Squeeze", "squeeze", &[&x], axes);
    let y = graph.node("Softmax", "softmax", &[&x], vec![]);
    graph.output(&y, "probs", DataType::Float, &[Dim::Unknown, Dim::Fixed(4)]);
    let info = ModelInfo {
        opset: 9,
        ir_version: 3,
        ..Default::default()
    };
    let mut document = graph.finish(&info).unwrap();
    prepare(&mut document).unwrap();
    assert_eq!((document.opset(), document.model.ir_version()), (13, 7));
    let graph = document.graph();
    for name in &named(graph, "clip").input[1..] {
        assert_eq!(document.tensor(name).unwrap().dims, [] as [usize; 0]);
    }
    let axes = document.tensor(&named(graph, "squeeze").input[1]).unwrap();
    assert_eq!(*axes.as_i64().unwrap(), [2, 3]);
    // The file says that it has two axes: the second is the last.
    assert_eq!(named(graph, "softmax").attribute[0].i(), 1);
    assert_eq!(
        calibrated_values(&document).unwrap(),
        ["input", "clip", "pool"]
    );
}

#[test]
fn operators_that_are_gone_in_opset_13_are_refused_by_name() {
    for op in ["Upsample", "Scatter"] {
        let mut graph = GraphBuilder::new("old");
        let x = graph.input("input", DataType::Float, &IMAGE);
        let scales = graph.initializer("scales", &Tensor::f32(&[4], vec![1.0; 4]).unwrap());
        let x = graph.node(op, "gone", &[&x, &scales], vec![]);
        graph.output(&x, "y", DataType::Float, &IMAGE);
        let info = ModelInfo {
            opset: 9,
            ir_version: 3,
            ..Default::default()
        };
        let error = prepare(&mut graph.finish(&info).unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(op) && text.contains("gone"), "{text}");
    }
}

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

#[test]
fn other_peoples_files_convert_or_say_why_not() {
    let Some(folder) = shared("onnx") else { return };
    let already = "the model is quantised already";
    let cases = [
        ("mesonet_tf2onnx_op15_nhwc", None),
        ("mnist_pytorch_dynamo_op18", None),
        ("mobilenetv2_int8dyn_pytorch_op15", Some(already)),
        ("paddle_textdir_cls_op10", None),
        ("resnet20_cifar10_pytorch_op9", None),
        (
            "squeezenet_fp16_caffe2_op7",
            Some("no weights in single precision"),
        ),
    ];
    for (name, refusal) in cases {
        let mut document = Document::open(&folder.join(format!("{name}.onnx"))).unwrap();
        match (to_half(&mut document), refusal) {
            (Ok(report), None) => assert_eq!(report.kept, [], "{name}"),
            (Err(error), Some(refusal)) => assert!(error.to_string().contains(refusal), "{error}"),
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn the_bias_behind_an_output_of_the_graph_stays_in_single_precision() {
    let mut graph = GraphBuilder::new("two outputs");
    let x = graph.input("input", DataType::Float, &[Dim::Unknown, Dim::Fixed(4)]);
    let features = graph.relu("relu", &x);
    graph.output(
        &features,
        "features",
        DataType::Float,
        &[Dim::Unknown, Dim::Fixed(4)],
    );
    let w = graph.initializer("fc.weight", &weights(&[2, 4]));
    let b = graph.initializer("fc.bias", &weights(&[2]));
    let y = graph.gemm("fc", "features", &w, &b);
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &[Dim::Unknown, Dim::Fixed(2)],
    );
    let mut document = graph.finish(&ModelInfo::default()).unwrap();
    prepare(&mut document).unwrap();
    // An output is not quantised, so that an integer bias would have no scale.
    let report = quantize(&mut document, &HashMap::new(), Scheme::Asymmetric, &[]).unwrap();
    assert_eq!((report.nodes, report.values), (1, 0));
    let fc = named(document.graph(), "fc");
    assert_eq!(
        fc.input[..],
        ["features", "fc.weight_dequantized", "fc.bias"]
    );
}

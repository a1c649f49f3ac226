//! Building graphs and changing them.
#![allow(clippy::unwrap_used, reason = "tests may")]

use classifold_onnx::proto::{
    DataType, FunctionProto, GraphProto, NodeProto, TensorAnnotation, type_proto,
};
use classifold_onnx::{
    Activation, Attr, BatchNormInputs, Dim, Document, GraphBuilder, ModelInfo, Tensor, ValueInfo,
    Window, node, surgery,
};

fn filled(dims: &[usize]) -> Tensor {
    Tensor::f32(dims, vec![0.25; dims.iter().product()]).unwrap()
}

/// One of every operator: a residual cell of version (A) with stem and head.
fn small_resnet() -> Document {
    let mut graph = GraphBuilder::new("small_resnet");
    let dims = [
        "batch".into(),
        Dim::Fixed(3),
        Dim::Fixed(32),
        Dim::Fixed(48),
    ];
    let x = graph.input("input", DataType::Float, &dims);
    for (name, dims) in [
        ("conv1.weight", vec![4, 3, 7, 7]),
        ("conv1.bias", vec![4]),
        ("bn1.weight", vec![4]),
        ("bn1.bias", vec![4]),
        ("bn1.running_mean", vec![4]),
        ("bn1.running_var", vec![4]),
        ("cell1.conv1.weight", vec![8, 4, 3, 3]),
        ("cell1.project.weight", vec![8, 4, 1, 1]),
        ("fc.weight", vec![2, 8]),
        ("fc.bias", vec![2]),
    ] {
        graph.initializer(name, &filled(&dims));
    }
    let stem = Window::square(7, 2, 3);
    let x = graph.conv("conv1", &x, "conv1.weight", Some("conv1.bias"), stem);
    let x = graph.max_pool("maxpool", &x, Window::square(3, 2, 1));
    let norm = BatchNormInputs {
        scale: "bn1.weight",
        bias: "bn1.bias",
        mean: "bn1.running_mean",
        var: "bn1.running_var",
    };
    let x = graph.batch_norm("bn1", &x, norm, 1e-5);
    let x = graph.relu("relu", &x);
    let y = graph.conv(
        "cell1.conv1",
        &x,
        "cell1.conv1.weight",
        None,
        Window::square(3, 2, 1),
    );
    let p = graph.conv(
        "cell1.project",
        &x,
        "cell1.project.weight",
        None,
        Window::square(1, 2, 0),
    );
    let x = graph.add("cell1.add", &p, &y);
    let x = graph.global_average_pool("avgpool", &x);
    let x = graph.flatten("flatten", &x);
    let x = graph.gemm("fc", &x, "fc.weight", "fc.bias");
    graph.output(
        &x,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(2)],
    );
    graph
        .finish(&ModelInfo {
            producer_name: "onnx-classifier".into(),
            ..Default::default()
        })
        .unwrap()
}

#[test]
fn a_built_graph_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small_resnet.onnx");
    let built = small_resnet();
    built.save(&path).unwrap();
    let read = Document::open(&path).unwrap();
    assert!(read.model == built.model);
    read.check().unwrap();
    assert_eq!(
        read.inputs()[0].to_string(),
        "input: Float [batch, 3, 32, 48]"
    );
    assert_eq!(read.outputs()[0].to_string(), "logits: Float [batch, 2]");
    let ops: Vec<&str> = read
        .graph()
        .node
        .iter()
        .map(|node| node.op_type())
        .collect();
    let expected =
        "Conv MaxPool BatchNormalization Relu Conv Conv Add GlobalAveragePool Flatten Gemm";
    assert_eq!(ops.join(" "), expected);
    let pads = &read.graph().node[0]
        .attribute
        .iter()
        .find(|a| a.name() == "pads")
        .unwrap()
        .ints;
    assert_eq!(*pads, [3, 3, 3, 3]);
    if let Some(keep) = std::env::var_os("ONNX_TEST_OUT") {
        fs_err::copy(&path, std::path::Path::new(&keep).join("small_resnet.onnx")).unwrap();
    }
}

#[test]
fn graphs_that_break_a_rule_are_not_finished() {
    let shape = [Dim::Fixed(1)];
    let base = || {
        let mut graph = GraphBuilder::new("g");
        graph.input("x", DataType::Float, &shape);
        graph
    };
    let finish = |graph: GraphBuilder| graph.finish(&ModelInfo::default());
    let refuse = |graph: GraphBuilder, expected: &str| {
        let error = finish(graph).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    refuse(base(), "it has no output");
    let mut graph = base();
    let y = graph.add("sum", "x", "nowhere");
    graph.output(&y, "y", DataType::Float, &shape);
    refuse(graph, "node 0 (`sum`, Add) takes `nowhere`");
    let mut graph = base();
    graph.relu("y", "x");
    graph.relu("y", "x");
    graph.output("y", "y", DataType::Float, &shape);
    refuse(graph, "gives `y` a second time");
    let mut graph = base();
    graph.initializer("x", &filled(&[1]));
    graph.output("x", "y", DataType::Float, &shape);
    refuse(graph, "`x` is an input and an initializer");
    let mut graph = base();
    graph.initializer("w", &filled(&[1]));
    graph.initializer("w", &filled(&[1]));
    graph.output("x", "y", DataType::Float, &shape);
    refuse(graph, "named `w`");
    let mut graph = base();
    graph.initializer(
        "w",
        &Tensor {
            dims: vec![7],
            ..filled(&[1])
        },
    );
    graph.output("x", "y", DataType::Float, &shape);
    let error = finish(graph).unwrap_err().to_string();
    assert!(error.contains("is damaged"), "{error}");
}

#[test]
fn an_input_or_an_output_comes_out_through_identity() {
    let shape = [Dim::Fixed(1)];
    let mut graph = GraphBuilder::new("g");
    let x = graph.input("x", DataType::Float, &shape);
    let y = graph.relu("relu", &x);
    graph.output(&x, "same", DataType::Float, &shape);
    graph.output(&y, "y", DataType::Float, &shape);
    graph.output("y", "y2", DataType::Float, &shape);
    let document = graph.finish(&ModelInfo::default()).unwrap();
    let names: Vec<String> = document
        .outputs()
        .into_iter()
        .map(|info| info.name)
        .collect();
    assert_eq!(names, ["same", "y", "y2"]);
    assert_eq!(document.inputs()[0].name, "x");
    let nodes = document.graph().node.iter();
    assert_eq!(nodes.filter(|node| node.op_type() == "Identity").count(), 2);
}

#[test]
fn producers_and_consumers_are_found() {
    let document = small_resnet();
    let graph = document.graph();
    assert_eq!(surgery::producer(graph, "relu"), Some(3));
    assert_eq!(surgery::producer(graph, "input"), None);
    assert_eq!(surgery::producer(graph, ""), None);
    assert_eq!(surgery::consumers(graph, "relu"), [4, 5]);
    assert_eq!(surgery::consumers(graph, "logits"), [] as [usize; 0]);
    assert!(surgery::is_output(graph, "logits") && !surgery::is_output(graph, "relu"));
    assert_eq!(surgery::unique_name(graph, "relu"), "relu_1");
    assert_eq!(surgery::unique_name(graph, "head"), "head");
}

#[test]
fn pruning_keeps_what_the_new_output_needs() {
    let mut document = small_resnet();
    let graph = document.graph_mut();
    let info = ValueInfo::new("cell1.conv1", DataType::Float, vec![]);
    graph.value_info = vec![
        info.to_proto(),
        ValueInfo {
            name: "flatten".into(),
            ..info
        }
        .to_proto(),
    ];
    let features = ValueInfo::new(
        "flatten",
        DataType::Float,
        vec!["batch".into(), Dim::Fixed(8)],
    );
    surgery::set_outputs(graph, &[features]);
    assert_eq!(surgery::prune(graph), (1, 2));
    assert!(
        graph
            .initializer
            .iter()
            .all(|tensor| !tensor.name().starts_with("fc."))
    );
    assert_eq!(graph.value_info.len(), 2);
    assert_eq!(surgery::prune(graph), (0, 0));
    let stem = ValueInfo::new("relu", DataType::Float, vec![]);
    surgery::set_outputs(graph, &[stem]);
    assert_eq!(surgery::prune(graph), (5, 2));
    assert_eq!(
        graph.value_info.len(),
        0,
        "values that are gone are not described"
    );
    document.check().unwrap();
}

/// `If(cond) { relu(hidden) + w } else { hidden }`: the branches take values from outside.
fn branching() -> GraphProto {
    let shape = [Dim::Fixed(1)];
    let info = |name: &str| ValueInfo::new(name, DataType::Float, shape.to_vec()).to_proto();
    let mut graph = GraphBuilder::new("branching");
    graph.input("x", DataType::Float, &shape);
    graph.input("cond", DataType::Bool, &[]);
    graph.initializer("w", &filled(&[1]));
    graph.initializer("unused", &filled(&[1]));
    graph.relu("hidden", "x");
    graph.relu("dead", "x");
    let then_branch = GraphProto {
        name: Some("then".into()),
        node: vec![
            node("Relu", "inner", &["hidden"], &["inner"], vec![]),
            node("Add", "sum", &["inner", "w"], &["then_out"], vec![]),
        ],
        output: vec![info("then_out")],
        ..Default::default()
    };
    let else_branch = GraphProto {
        name: Some("else".into()),
        node: vec![node("Identity", "same", &["hidden"], &["else_out"], vec![])],
        output: vec![info("else_out")],
        ..Default::default()
    };
    let attributes = vec![
        ("then_branch", Attr::Graph(Box::new(then_branch))),
        ("else_branch", Attr::Graph(Box::new(else_branch))),
    ];
    graph.push(node("If", "if", &["cond"], &["out"], attributes));
    graph.output("out", "y", DataType::Float, &shape);
    let document = graph.finish(&ModelInfo::default()).unwrap();
    if let Some(keep) = std::env::var_os("ONNX_TEST_OUT") {
        document
            .save(&std::path::Path::new(&keep).join("branching.onnx"))
            .unwrap();
    }
    document.model.graph.unwrap()
}

#[test]
fn values_that_only_a_branch_takes_are_kept() {
    let mut graph = branching();
    assert_eq!(surgery::consumers(&graph, "hidden"), [2]);
    assert_eq!(surgery::consumers(&graph, "w"), [2]);
    assert_eq!(surgery::prune(&mut graph), (1, 1));
    let names: Vec<&str> = graph.node.iter().map(|node| node.name()).collect();
    assert_eq!(names, ["hidden", "if"]);
    assert_eq!(graph.initializer[0].name(), "w");
}

#[test]
fn a_value_is_renamed_in_branches_too() {
    let mut graph = branching();
    surgery::rename_value(&mut graph, "hidden", "h2");
    assert_eq!(surgery::consumers(&graph, "h2"), [2]);
    assert!(surgery::consumers(&graph, "hidden").is_empty());
    assert_eq!(surgery::producer(&graph, "h2"), Some(0));
}

#[test]
fn initializers_that_are_inputs_go_together() {
    let mut document = small_resnet();
    let graph = document.graph_mut();
    for name in ["fc.weight", "conv1.weight"] {
        graph
            .input
            .push(ValueInfo::new(name, DataType::Float, vec![]).to_proto());
    }
    let annotated = |name: &str| TensorAnnotation {
        tensor_name: Some(name.into()),
        ..Default::default()
    };
    graph.quantization_annotation = vec![annotated("logits"), annotated("relu")];
    assert_eq!(document.inputs().len(), 1);
    let graph = document.graph_mut();
    surgery::set_outputs(graph, &[ValueInfo::new("flatten", DataType::Float, vec![])]);
    surgery::prune(graph);
    let names: Vec<&str> = graph.input.iter().map(|input| input.name()).collect();
    assert_eq!(names, ["input", "conv1.weight"]);
    assert_eq!(graph.quantization_annotation, [annotated("relu")]);
}

#[test]
fn the_batch_becomes_dynamic_and_stale_shapes_go() {
    let shape = |dims: &[i64]| dims.iter().map(|dim| Dim::Fixed(*dim)).collect::<Vec<_>>();
    let mut document = small_resnet();
    let graph = document.graph_mut();
    graph.input = vec![
        ValueInfo::new("input", DataType::Float, shape(&[1, 3, 32, 48])).to_proto(),
        ValueInfo::new("conv1.weight", DataType::Float, shape(&[4, 3, 7, 7])).to_proto(),
        ValueInfo::new("threshold", DataType::Float, shape(&[1])).to_proto(),
    ];
    graph.output = vec![ValueInfo::new("logits", DataType::Float, shape(&[1, 2])).to_proto()];
    graph.value_info =
        vec![ValueInfo::new("relu", DataType::Float, shape(&[1, 4, 8, 12])).to_proto()];
    surgery::set_batch_dynamic(graph);
    assert!(graph.value_info.is_empty());
    let read = |info| ValueInfo::from_proto(info).to_string();
    assert_eq!(read(&graph.input[0]), "input: Float [batch, 3, 32, 48]");
    assert_eq!(read(&graph.input[1]), "conv1.weight: Float [4, 3, 7, 7]");
    assert_eq!(read(&graph.input[2]), "threshold: Float [1]");
    assert_eq!(read(&graph.output[0]), "logits: Float [batch, 2]");
    graph.value_info =
        vec![ValueInfo::new("relu", DataType::Float, vec!["batch".into()]).to_proto()];
    surgery::set_batch_dynamic(graph);
    assert_eq!(
        graph.value_info.len(),
        1,
        "a batch that is dynamic already changes nothing"
    );
}

#[test]
fn values_that_are_no_tensors_have_no_type_and_no_shape() {
    let sequence = type_proto::Sequence::default();
    let mut proto = ValueInfo::new("probabilities", DataType::Float, vec![]).to_proto();
    proto.r#type.as_mut().unwrap().value = Some(type_proto::Value::SequenceType(sequence));
    let info = ValueInfo::from_proto(&proto);
    assert_eq!((info.elem_type, info.ranked), (DataType::Undefined, false));
    assert_eq!(info.to_string(), "probabilities: Undefined [?]");
}

/// Reshapes of the input, of a constant, and of the input where a zero would be a size, by shapes that all
/// begin with the batch size; that of `empty` holds a zero.
fn reshaping(batch: Dim) -> GraphProto {
    let mut graph = GraphBuilder::new("reshaping");
    graph.input("x", DataType::Float, &[batch.clone(), Dim::Fixed(4)]);
    graph.initializer("w", &filled(&[4]));
    for name in ["to_square", "of_weight", "literal", "shared", "empty"] {
        let last = if name == "empty" { 0 } else { 2 };
        graph.initializer(name, &Tensor::i64(&[3], vec![1, 2, last]).unwrap());
    }
    graph.node("Reshape", "a", &["x", "to_square"], vec![]);
    graph.node("Reshape", "b", &["w", "of_weight"], vec![]);
    graph.node(
        "Reshape",
        "c",
        &["x", "literal"],
        vec![("allowzero", Attr::Int(1))],
    );
    graph.node(
        "Reshape",
        "f",
        &["x", "empty"],
        vec![("allowzero", Attr::Int(1))],
    );
    graph.node("Reshape", "d", &["x", "shared"], vec![]);
    graph.node("Reshape", "e", &["w", "shared"], vec![]);
    for name in ["a", "b", "c", "d", "e", "f"] {
        graph.output(
            name,
            &format!("{name}_out"),
            DataType::Float,
            std::slice::from_ref(&batch),
        );
    }
    graph
        .finish(&ModelInfo::default())
        .unwrap()
        .model
        .graph
        .unwrap()
}

#[test]
fn only_shapes_that_hold_the_batch_are_freed() {
    let mut graph = reshaping(Dim::Fixed(1));
    let before = graph.initializer.clone();
    let freed = surgery::set_batch_dynamic(&mut graph);
    assert_eq!(freed, ["to_square", "literal"]);
    let takes_zero = |node: &&NodeProto| node.attribute.iter().any(|a| a.name() == "allowzero");
    let nodes: Vec<_> = graph.node.iter().filter(takes_zero).collect();
    assert_eq!(
        nodes.len(),
        1,
        "a zero of `literal` means the size of the input now"
    );
    assert_eq!(nodes[0].name(), "f");
    let changed = graph
        .initializer
        .iter()
        .zip(&before)
        .filter(|(new, old)| new != old);
    let changed: Vec<_> = changed.map(|(new, _)| new).collect();
    assert_eq!(changed.len(), 2);
    for shape in changed {
        let shape = Tensor::from_proto(shape).unwrap();
        assert_eq!(*shape.as_i64().unwrap(), [0, 2, 2]);
    }
    assert!(surgery::set_batch_dynamic(&mut reshaping("batch".into())).is_empty());
    assert!(surgery::set_batch_dynamic(&mut reshaping(Dim::Fixed(8))).is_empty());
}

/// Output sizes and paddings of TensorFlow's `SAME` by its formula: `ceil(size / stride)`, the odd one at the end.
#[test]
fn padding_same_is_tensorflows() {
    for (kernel_size, stride, size, padding) in [
        (3, 1, 112, [1, 1, 1, 1]),
        (3, 2, 224, [0, 0, 1, 1]),
        (3, 2, 7, [1, 1, 1, 1]),
        (5, 2, 56, [1, 1, 2, 2]),
        (5, 2, 57, [2, 2, 2, 2]),
        (1, 2, 8, [0, 0, 0, 0]),
    ] {
        let window = Window::same(kernel_size, stride, size);
        assert_eq!(window.padding, padding, "{kernel_size} {stride} {size}");
        let padded = size + padding[0] + padding[2];
        assert_eq!((padded - kernel_size) / stride + 1, size.div_ceil(stride));
    }
}

#[test]
fn a_depthwise_convolution_has_its_groups_and_the_padding_of_each_side() {
    let mut graph = GraphBuilder::new("depthwise");
    let dims = ["batch".into(), Dim::Fixed(4), Dim::Fixed(8), Dim::Fixed(8)];
    let x = graph.input("input", DataType::Float, &dims);
    graph.initializer("weight", &filled(&[4, 1, 3, 3]));
    for (name, bound) in [("min", 0.0), ("max", 6.0)] {
        graph.initializer(name, &Tensor::f32(&[], vec![bound]).unwrap());
    }
    let x = graph.grouped_conv("conv", &x, "weight", 4, Window::same(3, 2, 8));
    let x = graph.clip("relu6", &x, "min", "max");
    let dims = ["batch".into(), Dim::Fixed(4), Dim::Fixed(4), Dim::Fixed(4)];
    graph.output(&x, "y", DataType::Float, &dims);
    let document = graph.finish(&ModelInfo::default()).unwrap();
    let [conv, clip] = document.graph().node.as_slice() else {
        panic!("{:?}", document.graph().node);
    };
    let attribute = |name: &str| {
        let mut attributes = conv.attribute.iter();
        attributes
            .find(|attribute| attribute.name() == name)
            .unwrap()
    };
    assert_eq!(attribute("group").i(), 4);
    assert_eq!(attribute("pads").ints, [0, 0, 1, 1]);
    assert_eq!(attribute("strides").ints, [2, 2]);
    assert_eq!(clip.input, ["conv", "min", "max"]);
}

/// The activation of the output `y` of a model whose last nodes are these.
fn activation_of(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> Option<Activation> {
    let mut graph = GraphBuilder::new("head");
    graph.input("x", DataType::Float, &["batch".into(), Dim::Fixed(3)]);
    graph.initializer("two", &Tensor::f32(&[], vec![2.0]).unwrap());
    nodes.into_iter().for_each(|node| graph.push(node));
    graph.output(
        "y",
        "scores",
        DataType::Float,
        &["batch".into(), Dim::Fixed(3)],
    );
    let mut model = graph.finish(&ModelInfo::default()).unwrap().model;
    model.functions = functions;
    Activation::of(&model, "scores")
}

#[test]
fn an_activation_is_told_from_arithmetic_around_it() {
    let softmax = || node("Softmax", "softmax", &["x"], &["p"], vec![]);
    let halved = || node("Div", "halved", &["p", "two"], &["y"], vec![]);
    let found = activation_of(vec![softmax(), halved()], vec![]);
    assert_eq!(found, Some(Activation::Softmax));
    // 1 / (1 + exp(-x)), and the same without the exponential.
    let logistic = |inner: &str| {
        vec![
            node("Neg", "neg", &["x"], &["minus"], vec![]),
            node(inner, "inner", &["minus"], &["e"], vec![]),
            node("Add", "add", &["e", "two"], &["sum"], vec![]),
            node("Reciprocal", "inverse", &["sum"], &["y"], vec![]),
        ]
    };
    assert_eq!(
        activation_of(logistic("Exp"), vec![]),
        Some(Activation::Sigmoid)
    );
    assert_eq!(activation_of(logistic("Abs"), vec![]), None);
    let names = [
        Activation::Softmax,
        Activation::LogSoftmax,
        Activation::Sigmoid,
    ];
    assert_eq!(
        names.map(|name| name.to_string()),
        ["softmax", "log-softmax", "sigmoid"]
    );
}

#[test]
fn an_activation_is_found_in_a_function_of_the_file() {
    let function = FunctionProto {
        name: Some("Head".into()),
        domain: Some("own".into()),
        input: vec!["a".into()],
        output: vec!["other".into(), "b".into()],
        node: vec![
            node("Relu", "relu", &["a"], &["other"], vec![]),
            node("LogSoftmax", "log", &["a"], &["b"], vec![]),
        ],
        ..Default::default()
    };
    let call = |outputs: &[&str]| {
        let mut call = node("Head", "call", &["x"], outputs, vec![]);
        call.domain = Some("own".into());
        activation_of(vec![call], vec![function.clone()])
    };
    assert_eq!(call(&["z", "y"]), Some(Activation::LogSoftmax));
    assert_eq!(call(&["y", "z"]), None);
}

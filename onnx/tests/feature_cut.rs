//! Cuts before the classification layer: one small graph for each rule.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use classifold_onnx::proto::{DataType, TypeProto, type_proto};
use classifold_onnx::{
    Attr, CutRule, Dim, Document, FeatureCut, GraphBuilder, ModelInfo, Tensor, ValueInfo, Window,
    node, untrainable_operators,
};

const FEATURES: usize = 4;
const CLASSES: usize = 3;

fn filled(dims: &[usize]) -> Tensor {
    Tensor::f32(dims, vec![0.25; dims.iter().product()]).unwrap()
}

/// A graph of images `[N, 4, 8, 8]`, and the name of their value.
fn images() -> (GraphBuilder, String) {
    let mut graph = GraphBuilder::new("net");
    let dims = [
        "batch".into(),
        Dim::Fixed(FEATURES as i64),
        Dim::Fixed(8),
        Dim::Fixed(8),
    ];
    let x = graph.input("image", DataType::Float, &dims);
    let x = graph.relu("map", &x);
    (graph, x)
}

/// As [`images`], averaged and flattened: `features`, `[N, 4]`.
fn rows() -> (GraphBuilder, String) {
    let (mut graph, x) = images();
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("row", &x);
    (graph, x)
}

fn finish(mut graph: GraphBuilder, output: &str, dims: &[Dim]) -> Document {
    graph.output(output, "out", DataType::Float, dims);
    graph.finish(&ModelInfo::default()).unwrap()
}

fn classes() -> [Dim; 2] {
    ["batch".into(), Dim::Fixed(CLASSES as i64)]
}

fn fully_connected(graph: &mut GraphBuilder, name: &str, x: &str) -> String {
    let weight = graph.initializer(&format!("{name}.w"), &filled(&[CLASSES, FEATURES]));
    let bias = graph.initializer(&format!("{name}.b"), &filled(&[CLASSES]));
    graph.gemm(name, x, &weight, &bias)
}

fn cut(document: &Document) -> (Vec<String>, CutRule, Option<usize>) {
    let cut = FeatureCut::find(document).unwrap();
    let width = cut.width();
    (cut.values, cut.rule, width)
}

/// The operators that lead from the cut to `logits` once the layer is replaced, and the output.
fn replaced(document: &Document) -> String {
    let cut = FeatureCut::find(document).unwrap();
    let mut new = document.clone();
    cut.replace_layer(&mut new, &filled(&[2, FEATURES]), &filled(&[2]))
        .unwrap();
    // What stays keeps its bytes and its order.
    let old = &document.graph().node;
    let kept = new
        .graph()
        .node
        .iter()
        .take_while(|node| old.contains(node))
        .count();
    let added: Vec<&str> = new.graph().node[kept..]
        .iter()
        .map(|node| node.op_type())
        .collect();
    assert_eq!(new.outputs()[0].to_string(), "logits: Float [batch, 2]");
    for tensor in &new.graph().initializer {
        let own = ["fc.weight", "fc.bias"].contains(&tensor.name());
        assert!(
            own || document.graph().initializer.contains(tensor),
            "{}",
            tensor.name()
        );
    }
    let mut features = document.clone();
    cut.cut(&mut features).unwrap();
    assert_eq!(features.outputs().len(), 1);
    assert!(
        features.outputs()[0].name.starts_with("features"),
        "{}",
        features.outputs()[0]
    );
    added.join(" ")
}

#[test]
fn a_gemm_is_cut_at_its_input() {
    let (mut graph, x) = rows();
    let y = fully_connected(&mut graph, "fc", &x);
    let y = graph.node("Softmax", "probabilities", &[&y], vec![]);
    let document = finish(graph, &y, &classes());
    assert_eq!(
        cut(&document),
        (vec!["row".into()], CutRule::FullyConnected, Some(FEATURES))
    );
    assert_eq!(replaced(&document), "Gemm");
}

#[test]
fn a_matmul_with_its_bias_after_it_is_cut_at_its_input() {
    let (mut graph, x) = rows();
    // Stored as [K, D], quantised, and turned: still constant.
    let weight = graph.initializer("w", &filled(&[CLASSES, FEATURES]));
    let weight = graph.node(
        "Transpose",
        "turned",
        &[&weight],
        vec![("perm", Attr::Ints(vec![1, 0]))],
    );
    let y = graph.node("MatMul", "product", &[&x, &weight], vec![]);
    let bias = graph.initializer("b", &filled(&[CLASSES]));
    let y = graph.add("sum", &bias, &y);
    let document = finish(graph, &y, &classes());
    let found = FeatureCut::find(&document).unwrap();
    assert_eq!(
        (found.width(), found.layers[0].classes),
        (Some(FEATURES), Some(CLASSES))
    );
    assert!(!found.layers[0].rows_are_classes && found.layers[0].bias.is_none());
    assert_eq!(replaced(&document), "Flatten Gemm");
}

fn one_by_one(graph: &mut GraphBuilder, x: &str, classes: usize) -> String {
    let weight = graph.initializer("w", &filled(&[classes, FEATURES, 1, 1]));
    graph.conv("classifier", x, &weight, None, Window::square(1, 1, 0))
}

#[test]
fn a_convolution_of_one_pixel_is_a_layer() {
    let (mut graph, x) = images();
    let x = graph.global_average_pool("pool", &x);
    let y = one_by_one(&mut graph, &x, CLASSES);
    let y = graph.flatten("flat", &y);
    let document = finish(graph, &y, &classes());
    assert_eq!(
        cut(&document),
        (vec!["pool".into()], CutRule::Convolution, Some(FEATURES))
    );
    assert_eq!(replaced(&document), "Flatten Gemm");
}

#[test]
fn a_convolution_before_the_mean_is_a_layer_where_it_makes_classes() {
    let squeezenet = |classes: usize| {
        let (mut graph, x) = images();
        let y = one_by_one(&mut graph, &x, classes);
        let y = graph.relu("relu", &y);
        let y = graph.global_average_pool("pool", &y);
        let y = graph.flatten("flat", &y);
        finish(graph, &y, &["batch".into(), Dim::Fixed(classes as i64)])
    };
    let document = squeezenet(CLASSES);
    assert_eq!(
        cut(&document),
        (
            vec!["map".into()],
            CutRule::PooledConvolution,
            Some(FEATURES)
        )
    );
    assert_eq!(replaced(&document), "GlobalAveragePool Flatten Gemm");
    // More channels than before, as the last convolution of a network without a head has.
    let document = squeezenet(9);
    assert_eq!(cut(&document), (vec!["out".into()], CutRule::Output, None));
    assert_eq!(replaced(&document), "Flatten Gemm");
    assert_eq!(cut(&squeezenet(1000)).1, CutRule::PooledConvolution);
}

#[test]
fn two_layers_that_are_added_are_cut_at_both_inputs() {
    let distilled = |own_inputs: bool| {
        let (mut graph, x) = rows();
        let token = if own_inputs {
            graph.relu("token", &x)
        } else {
            x.clone()
        };
        let y = fully_connected(&mut graph, "head", &x);
        let z = fully_connected(&mut graph, "head_dist", &token);
        let y = graph.add("sum", &y, &z);
        let two = graph.initializer("two", &Tensor::f32(&[], vec![2.0]).unwrap());
        let y = graph.node("Div", "mean", &[&y, &two], vec![]);
        finish(graph, &y, &classes())
    };
    let document = distilled(true);
    let two = vec!["row".to_owned(), "token".to_owned()];
    assert_eq!(
        cut(&document),
        (two, CutRule::TwoLayers, Some(2 * FEATURES))
    );
    assert_eq!(replaced(&document), "Concat Gemm");
    assert_eq!(
        cut(&distilled(false)),
        (vec!["row".into()], CutRule::TwoLayers, Some(FEATURES))
    );
}

#[test]
fn without_a_layer_the_output_is_the_features() {
    let (graph, x) = rows();
    let document = finish(graph, &x, &["batch".into(), Dim::Fixed(FEATURES as i64)]);
    assert_eq!(cut(&document), (vec!["out".into()], CutRule::Output, None));
    let found = FeatureCut::find(&document).unwrap();
    let mut features = document;
    found.cut(&mut features).unwrap();
    assert_eq!(
        features.outputs()[0].to_string(),
        "features: Float [batch, ?]"
    );
}

/// The type of a tensor whose shape the file leaves out.
fn typed_without_shape() -> TypeProto {
    let tensor = type_proto::Tensor {
        elem_type: Some(DataType::Float as i32),
        shape: None,
    };
    TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        denotation: None,
    }
}

#[test]
fn of_several_outputs_the_known_one_is_taken() {
    let (mut graph, x) = rows();
    let shape = graph.initializer("shape", &Tensor::i64(&[3], vec![0, 2, 2]).unwrap());
    let tokens = graph.node("Reshape", "tokens", &[&x, &shape], vec![]);
    let dims = ["batch".into(), Dim::Fixed(2), Dim::Fixed(2)];
    graph.output(&tokens, "last_hidden_state", DataType::Float, &dims);
    let pooled = graph.node("Tanh", "tanh", &[&x], vec![]);
    let row = ["batch".into(), Dim::Fixed(FEATURES as i64)];
    graph.output(&pooled, "pooler_output", DataType::Float, &row);
    let document = graph.finish(&ModelInfo::default()).unwrap();
    assert_eq!(
        cut(&document),
        (vec!["pooler_output".into()], CutRule::Output, None)
    );
    // Without a shape it may be a row.
    let mut unranked = document.clone();
    unranked.graph_mut().output[1].r#type = Some(typed_without_shape());
    assert_eq!(cut(&unranked).0, ["pooler_output"]);
    // A detector: boxes, and numbers for them.
    let mut detector = document;
    detector.graph_mut().output[1] = ValueInfo::new(
        "pooler_output",
        DataType::Float,
        vec!["batch".into(), 5.into(), 6.into()],
    )
    .to_proto();
    let error = FeatureCut::find(&detector).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("none of its outputs is known as features"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("name the value"));
}

#[test]
fn a_named_value_is_taken_and_an_unknown_name_gets_the_nearest() {
    let (mut graph, x) = rows();
    let y = fully_connected(&mut graph, "fc", &x);
    let document = finish(graph, &y, &classes());
    let found = FeatureCut::at(&document, "pool").unwrap();
    assert_eq!(
        (found.values, found.rule),
        (vec!["pool".to_owned()], CutRule::Named)
    );
    let error = FeatureCut::at(&document, "pol").unwrap_err();
    assert_eq!(error.to_string(), "the model computes no value `pol`");
    assert!(
        error.hint().unwrap().contains("nearest names are `pool`"),
        "{:?}",
        error.hint()
    );
}

#[test]
fn integers_that_depend_on_the_old_layer_are_refused_by_their_operator() {
    for op in ["DynamicQuantizeLinear", "QLinearConv", "QGemm"] {
        let (mut graph, x) = rows();
        let y = graph.node(op, "quantised", &[&x], vec![]);
        let document = finish(graph, &y, &classes());
        let error = FeatureCut::find(&document).unwrap_err();
        assert!(error.to_string().contains(&format!("`{op}`")), "{error}");
        assert!(error.hint().unwrap().contains("single-precision"));
        // Also where the features are named.
        assert!(FeatureCut::at(&document, "row").is_err());
    }
}

#[test]
fn a_function_at_the_end_is_refused_for_it_may_hold_the_layer() {
    let (mut graph, x) = rows();
    let mut call = node("Head", "call", &[&x], &["scores"], vec![]);
    call.domain = Some("own".into());
    graph.push(call);
    let document = finish(graph, "scores", &classes());
    let error = FeatureCut::find(&document).unwrap_err();
    assert!(error.to_string().contains("ends in `own::Head`"), "{error}");
    assert!(FeatureCut::at(&document, "row").is_ok());
}

#[test]
fn nodes_in_any_order_are_sorted_and_a_cycle_is_an_error() {
    let (mut graph, x) = rows();
    let y = fully_connected(&mut graph, "fc", &x);
    let mut document = finish(graph, &y, &classes());
    document.graph_mut().node.reverse();
    assert_eq!(
        cut(&document),
        (vec!["row".into()], CutRule::FullyConnected, Some(FEATURES))
    );
    let found = FeatureCut::find(&document).unwrap();
    found.cut(&mut document).unwrap();
    let order: Vec<&str> = document
        .graph()
        .node
        .iter()
        .map(|node| node.op_type())
        .collect();
    assert_eq!(order, ["Relu", "GlobalAveragePool", "Flatten"]);
    // The relu reads what it leads to.
    document.graph_mut().node[0].input[0] = "features".into();
    let error = found.cut(&mut document).unwrap_err().to_string();
    assert!(error.contains("cycle"), "{error}");
    // A walk along a cycle of moved values ends.
    let turn = |from: &str, to: &str| node("Identity", to, &[from], &[to], vec![]);
    document.graph_mut().node = vec![turn("image", "start"), turn("b", "a"), turn("a", "b")];
    document.graph_mut().output =
        vec![ValueInfo::new("b", DataType::Float, classes().to_vec()).to_proto()];
    assert_eq!(FeatureCut::find(&document).unwrap().rule, CutRule::Output);
}

#[test]
fn half_precision_is_cast_before_the_new_layer() {
    let (mut graph, x) = rows();
    let halves = Tensor {
        dims: vec![FEATURES, CLASSES],
        data: classifold_onnx::TensorData::F16(vec![0x3800; FEATURES * CLASSES]),
    };
    let weight = graph.initializer("w", &halves);
    let y = graph.node("MatMul", "product", &[&x, &weight], vec![]);
    let document = finish(graph, &y, &classes());
    assert_eq!(replaced(&document), "Cast Flatten Gemm");
}

#[test]
fn operators_that_cannot_be_trained_are_named_once() {
    let (mut graph, x) = rows();
    let x = graph.node("Softsign", "one", &[&x], vec![]);
    let x = graph.node("Softsign", "two", &[&x], vec![]);
    let y = fully_connected(&mut graph, "fc", &x);
    let y = graph.node("Hardmax", "three", &[&y], vec![]);
    assert_eq!(
        untrainable_operators(&finish(graph, &y, &classes())),
        ["Softsign", "Hardmax"]
    );
}

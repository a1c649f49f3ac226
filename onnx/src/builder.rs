//! Graph builder: a new graph, node by node. Knows no network; `ops` has a method for each operator.

mod ops;

pub use ops::{BatchNormInputs, Window};

use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
};
use crate::surgery;
use crate::tensor::Tensor;
use crate::value::{Dim, ValueInfo};
use crate::walk;

/// Value of a node's attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// A number.
    Float(f32),
    /// Text.
    Str(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// A tensor.
    Tensor(Tensor),
    /// A graph.
    Graph(Box<GraphProto>),
}

/// Creates the message of an attribute.
///
/// ```
/// use classifold_onnx::{Attr, attribute};
/// assert_eq!(attribute("axis", Attr::Int(1)).i(), 1);
/// ```
pub fn attribute(name: &str, value: Attr) -> AttributeProto {
    let mut proto = AttributeProto {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    let kind = match value {
        Attr::Int(i) => {
            proto.i = Some(i);
            AttributeType::Int
        }
        Attr::Float(f) => {
            proto.f = Some(f);
            AttributeType::Float
        }
        Attr::Str(s) => {
            proto.s = Some(s.into_bytes());
            AttributeType::String
        }
        Attr::Ints(ints) => {
            proto.ints = ints;
            AttributeType::Ints
        }
        Attr::Floats(floats) => {
            proto.floats = floats;
            AttributeType::Floats
        }
        Attr::Tensor(tensor) => {
            // The attribute has the name; its tensor needs none.
            proto.t = Some(Box::new(tensor.to_proto("")));
            AttributeType::Tensor
        }
        Attr::Graph(graph) => {
            proto.g = Some(graph);
            AttributeType::Graph
        }
    };
    proto.r#type = Some(kind as i32);
    proto
}

/// Creates the message of a node of ONNX's own domain.
///
/// ```
/// let relu = classifold_onnx::node("Relu", "relu1", &["x"], &["y"], vec![]);
/// assert_eq!(relu.op_type(), "Relu");
/// ```
pub fn node(
    op_type: &str,
    name: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: Vec<(&str, Attr)>,
) -> NodeProto {
    NodeProto {
        op_type: Some(op_type.to_owned()),
        name: Some(name.to_owned()),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: outputs.iter().map(|&output| output.to_owned()).collect(),
        attribute: attributes
            .into_iter()
            .map(|(name, value)| attribute(name, value))
            .collect(),
        ..Default::default()
    }
}

/// Versions and producer of a new model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Version of ONNX's own operator set.
    pub opset: i64,
    /// Version of the file format.
    pub ir_version: i64,
    /// The tool that writes the file.
    pub producer_name: String,
    /// The tool's version.
    pub producer_version: String,
    /// The model's domain, a reversed host name.
    pub domain: String,
    /// The model's own version.
    pub model_version: i64,
    /// Text about the model.
    pub doc_string: String,
}

impl Default for ModelInfo {
    /// Opset 17 in IR version 8, the pair of ONNX 1.12.
    fn default() -> Self {
        ModelInfo {
            opset: 17,
            ir_version: 8,
            producer_name: String::new(),
            producer_version: String::new(),
            domain: String::new(),
            model_version: 1,
            doc_string: String::new(),
        }
    }
}

/// Builder of a graph. Values are referred to by name; a node comes after the nodes it reads from.
///
/// ```
/// use classifold_onnx::{Dim, GraphBuilder, ModelInfo, proto::DataType};
/// let mut graph = GraphBuilder::new("tiny");
/// let x = graph.input("input", DataType::Float, &["batch".into(), Dim::Fixed(4)]);
/// let y = graph.relu("relu", &x);
/// graph.output(&y, "logits", DataType::Float, &["batch".into(), Dim::Fixed(4)]);
/// let document = graph.finish(&ModelInfo::default()).unwrap();
/// assert_eq!(document.outputs()[0].to_string(), "logits: Float [batch, 4]");
/// ```
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    graph: GraphProto,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> GraphBuilder {
        GraphBuilder {
            graph: GraphProto {
                name: Some(name.to_owned()),
                ..Default::default()
            },
        }
    }

    /// Adds an input and returns its name.
    pub fn input(&mut self, name: &str, elem_type: DataType, dims: &[Dim]) -> String {
        self.graph
            .input
            .push(ValueInfo::new(name, elem_type, dims.to_vec()).to_proto());
        name.to_owned()
    }

    /// Adds a constant and returns its name.
    pub fn initializer(&mut self, name: &str, tensor: &Tensor) -> String {
        self.graph.initializer.push(tensor.to_proto(name));
        name.to_owned()
    }

    /// Adds a node with one output, which has the node's name, and returns that name.
    pub fn node(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attr)>,
    ) -> String {
        self.graph
            .node
            .push(node(op_type, name, inputs, &[name], attributes));
        name.to_owned()
    }

    /// Adds any node.
    pub fn push(&mut self, node: NodeProto) {
        self.graph.node.push(node);
    }

    /// Makes `value` an output with the name `name`.
    pub fn output(&mut self, value: &str, name: &str, elem_type: DataType, dims: &[Dim]) {
        let graph = &mut self.graph;
        if surgery::producer(graph, value).is_some() && !surgery::is_output(graph, value) {
            surgery::rename_value(graph, value, name);
        } else {
            // An input, a constant and an output keep their names: a copy has the new one.
            self.node("Identity", name, &[value], vec![]);
        }
        self.graph
            .output
            .push(ValueInfo::new(name, elem_type, dims.to_vec()).to_proto());
    }

    /// The finished model.
    ///
    /// # Errors
    /// A name is used twice, a node reads a value that no earlier node computes, or there is no output.
    pub fn finish(self, info: &ModelInfo) -> Result<Document> {
        walk::check(&self.graph)?;
        // Valid ONNX, where the initializer is the input's default. Here it is a mistake.
        let constants = self.graph.initializer.iter().map(|tensor| tensor.name());
        let inputs = self.graph.input.iter().map(|input| input.name());
        let mut names = std::collections::HashSet::new();
        if let Some(name) = constants
            .chain(inputs)
            .find(|name| !names.insert(name.to_owned()))
        {
            let detail = format!("`{name}` is an input and an initializer");
            return Err(Error::graph(&detail));
        }
        let non_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Document::from_model(ModelProto {
            ir_version: Some(info.ir_version),
            producer_name: non_empty(&info.producer_name).map(String::into_bytes),
            producer_version: non_empty(&info.producer_version).map(String::into_bytes),
            domain: non_empty(&info.domain),
            model_version: Some(info.model_version),
            doc_string: non_empty(&info.doc_string).map(String::into_bytes),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(info.opset),
            }],
            graph: Some(self.graph),
            ..Default::default()
        }))
    }
}

//! Placement: which nodes of a model run on which execution provider, and whether that is the one asked for.
//! Reads no session: the record comes from [`crate::session`].

use std::collections::{BTreeMap, HashSet};

use machine::Provider;
use onnx::proto::GraphProto;

use crate::error::{Error, Result};
use crate::plugin;

/// The execution provider of every node, from the session's own record.
///
/// The record leaves out nodes that ONNX Runtime folded into constants or fused before it assigned them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// The nodes of each provider: `cpu`, `cuda`, `tensorrt`, `tensorrt-rtx`, `openvino`.
    pub nodes: BTreeMap<String, Vec<PlacedNode>>,
}

/// A node and what it computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedNode {
    /// Its name in the file, or ONNX Runtime's own for a node that it added.
    pub name: String,
    /// Its operator.
    pub op: String,
}

impl std::fmt::Display for PlacedNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.op, self.name)
    }
}

/// As `5 nodes on cpu, 64 on cuda`.
impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (provider, nodes)) in self.nodes.iter().enumerate() {
            let count = nodes.len();
            match (index, count) {
                (0, 1) => write!(f, "1 node on {provider}")?,
                (0, _) => write!(f, "{count} nodes on {provider}")?,
                _ => write!(f, ", {count} on {provider}")?,
            }
        }
        Ok(())
    }
}

impl Placement {
    /// Number of nodes of each provider.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let count =
            |(provider, nodes): (&String, &Vec<PlacedNode>)| (provider.clone(), nodes.len());
        self.nodes.iter().map(count).collect()
    }

    /// Adds a node under ONNX Runtime's name of its provider.
    pub(crate) fn add(&mut self, provider: &str, node: PlacedNode) {
        let provider = match provider {
            "CPUExecutionProvider" => "cpu",
            "CUDAExecutionProvider" => "cuda",
            "TensorrtExecutionProvider" => "tensorrt",
            plugin::OPENVINO => "openvino",
            plugin::TENSORRT_RTX => "tensorrt-rtx",
            other => other,
        };
        let nodes = self.nodes.entry(provider.to_owned()).or_default();
        nodes.push(node);
    }

    /// Refuses nodes that compute on another provider than `requested`. Nodes that only compute shapes may be on
    /// the CPU: a GPU provider leaves them there, where their values lie. `shapes` finds them, and is only
    /// called where a node is elsewhere.
    ///
    /// # Errors
    /// Nodes that compute are elsewhere, or there is no record.
    pub(crate) fn prove(
        &self,
        requested: Provider,
        shapes: impl FnOnce() -> Result<ShapeNodes>,
    ) -> Result<()> {
        if self.nodes.is_empty() && requested != Provider::Cpu {
            return Err(Error::placement_unknown(&requested.to_string()));
        }
        if self.elsewhere(requested).next().is_none() {
            return Ok(());
        }
        let (shapes, cpu) = (shapes()?, Provider::Cpu.name());
        let line = |(provider, nodes): (&str, &[PlacedNode])| {
            let computes = |node: &&PlacedNode| provider != cpu || !shapes.contains(node);
            let nodes: Vec<&PlacedNode> = nodes.iter().filter(computes).collect();
            (!nodes.is_empty()).then(|| format!("{provider}: {}", list_nodes(&nodes)))
        };
        let nodes: Vec<String> = self.elsewhere(requested).filter_map(line).collect();
        if nodes.is_empty() {
            return Ok(());
        }
        Err(Error::nodes_elsewhere(&requested.to_string(), &nodes))
    }

    /// One line for each provider but `requested`, with its nodes.
    pub fn other_providers(&self, requested: Provider) -> Vec<String> {
        let line = |(provider, nodes): (&str, &[PlacedNode])| {
            let nodes: Vec<&PlacedNode> = nodes.iter().collect();
            format!("{provider}: {}", list_nodes(&nodes))
        };
        self.elsewhere(requested).map(line).collect()
    }

    fn elsewhere(&self, requested: Provider) -> impl Iterator<Item = (&str, &[PlacedNode])> {
        let others = self
            .nodes
            .iter()
            .map(|(provider, nodes)| (provider.as_str(), nodes.as_slice()));
        others.filter(move |(provider, _)| *provider != requested.name())
    }
}

/// At most eight nodes as text.
fn list_nodes(nodes: &[&PlacedNode]) -> String {
    const SHOWN: usize = 8;
    let mut texts: Vec<String> = nodes.iter().take(SHOWN).map(ToString::to_string).collect();
    if nodes.len() > SHOWN {
        texts.push(format!("and {} more", nodes.len() - SHOWN));
    }
    texts.join(", ")
}

/// Operators that read the shape of a value.
const SHAPE_OPERATORS: [&str; 2] = ["Shape", "Size"];

/// Operators that compute shapes from shapes.
const SHAPE_ARITHMETIC: [&str; 20] = [
    "Add",
    "Cast",
    "Ceil",
    "Concat",
    "Div",
    "Equal",
    "Floor",
    "Gather",
    "Identity",
    "Max",
    "Min",
    "Mod",
    "Mul",
    "Range",
    "ReduceProd",
    "Slice",
    "Squeeze",
    "Sub",
    "Unsqueeze",
    "Where",
];

/// Nodes of a graph that compute nothing but shapes.
#[derive(Debug, Default)]
pub(crate) struct ShapeNodes {
    names: HashSet<String>,
    /// Operators of which every node computes shapes: for nodes without a name.
    operators: HashSet<String>,
}

impl ShapeNodes {
    /// Follows the shapes from the operators that read them, in the topological order of the nodes.
    pub(crate) fn trace(graph: &GraphProto) -> Self {
        let mut constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name()).collect();
        let (mut values, mut others) = (HashSet::new(), HashSet::new());
        let mut shapes = Self::default();
        for node in &graph.node {
            let op = node.op_type();
            let known = |input: &String| input.is_empty() || constants.contains(&**input);
            let constant = op == "Constant";
            let is_measured = SHAPE_OPERATORS.contains(&op);
            let is_derived = SHAPE_ARITHMETIC.contains(&op)
                && node.input.iter().any(|input| values.contains(&**input))
                && node.input.iter().all(|i| values.contains(&**i) || known(i));
            if constant {
                constants.extend(node.output.iter().map(String::as_str));
            } else if is_measured || is_derived {
                values.extend(node.output.iter().map(String::as_str));
            } else {
                others.insert(op);
                continue;
            }
            shapes.names.insert(node.name().to_owned());
            shapes.operators.insert(op.to_owned());
        }
        shapes.names.remove("");
        shapes.operators.retain(|op| !others.contains(&**op));
        shapes
    }

    fn contains(&self, node: &PlacedNode) -> bool {
        self.names.contains(&node.name) || self.operators.contains(&node.op)
    }
}

#[cfg(test)]
mod tests {
    use onnx::proto::DataType;
    use onnx::{Attr, Dim, GraphBuilder, ModelInfo, Tensor, TensorData};

    use super::*;

    const CUDA: Provider = Provider::Cuda { device: 0 };
    const TENSORRT: Provider = Provider::TensorRt { device: 0 };

    fn placement(nodes: &[(&str, &str, &str)]) -> Placement {
        let mut placement = Placement::default();
        for (provider, op, name) in nodes {
            let node = PlacedNode {
                name: (*name).to_owned(),
                op: (*op).to_owned(),
            };
            placement.add(provider, node);
        }
        placement
    }

    /// A graph that flattens by measuring its input, as exporters write it.
    fn flattening() -> GraphProto {
        let ints = |dims: &[usize], values: Vec<i64>| Tensor {
            dims: dims.to_vec(),
            data: TensorData::I64(values),
        };
        let mut graph = GraphBuilder::new("flattening");
        let dims = ["batch".into(), Dim::Fixed(3), Dim::Fixed(1), Dim::Fixed(1)];
        let x = graph.input("input", DataType::Float, &dims);
        let shape = graph.node("Shape", "measure", &[&x], vec![]);
        let zero = graph.initializer("zero", &ints(&[], vec![0]));
        let batch = graph.node("Gather", "first", &[&shape, &zero], vec![]);
        let axes = graph.initializer("axes", &ints(&[1], vec![0]));
        let batch = graph.node("Unsqueeze", "vector", &[&batch, &axes], vec![]);
        let rest = graph.initializer("rest", &ints(&[1], vec![-1]));
        let axis = vec![("axis", Attr::Int(0))];
        let shape = graph.node("Concat", "shape", &[&batch, &rest], axis);
        let y = graph.node("Reshape", "flatten", &[&x, &shape], vec![]);
        let y = graph.node("Add", "sum", &[&y, &y], vec![]);
        graph.output(
            &y,
            "logits",
            DataType::Float,
            &["batch".into(), Dim::Fixed(3)],
        );
        let document = graph.finish(&ModelInfo::default()).unwrap();
        document.graph().clone()
    }

    #[test]
    fn sizes_are_followed_and_values_are_not() {
        let sizes = ShapeNodes::trace(&flattening());
        let node = |op: &str, name: &str| PlacedNode {
            name: name.to_owned(),
            op: op.to_owned(),
        };
        for (op, name) in [
            ("Shape", "measure"),
            ("Gather", "first"),
            ("Unsqueeze", "vector"),
            ("Concat", "shape"),
            ("Concat", ""),
        ] {
            assert!(sizes.contains(&node(op, name)), "{op} {name}");
        }
        for (op, name) in [
            ("Reshape", "flatten"),
            ("Add", "sum"),
            ("Conv", ""),
            ("Add", ""),
        ] {
            assert!(!sizes.contains(&node(op, name)), "{op} {name}");
        }
    }

    #[test]
    fn sizes_may_be_on_the_cpu_and_values_may_not() {
        let sizes = || Ok(ShapeNodes::trace(&flattening()));
        let proven = placement(&[
            ("CUDAExecutionProvider", "Reshape", "flatten"),
            ("CPUExecutionProvider", "Shape", "measure"),
            ("CPUExecutionProvider", "Gather", "first"),
        ]);
        proven.prove(CUDA, sizes).unwrap();
        assert_eq!(proven.to_string(), "2 nodes on cpu, 1 on cuda");
        assert_eq!(proven.counts()["cpu"], 2);
        assert_eq!(
            proven.other_providers(CUDA),
            ["cpu: Shape `measure`, Gather `first`"]
        );

        let fallen = placement(&[
            ("CUDAExecutionProvider", "Reshape", "flatten"),
            ("CPUExecutionProvider", "Shape", "measure"),
            ("CPUExecutionProvider", "Add", "sum"),
        ]);
        let error = fallen.prove(CUDA, sizes).unwrap_err().to_string();
        assert!(error.contains("cpu: Add `sum`"), "{error}");
        assert!(!error.contains("measure"), "{error}");
    }

    #[test]
    fn cuda_is_a_fallback_of_tensorrt() {
        let nodes = placement(&[
            ("TensorrtExecutionProvider", "Conv", "conv1"),
            ("CUDAExecutionProvider", "Softmax", "last"),
        ]);
        let error = nodes
            .prove(TENSORRT, || Ok(ShapeNodes::default()))
            .unwrap_err();
        assert!(
            error.to_string().contains("cuda: Softmax `last`"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("allow_fallback"));
    }

    #[test]
    fn a_record_of_the_provider_alone_is_proof_and_none_is_not() {
        let never = || -> Result<ShapeNodes> { panic!("there is nothing to decide") };
        let cpu = placement(&[("CPUExecutionProvider", "Conv", "conv1")]);
        cpu.prove(Provider::Cpu, never).unwrap();
        Placement::default().prove(Provider::Cpu, never).unwrap();
        let error = Placement::default().prove(CUDA, never).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("does not say whether"), "{text}");
        let many = vec![("CPUExecutionProvider", "Conv", "conv"); 10];
        let error = placement(&many)
            .prove(CUDA, || Ok(ShapeNodes::default()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("and 2 more"), "{error}");
        let eight = placement(&many[..8]).other_providers(CUDA).join("");
        assert!(!eight.contains("more"), "{eight}");
    }
}

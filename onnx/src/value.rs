//! Value info: name, element type and shape of a graph's inputs and outputs. Holds no values.

use crate::proto::tensor_shape_proto::{Dimension, Value};
use crate::proto::{DataType, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};

/// One dimension of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A size.
    Fixed(i64),
    /// A symbolic size, such as `batch`.
    Named(String),
    /// No size.
    Unknown,
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dim::Fixed(size) => write!(f, "{size}"),
            Dim::Named(name) => f.write_str(name),
            Dim::Unknown => f.write_str("?"),
        }
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Dim::Fixed(i64::try_from(size).expect("no axis is longer than memory"))
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Dim::Named(name.to_owned())
    }
}

/// Name, element type and shape of an input or output (`ValueInfoProto` of `onnx.proto`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// Name of the value.
    pub name: String,
    /// Element type; `Undefined` if the value is no tensor.
    pub elem_type: DataType,
    /// Shape; empty for a scalar and where the file has none.
    pub dims: Vec<Dim>,
    /// Whether the file has a shape.
    pub ranked: bool,
}

impl ValueInfo {
    /// A tensor with a shape.
    ///
    /// ```
    /// use classifold_onnx::{Dim, ValueInfo, proto::DataType};
    /// let logits = ValueInfo::new("logits", DataType::Float, vec!["batch".into(), Dim::Fixed(2)]);
    /// assert_eq!(logits.to_string(), "logits: Float [batch, 2]");
    /// ```
    pub fn new(name: &str, elem_type: DataType, dims: Vec<Dim>) -> ValueInfo {
        ValueInfo {
            name: name.to_owned(),
            elem_type,
            dims,
            ranked: true,
        }
    }

    /// Decodes a message.
    pub fn from_proto(proto: &ValueInfoProto) -> ValueInfo {
        let (elem_type, shape) = match tensor_type(proto) {
            Some(tensor) => (tensor.elem_type(), tensor.shape.as_ref()),
            None => (0, None),
        };
        ValueInfo {
            name: proto.name().to_owned(),
            elem_type: DataType::try_from(elem_type).unwrap_or(DataType::Undefined),
            dims: shape
                .map(|s| s.dim.iter().map(read_dim).collect())
                .unwrap_or_default(),
            ranked: shape.is_some(),
        }
    }

    /// Encodes a message.
    pub fn to_proto(&self) -> ValueInfoProto {
        let shape = self.ranked.then(|| TensorShapeProto {
            dim: self.dims.iter().map(write_dim).collect(),
        });
        let tensor = type_proto::Tensor {
            elem_type: Some(self.elem_type as i32),
            shape,
        };
        ValueInfoProto {
            name: Some(self.name.clone()),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(tensor)),
                denotation: None,
            }),
            ..Default::default()
        }
    }
}

impl std::fmt::Display for ValueInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?} ", self.name, self.elem_type)?;
        if !self.ranked {
            return f.write_str("[?]");
        }
        let dims: Vec<String> = self.dims.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

fn tensor_type(proto: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match proto.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor),
        _ => None,
    }
}

/// Whether a value may be absent: `optional(tensor)` and the like.
pub(crate) fn is_optional(proto: &ValueInfoProto) -> bool {
    let value = proto.r#type.as_ref().and_then(|t| t.value.as_ref());
    matches!(value, Some(type_proto::Value::OptionalType(_)))
}

/// The dimensions of a tensor's shape, mutable.
pub(crate) fn shape_mut(proto: &mut ValueInfoProto) -> Option<&mut Vec<Dimension>> {
    match proto.r#type.as_mut()?.value.as_mut()? {
        type_proto::Value::TensorType(tensor) => tensor.shape.as_mut().map(|shape| &mut shape.dim),
        _ => None,
    }
}

fn read_dim(dim: &Dimension) -> Dim {
    match &dim.value {
        // Some exporters write -1 for a dynamic axis.
        Some(Value::DimValue(size)) if *size >= 0 => Dim::Fixed(*size),
        Some(Value::DimParam(name)) if !name.is_empty() => Dim::Named(name.clone()),
        _ => Dim::Unknown,
    }
}

pub(crate) fn write_dim(dim: &Dim) -> Dimension {
    let value = match dim {
        Dim::Fixed(size) => Some(Value::DimValue(*size)),
        Dim::Named(name) => Some(Value::DimParam(name.clone())),
        Dim::Unknown => None,
    };
    Dimension {
        value,
        denotation: None,
    }
}

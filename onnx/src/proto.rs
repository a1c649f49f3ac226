//! Protobuf messages of `onnx.proto`, with its names and field numbers. Knows no meaning of a graph.
//!
//! Source: `onnx/onnx.proto` of ONNX 1.23 (IR version 14). Every field is there and every scalar is
//! an `Option`, as in the `proto2` schema: a file read and written again keeps its bytes. `Option`
//! fields have a getter of the same name that gives the default of an absent field. Text for people is `bytes`
//! here, since protobuf's own readers do not insist on UTF-8 either.
#![allow(
    missing_docs,
    reason = "fields are those of `onnx.proto`, by their own names"
)]

use prost::{Enumeration, Message};

mod attribute;
mod device;
mod tensor;
mod types;

pub use attribute::{AttributeProto, AttributeType};
pub use device::{
    DeviceConfigurationProto, IntIntListEntryProto, NodeDeviceConfigurationProto, ShardedDimProto,
    ShardingSpecProto, SimpleShardedDimProto, simple_sharded_dim_proto,
};
pub use tensor::{
    DataLocation, DataType, SparseTensorProto, TensorAnnotation, TensorProto, tensor_proto,
};
pub use types::{TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto, type_proto};

/// The largest message that protobuf readers take: 2 GiB less one byte.
pub const MAX_BYTES: u64 = i32::MAX as u64;

/// Whether a domain is that of ONNX's own operators, which has two spellings.
///
/// ```
/// use classifold_onnx::proto::is_standard_domain;
/// assert!(is_standard_domain("") && is_standard_domain("ai.onnx"));
/// assert!(!is_standard_domain("com.microsoft"));
/// ```
pub fn is_standard_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// A model: a graph with the operator sets it is written in and its metadata.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    #[prost(int64, optional, tag = "1")]
    pub ir_version: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub producer_name: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub producer_version: Option<Vec<u8>>,
    #[prost(string, optional, tag = "4")]
    pub domain: Option<String>,
    #[prost(int64, optional, tag = "5")]
    pub model_version: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub doc_string: Option<Vec<u8>>,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<MetadataEntryProto>,
    #[prost(message, repeated, tag = "20")]
    pub training_info: Vec<TrainingInfoProto>,
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<FunctionProto>,
    #[prost(message, repeated, tag = "26")]
    pub configuration: Vec<DeviceConfigurationProto>,
}

/// [`ModelProto`] without what is large: graph, training graphs, functions.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeaderProto {
    #[prost(int64, optional, tag = "1")]
    pub(crate) ir_version: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(crate) producer_name: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(crate) producer_version: Option<Vec<u8>>,
    #[prost(string, optional, tag = "4")]
    pub(crate) domain: Option<String>,
    #[prost(int64, optional, tag = "5")]
    pub(crate) model_version: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(crate) doc_string: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) metadata_props: Vec<MetadataEntryProto>,
}

/// A graph: nodes in topological order, their constants, inputs and outputs.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(bytes = "vec", optional, tag = "10")]
    pub doc_string: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "14")]
    pub quantization_annotation: Vec<TensorAnnotation>,
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<SparseTensorProto>,
    #[prost(message, repeated, tag = "16")]
    pub metadata_props: Vec<MetadataEntryProto>,
}

/// One operator call.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub doc_string: Option<Vec<u8>>,
    #[prost(string, optional, tag = "7")]
    pub domain: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub overload: Option<String>,
    #[prost(message, repeated, tag = "9")]
    pub metadata_props: Vec<MetadataEntryProto>,
    #[prost(message, repeated, tag = "10")]
    pub device_configurations: Vec<NodeDeviceConfigurationProto>,
}

/// A function: a subgraph that nodes call as an operator.
#[derive(Clone, PartialEq, Message)]
pub struct FunctionProto {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Written by IR version 7 only.
    #[prost(int64, optional, tag = "2")]
    pub since_version: Option<i64>,
    /// Written by IR version 7 only.
    #[prost(enumeration = "OperatorStatus", optional, tag = "3")]
    pub status: Option<i32>,
    #[prost(string, repeated, tag = "4")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub output: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub attribute: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub node: Vec<NodeProto>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub doc_string: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "9")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(string, optional, tag = "10")]
    pub domain: Option<String>,
    #[prost(message, repeated, tag = "11")]
    pub attribute_proto: Vec<AttributeProto>,
    #[prost(message, repeated, tag = "12")]
    pub value_info: Vec<ValueInfoProto>,
    #[prost(string, optional, tag = "13")]
    pub overload: Option<String>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<MetadataEntryProto>,
}

/// Maturity of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum OperatorStatus {
    Experimental = 0,
    Stable = 1,
}

/// Graphs that initialise and train a model.
#[derive(Clone, PartialEq, Message)]
pub struct TrainingInfoProto {
    #[prost(message, optional, tag = "1")]
    pub initialization: Option<GraphProto>,
    #[prost(message, optional, tag = "2")]
    pub algorithm: Option<GraphProto>,
    #[prost(message, repeated, tag = "3")]
    pub initialization_binding: Vec<StringStringEntryProto>,
    #[prost(message, repeated, tag = "4")]
    pub update_binding: Vec<StringStringEntryProto>,
}

/// An operator set by domain and version; the empty domain is ONNX's own.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct OperatorSetIdProto {
    #[prost(string, optional, tag = "1")]
    pub domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub version: Option<i64>,
}

/// A key with its value, of metadata: people's text, which some writers put into other encodings than UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct MetadataEntryProto {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub value: Option<Vec<u8>>,
}

/// A key with its value.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct StringStringEntryProto {
    #[prost(string, optional, tag = "1")]
    pub key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

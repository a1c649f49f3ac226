//! The ONNX file format: reads, changes, converts and writes models.
//!
//! Never runs a model. Knows no images, no classes and no framework's tensors.
//!
//! | to | use |
//! |---|---|
//! | see what a file is, in milliseconds | [`Header`] |
//! | read a file once, for all that follows | [`ModelFile`] |
//! | read, query, change and save a model | [`Document`] |
//! | read and write the values of a tensor | [`Tensor`], [`TensorData`] |
//! | write a graph | [`GraphBuilder`], [`Window`], [`ModelInfo`] |
//! | change an existing graph | [`surgery`], [`node`], [`attribute`] |
//! | convert a model to half precision or 8-bit integers | [`convert`] |
//! | see which function ends a classifier | [`Activation`] |
//! | cut a classifier before its classification layer | [`FeatureCut`] |
//! | give a network another number of channels | [`ChannelMix`] |
//! | compare two images by one encoder | [`siamese`] |
//! | count the operations of a graph | [`multiply_accumulates`] |
//! | reach everything else of the format | [`proto`] |
//!
//! ```
//! use classifold_onnx::{Dim, Document, GraphBuilder, Header, ModelInfo, Tensor, proto::DataType};
//!
//! # fn main() -> classifold_onnx::Result<()> {
//! let mut graph = GraphBuilder::new("head");
//! let x = graph.input("features", DataType::Float, &["batch".into(), Dim::Fixed(3)]);
//! let weight = graph.initializer("fc.weight", &Tensor::f32(&[2, 3], vec![0.5; 6])?);
//! let bias = graph.initializer("fc.bias", &Tensor::f32(&[2], vec![0.0; 2])?);
//! let y = graph.gemm("fc", &x, &weight, &bias);
//! graph.output(&y, "logits", DataType::Float, &["batch".into(), Dim::Fixed(2)]);
//!
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("head.onnx");
//! graph.finish(&ModelInfo::default())?.save(&path)?;
//!
//! assert_eq!(Header::open(&path)?.opset(), Some(17));
//! assert_eq!(Document::open(&path)?.tensor("fc.weight")?.dims, [2, 3]);
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod activation;
mod builder;
pub mod convert;
mod detached;
mod document;
mod error;
mod external;
mod feature_cut;
mod file;
mod foreign;
mod header;
mod input_channels;
mod macs;
pub mod proto;
pub mod siamese;
pub mod surgery;
mod tensor;
mod value;
mod walk;
mod wire;

pub use activation::Activation;
pub use builder::{Attr, BatchNormInputs, GraphBuilder, ModelInfo, Window, attribute, node};
pub use detached::Detached;
pub use document::Document;
pub use error::{Error, Result};
pub use feature_cut::{
    ClassificationLayer, CutRule, FeatureCut, LayerKind, TRAINABLE_OPERATORS, is_single_precision,
    untrainable_operators,
};
pub use file::ModelFile;
pub use files;
pub use header::Header;
pub use input_channels::ChannelMix;
pub use macs::multiply_accumulates;
pub use tensor::{Tensor, TensorData};
pub use value::{Dim, ValueInfo};

//! Document: a whole model in memory, with the file that it was read from.
//!
//! Runs nothing and knows no element type: [`Tensor`] does.

use std::path::Path;

use prost::Message;

use crate::error::{Error, Result};
use crate::external::{self, Origin};
use crate::file::ModelFile;
use crate::header;
use crate::proto::{
    GraphProto, MAX_BYTES, MetadataEntryProto, ModelProto, NodeProto, TensorProto,
    is_standard_domain,
};
use crate::tensor::Tensor;
use crate::value::{self, ValueInfo};
use crate::walk;

/// A model and the file it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The model.
    pub model: ModelProto,
    origin: Option<Origin>,
}

impl Document {
    /// Reads a model. Values in files beside it are read by [`Document::tensor`], not here.
    ///
    /// # Errors
    /// The file is missing, empty, cut off, damaged, a git-LFS pointer or no model.
    ///
    /// ```
    /// assert!(classifold_onnx::Document::open("no/such/file.onnx".as_ref()).is_err());
    /// ```
    pub fn open(path: &Path) -> Result<Document> {
        Document::from_file(&ModelFile::open(path)?)
    }

    /// Decodes a model. Its tensors keep the file's bytes in memory, and do not copy them.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn from_file(file: &ModelFile) -> Result<Document> {
        let model = ModelProto::decode(file.decodable())
            .map_err(|e| Error::damaged(file.path(), &e.to_string()))?;
        Ok(Document {
            model,
            origin: file.origin().cloned(),
        })
    }

    /// A model that no file holds yet.
    pub fn from_model(model: ModelProto) -> Document {
        Document {
            model,
            origin: None,
        }
    }

    /// The file it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.origin.as_ref().map(|origin| origin.path.as_path())
    }

    /// The graph; an empty one if the model has none.
    pub fn graph(&self) -> &GraphProto {
        static NONE: std::sync::LazyLock<GraphProto> =
            std::sync::LazyLock::new(GraphProto::default);
        self.model.graph.as_ref().unwrap_or(&NONE)
    }

    /// The graph, mutable.
    pub fn graph_mut(&mut self) -> &mut GraphProto {
        self.model.graph.get_or_insert_default()
    }

    /// Every node: of the graph, of bodies and of functions.
    pub fn all_nodes(&self) -> Vec<&NodeProto> {
        walk::nodes(&self.model)
    }

    /// The inputs that a caller must feed: those of the graph that are no initializers and not of an optional type.
    pub fn inputs(&self) -> Vec<ValueInfo> {
        let graph = self.graph();
        graph
            .input
            .iter()
            .filter(|input| walk::initializer(graph, input.name()).is_none())
            .filter(|input| !value::is_optional(input))
            .map(ValueInfo::from_proto)
            .collect()
    }

    /// The graph's outputs.
    pub fn outputs(&self) -> Vec<ValueInfo> {
        self.graph()
            .output
            .iter()
            .map(ValueInfo::from_proto)
            .collect()
    }

    /// The version of ONNX's own operator set; 1 for files of IR version 2 and older, which name none.
    pub fn opset(&self) -> i64 {
        self.model
            .opset_import
            .iter()
            .find(|id| is_standard_domain(id.domain()))
            .map_or(1, |id| id.version())
    }

    /// The values of an initializer or of a `Constant` node's output, also from a file beside the model.
    ///
    /// # Errors
    /// There is no such tensor, it is damaged, or its file is missing or outside the folder.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let proto =
            walk::constant(self.graph(), name).ok_or_else(|| Error::tensor_missing(name))?;
        if !external::is_external(&proto) {
            return Tensor::from_proto(&proto);
        }
        let mut proto = proto.into_owned();
        external::inline(&mut proto, self.origin.as_ref())?;
        Tensor::from_proto(&proto)
    }

    /// Replaces the values of an initializer; shape and type may change.
    ///
    /// # Errors
    /// There is no such initializer, or `tensor` has not the number of values its shape asks for.
    pub fn set_tensor(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        tensor.check(name)?;
        let slot = self
            .graph_mut()
            .initializer
            .iter_mut()
            .find(|proto| proto.name() == name);
        let slot = slot.ok_or_else(|| Error::tensor_missing(name))?;
        // Notes of the file about the tensor stay.
        let new = tensor.to_proto(name);
        *slot = TensorProto {
            doc_string: slot.doc_string.take(),
            metadata_props: std::mem::take(&mut slot.metadata_props),
            ..new
        };
        Ok(())
    }

    /// The model's pairs of strings.
    pub fn metadata(&self) -> Vec<(String, String)> {
        header::pairs(&self.model.metadata_props)
    }

    /// Replaces by `pairs` every pair whose key begins with `prefix` or is a key of `pairs`.
    ///
    /// ```
    /// let mut document = classifold_onnx::Document::from_model(Default::default());
    /// document.set_metadata("a.", &[("a.x".into(), "1".into()), ("b".into(), "2".into())]);
    /// document.set_metadata("a.", &[("a.y".into(), "3".into())]);
    /// assert_eq!(document.metadata(), [("b".into(), "2".into()), ("a.y".into(), "3".into())]);
    /// ```
    pub fn set_metadata(&mut self, prefix: &str, pairs: &[(String, String)]) {
        let props = &mut self.model.metadata_props;
        props.retain(|prop| {
            let prefixed = !prefix.is_empty() && prop.key().starts_with(prefix.as_bytes());
            !prefixed && !pairs.iter().any(|(key, _)| key.as_bytes() == prop.key())
        });
        props.extend(pairs.iter().map(|(key, value)| MetadataEntryProto {
            key: Some(key.clone().into_bytes()),
            value: Some(value.clone().into_bytes()),
        }));
    }

    /// Checks that the values of every tensor are there, without reading them: initializers,
    /// attributes, subgraphs and functions.
    ///
    /// # Errors
    /// A file is missing, outside the model's folder, or too short.
    pub fn check_external_data(&self) -> Result<()> {
        let mut result = Ok(());
        walk::tensors(&self.model, &mut |proto| {
            if result.is_ok() && external::is_external(proto) {
                result = external::check(proto, self.origin.as_ref());
            }
        });
        result
    }

    /// Checks the rules that readers rely on: inputs, outputs, names, order of nodes, shapes of
    /// tensors, and data in other files.
    ///
    /// # Errors
    /// The first rule that is broken, with the node or tensor that breaks it.
    pub fn check(&self) -> Result<()> {
        walk::check(self.graph())?;
        self.check_external_data()
    }

    /// Brings the values of every tensor into the model, so that one file holds it all.
    ///
    /// # Errors
    /// A file is missing, outside the model's folder, or too short.
    pub fn inline_external_data(&mut self) -> Result<()> {
        let mut result = Ok(());
        walk::tensors_mut(&mut self.model, &mut |proto| {
            if result.is_ok() && external::is_external(proto) {
                result = external::inline(proto, self.origin.as_ref());
            }
        });
        result
    }

    /// The file's bytes: the same model gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    /// Writes one file that holds the whole model, through a temporary file in the same folder:
    /// `path` is the old file or the new one at any time.
    ///
    /// # Errors
    /// The file cannot be written, data in another file cannot be read, or the model is larger than
    /// 2 GiB.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut external = false;
        walk::tensors(&self.model, &mut |proto| {
            external |= external::is_external(proto)
        });
        // On a copy: `self` keeps its values in their files.
        if external {
            let mut whole = self.clone();
            whole.inline_external_data()?;
            return whole.save(path);
        }
        // Before encoding, which would copy the model.
        let bytes = self.model.encoded_len() as u64;
        if bytes > MAX_BYTES {
            return Err(Error::too_large(path, bytes));
        }
        Ok(files::write::atomically(path, &self.to_bytes())?)
    }
}

//! A whole model: read, asked, changed, saved.

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use crate::error::{Error, Result};
use crate::header;
use crate::proto::{GraphProto, MAX_BYTES, ModelProto, StringStringEntryProto, TensorProto};
use crate::tensor::Tensor;
use crate::value::ValueInfo;
use crate::{external, file, walk};

/// A model and the file it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The model.
    pub model: ModelProto,
    path: Option<PathBuf>,
}

impl Document {
    /// Reads a model. Values that lie in files next to it are read when asked for.
    ///
    /// # Errors
    /// The file is missing, empty, cut off, damaged, a git-LFS pointer or no model.
    ///
    /// ```
    /// assert!(onnx::Document::open("no/such/file.onnx".as_ref()).is_err());
    /// ```
    pub fn open(path: &Path) -> Result<Document> {
        let read = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let mut opened = file::open(path)?;
        if opened.len > MAX_BYTES {
            return Err(Error::TooLarge {
                path: path.to_owned(),
                bytes: opened.len,
            });
        }
        opened.file.rewind().map_err(read)?;
        let mut bytes = Vec::with_capacity(opened.len as usize);
        opened.file.read_to_end(&mut bytes).map_err(read)?;
        let model = ModelProto::decode(bytes.as_slice()).map_err(|e| Error::Damaged {
            path: path.to_owned(),
            detail: e.to_string(),
        })?;
        Ok(Document {
            model,
            path: Some(path.to_owned()),
        })
    }

    /// A model that no file holds yet.
    pub fn from_model(model: ModelProto) -> Document {
        Document { model, path: None }
    }

    /// The file it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its graph; an empty one if the model has none.
    pub fn graph(&self) -> &GraphProto {
        static NONE: std::sync::LazyLock<GraphProto> =
            std::sync::LazyLock::new(GraphProto::default);
        self.model.graph.as_ref().unwrap_or(&NONE)
    }

    /// Its graph, to be changed.
    pub fn graph_mut(&mut self) -> &mut GraphProto {
        self.model.graph.get_or_insert_default()
    }

    /// What must be fed: the graph's inputs without those that initializers fill.
    pub fn inputs(&self) -> Vec<ValueInfo> {
        let graph = self.graph();
        graph
            .input
            .iter()
            .filter(|input| walk::initializer(graph, input.name()).is_none())
            .map(ValueInfo::from_proto)
            .collect()
    }

    /// What comes out.
    pub fn outputs(&self) -> Vec<ValueInfo> {
        self.graph()
            .output
            .iter()
            .map(ValueInfo::from_proto)
            .collect()
    }

    /// The version of ONNX's own operator set; 1 for the first files, which name none.
    pub fn opset(&self) -> i64 {
        let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        self.model
            .opset_import
            .iter()
            .find(|id| own(id.domain()))
            .map_or(1, |id| id.version())
    }

    /// The values of an initializer or of a `Constant` node's output, also from a file next to the
    /// model.
    ///
    /// # Errors
    /// There is no such tensor, it is damaged, or its file is missing or outside the folder.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let proto = walk::constant(self.graph(), name).ok_or_else(|| Error::TensorMissing {
            name: name.to_owned(),
        })?;
        if !external::is_external(&proto) {
            return Tensor::from_proto(&proto);
        }
        let mut proto = proto.into_owned();
        external::inline(&mut proto, self.folder().as_deref())?;
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
        let slot = slot.ok_or_else(|| Error::TensorMissing {
            name: name.to_owned(),
        })?;
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

    /// Puts `pairs` in place of every pair whose key begins with `prefix` or is among theirs.
    ///
    /// ```
    /// let mut document = onnx::Document::from_model(Default::default());
    /// document.set_metadata("a.", &[("a.x".into(), "1".into()), ("b".into(), "2".into())]);
    /// document.set_metadata("a.", &[("a.y".into(), "3".into())]);
    /// assert_eq!(document.metadata(), [("b".into(), "2".into()), ("a.y".into(), "3".into())]);
    /// ```
    pub fn set_metadata(&mut self, prefix: &str, pairs: &[(String, String)]) {
        let props = &mut self.model.metadata_props;
        props.retain(|prop| {
            let own = !prefix.is_empty() && prop.key().starts_with(prefix);
            !own && !pairs.iter().any(|(key, _)| key == prop.key())
        });
        props.extend(pairs.iter().map(|(key, value)| StringStringEntryProto {
            key: Some(key.clone()),
            value: Some(value.clone()),
        }));
    }

    /// Checks that the values of every tensor are there, without reading them: initializers,
    /// attributes, subgraphs and functions.
    ///
    /// # Errors
    /// A file is missing, outside the model's folder, or too short.
    pub fn check_external_data(&self) -> Result<()> {
        let folder = self.folder();
        let mut result = Ok(());
        walk::tensors(&self.model, &mut |proto| {
            if result.is_ok() && external::is_external(proto) {
                result = external::check(proto, folder.as_deref());
            }
        });
        result
    }

    /// Checks what a reader relies on: inputs, outputs, names, order of nodes, shapes of tensors,
    /// and data in other files.
    ///
    /// # Errors
    /// Says which rule is broken, and where.
    pub fn check(&self) -> Result<()> {
        walk::check(self.graph())?;
        self.check_external_data()
    }

    /// Brings the values of every tensor into the model, so that one file holds it all.
    ///
    /// # Errors
    /// A file is missing, outside the model's folder, or too short.
    pub fn inline_external_data(&mut self) -> Result<()> {
        let folder = self.folder();
        let mut result = Ok(());
        walk::tensors_mut(&mut self.model, &mut |proto| {
            if result.is_ok() && external::is_external(proto) {
                result = external::inline(proto, folder.as_deref());
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
        if external {
            let mut whole = self.clone();
            whole.inline_external_data()?;
            return whole.save(path);
        }
        let bytes = self.model.encoded_len() as u64;
        if bytes > MAX_BYTES {
            return Err(Error::TooLarge {
                path: path.to_owned(),
                bytes,
            });
        }
        write(path, &self.to_bytes()).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// The folder of the file, in which its data files lie.
    fn folder(&self) -> Option<PathBuf> {
        let parent = self.path.as_ref()?.parent()?;
        Some(if parent.as_os_str().is_empty() {
            ".".into()
        } else {
            parent.to_owned()
        })
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".onnx-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are private; a model is not. The umask still applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    // The new name itself is on the disk once its folder is; not every system can sync a folder.
    if let Ok(folder) = fs_err::File::open(folder) {
        folder.sync_all().ok();
    }
    Ok(())
}

//! Header of a model file: versions, producer and metadata, read without the graph.
//!
//! Knows no tensors. A file of any size takes milliseconds.

use std::path::Path;

use prost::Message;

use crate::error::{Error, Result, reading};
use crate::file::ModelFile;
use crate::proto::{HeaderProto, MetadataEntryProto, is_standard_domain};
use crate::{file, wire};

/// Versions, producer and metadata of a model file (`ModelProto` of `onnx.proto`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Version of the file format.
    pub ir_version: i64,
    /// The tool that wrote the file.
    pub producer_name: String,
    /// The tool's version.
    pub producer_version: String,
    /// The model's domain, a reversed host name.
    pub domain: String,
    /// The model's own version.
    pub model_version: i64,
    /// Text about the model.
    pub doc_string: String,
    /// Operator sets: domain (empty for ONNX's own) and version.
    pub opsets: Vec<(String, i64)>,
    /// Pairs of strings, in the file's order. Bytes that are not UTF-8 are replaced, as in all text here.
    pub metadata: Vec<(String, String)>,
    /// Size of the file in bytes.
    pub file_bytes: u64,
}

impl Header {
    /// Reads the header of a file and skips its graph.
    ///
    /// # Errors
    /// The file is missing, empty, cut off, a git-LFS pointer or no model.
    ///
    /// ```
    /// let error = classifold_onnx::Header::open("no/such/file.onnx".as_ref()).unwrap_err();
    /// assert_eq!(error.to_string(), "`no/such/file.onnx` does not exist");
    /// ```
    pub fn open(path: &Path) -> Result<Header> {
        let mut open = file::open(path)?;
        let bytes = wire::read_fields(&mut open.file, &open.header).map_err(reading(path))?;
        Header::decode(&bytes, open.len, path)
    }

    /// Decodes the header of a file that was read.
    ///
    /// # Errors
    /// The header is damaged.
    pub fn from_file(file: &ModelFile) -> Result<Header> {
        let len = file.bytes().len() as u64;
        Header::decode(&file.header_bytes(), len, file.path())
    }

    fn decode(bytes: &[u8], file_bytes: u64, path: &Path) -> Result<Header> {
        let proto = HeaderProto::decode(bytes).map_err(|e| Error::damaged(path, &e.to_string()))?;
        Ok(Header::from_proto(&proto, file_bytes))
    }

    /// The version of ONNX's own operator set, if the file names one.
    pub fn opset(&self) -> Option<i64> {
        self.opsets
            .iter()
            .find(|(domain, _)| is_standard_domain(domain))
            .map(|(_, version)| *version)
    }

    fn from_proto(proto: &HeaderProto, file_bytes: u64) -> Header {
        Header {
            ir_version: proto.ir_version(),
            producer_name: text(proto.producer_name()),
            producer_version: text(proto.producer_version()),
            domain: proto.domain().to_owned(),
            model_version: proto.model_version(),
            doc_string: text(proto.doc_string()),
            opsets: proto
                .opset_import
                .iter()
                .map(|opset| (opset.domain().to_owned(), opset.version()))
                .collect(),
            metadata: pairs(&proto.metadata_props),
            file_bytes,
        }
    }
}

/// Metadata entries as pairs of key and value.
pub(crate) fn pairs(entries: &[MetadataEntryProto]) -> Vec<(String, String)> {
    entries
        .iter()
        .map(|entry| (text(entry.key()), text(entry.value())))
        .collect()
}

/// Bytes that are not UTF-8 become the replacement character.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

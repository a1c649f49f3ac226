//! Detached constants: a graph for a runtime, and the bytes of its weights beside it.
//!
//! A runtime that parses a whole model from memory holds its weights twice while it does so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;

use crate::document::Document;
use crate::error::{Error, Result, reading};
use crate::external::{self, ByteRange, Identity};
use crate::file::ModelFile;
use crate::proto::{DataLocation, StringStringEntryProto, TensorProto};

/// Smaller constants stay in the graph: a runtime needs the values of shapes while it reads it.
const MIN_DETACHED_BYTES: usize = 4096;

/// A model whose large initializers lie in buffers beside the graph, as external data in files of the buffers'
/// names. No other file is needed to run it.
#[derive(Clone)]
pub struct Detached {
    /// The file that it is made of.
    pub file: ModelFile,
    /// The model, without those initializers.
    pub graph: Vec<u8>,
    /// Name and bytes of each buffer.
    pub buffers: Vec<(String, Arc<[u8]>)>,
}

impl std::fmt::Debug for Detached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detached")
            .field("file", &self.file)
            .field("graph", &self.graph.len())
            .field("buffers", &self.buffers.len())
            .finish()
    }
}

impl ModelFile {
    /// The model for a runtime. Data in other files is read once, and what lies in the file is not copied.
    ///
    /// # Errors
    /// The file is damaged; data is missing, outside the model's folder or too short; a file changes while the
    /// others are read.
    pub fn detached(&self) -> Result<Detached> {
        let mut document = Document::from_file(self)?;
        let mut initializers = std::mem::take(&mut document.graph_mut().initializer);
        // Constants of nodes and bodies: a runtime looks for none of those in buffers.
        document.inline_external_data()?;
        let mut buffers = vec![("model".to_owned(), self.shared_bytes())];
        let mut of_files: BTreeMap<PathBuf, Vec<(&mut TensorProto, ByteRange)>> = BTreeMap::new();
        for tensor in &mut initializers {
            if external::is_external(tensor) {
                let range = external::locate(tensor, self.origin())?;
                of_files
                    .entry(range.path.clone())
                    .or_default()
                    .push((tensor, range));
            } else if tensor.raw_data().len() >= MIN_DETACHED_BYTES {
                // The decoder borrowed the values from the file's bytes.
                let offset = tensor.raw_data().as_ptr().addr() - self.bytes().as_ptr().addr();
                let length = tensor.raw_data().len();
                detach(tensor, &buffers[0].0, offset, length);
            }
        }
        for (number, (path, tensors)) in of_files.into_iter().enumerate() {
            let name = format!("data{number}");
            buffers.push((name.clone(), read_data(&path, tensors, &name)?));
        }
        if buffers.len() > 1 {
            self.check_unchanged()?;
        }
        document.graph_mut().initializer = initializers;
        Ok(Detached {
            file: self.clone(),
            graph: document.to_bytes(),
            buffers,
        })
    }
}

/// Reads the values that a file holds into one buffer, and points the tensors there.
fn read_data(
    path: &Path,
    tensors: Vec<(&mut TensorProto, ByteRange)>,
    name: &str,
) -> Result<Arc<[u8]>> {
    let mut file = File::open(path).map_err(reading(path))?;
    let before = Identity::of(&file, path)?;
    let lengths = tensors.iter().map(|(_, range)| range.length as usize);
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, lengths.sum()).collect();
    let buffer = Arc::get_mut(&mut bytes).expect("nothing else holds it yet");
    let mut offset = 0;
    for (tensor, range) in tensors {
        let end = offset + range.length as usize;
        range.read_into(&mut file, tensor.name(), &mut buffer[offset..end])?;
        detach(tensor, name, offset, end - offset);
        offset = end;
    }
    match Identity::of(&file, path)? == before {
        true => Ok(bytes),
        false => Err(Error::changed(path)),
    }
}

/// Makes a tensor's values external data in `location`.
fn detach(tensor: &mut TensorProto, location: &str, offset: usize, length: usize) {
    let entry = |(key, value): (&str, String)| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    tensor.raw_data = None;
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.external_data = [
        ("location", location.to_owned()),
        ("offset", offset.to_string()),
        ("length", length.to_string()),
    ]
    .map(entry)
    .into();
}

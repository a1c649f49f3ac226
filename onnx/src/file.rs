//! Opening a model file: refuses what is not a whole model before anything is decoded.
//!
//! Knows no messages, only the outermost field numbers.

use std::fmt;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use fs_err::File;
use prost::bytes::Bytes;

use crate::error::{Error, Result, reading};
use crate::external::{Identity, Origin};
use crate::foreign;
use crate::proto::MAX_BYTES;
use crate::wire::{self, Field, ScanError};

/// The beginning of a git-LFS pointer file, a text of some 130 bytes
/// (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
const LFS_MAGIC: &[u8] = b"version https://git-lfs";

/// Field numbers of `ModelProto` in `onnx.proto`.
const IR_VERSION: u32 = 1;
const GRAPH: u32 = 7;
const OPSET_IMPORT: u32 = 8;
const TRAINING_INFO: u32 = 20;
const FUNCTIONS: u32 = 25;

/// Limit of the header: all but the graph, training graphs and functions. It is read into memory.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// A model file that was read once. Whatever is made of it is of the same bytes, also where another program
/// replaces the file meanwhile.
///
/// ```
/// use classifold_onnx::{Document, GraphBuilder, Header, ModelFile, ModelInfo, proto::DataType};
///
/// # fn main() -> classifold_onnx::Result<()> {
/// let mut graph = GraphBuilder::new("rectifier");
/// let x = graph.input("x", DataType::Float, &["batch".into()]);
/// let y = graph.relu("relu", &x);
/// graph.output(&y, "y", DataType::Float, &["batch".into()]);
/// let bytes = graph.finish(&ModelInfo::default())?.to_bytes();
///
/// let file = ModelFile::from_bytes(bytes)?;
/// assert_eq!(Header::from_file(&file)?.opset(), Some(17));
/// assert_eq!(Document::from_file(&file)?.graph().name(), "rectifier");
/// assert_eq!(file.sha256().len(), 64);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ModelFile {
    bytes: Arc<[u8]>,
    /// The byte ranges of the header's fields.
    header: Vec<Field>,
    origin: Option<Origin>,
    sha256: Arc<OnceLock<String>>,
}

impl fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFile")
            .field("path", &self.path())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl ModelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// The file is missing, empty, cut off, larger than 2 GiB, a git-LFS pointer or no model; it changes while
    /// it is read.
    pub fn open(path: &Path) -> Result<ModelFile> {
        check_is_file(path)?;
        // Links are followed once, folder first: a release is often changed by a link to another folder, and
        // data must come from the folder of the model.
        let folder = files::parent_folder(path);
        let folder = fs_err::canonicalize(folder).map_err(reading(folder))?;
        let linked = folder.join(path.file_name().unwrap_or_default());
        let real = fs_err::canonicalize(&linked).map_err(reading(path))?;
        let OpenFile {
            mut file,
            len,
            header,
        } = open_as(&real, path)?;
        if len > MAX_BYTES {
            return Err(Error::too_large(path, len));
        }
        file.rewind().map_err(reading(path))?;
        let mut file = file.into_inner();
        let identity = Identity::of(&file, path)?;
        // Filled in place: a `Vec` would be copied into the `Arc`, and weights take much of the memory.
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, identity.len()).collect();
        let buffer = Arc::get_mut(&mut bytes).expect("nothing else holds it yet");
        let read = file.read_exact(buffer);
        // Written in place, it would be half the old and half the new file, or end before its header says so.
        if identity.len() as u64 != len || Identity::of(&file, path)? != identity {
            return Err(Error::changed(path));
        }
        read.map_err(reading(path))?;
        Ok(ModelFile {
            bytes,
            header,
            origin: Some(Origin {
                path: path.to_owned(),
                identity,
                folders: [folder, files::parent_folder(&real).to_owned()],
            }),
            sha256: Arc::default(),
        })
    }

    /// A model in memory. It has no folder, so that all its values must be in `bytes`.
    ///
    /// # Errors
    /// The bytes are empty, cut off, more than 2 GiB, a git-LFS pointer or no model.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<ModelFile> {
        let (bytes, name) = (bytes.into(), Path::new(IN_MEMORY));
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::too_large(name, bytes.len() as u64));
        }
        let header = check(&mut Cursor::new(&*bytes), bytes.len() as u64, name)?;
        Ok(ModelFile {
            bytes,
            header,
            origin: None,
            sha256: Arc::default(),
        })
    }

    /// The file that was read; `(bytes)` where there is none.
    pub fn path(&self) -> &Path {
        match &self.origin {
            Some(origin) => &origin.path,
            None => Path::new(IN_MEMORY),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes in hexadecimal, computed once.
    pub fn sha256(&self) -> &str {
        self.sha256
            .get_or_init(|| files::hash::sha256_hex_of(&self.bytes))
    }

    /// Refuses a file that was replaced or written to since it was read, for what else was read under its name.
    ///
    /// # Errors
    /// It was, or it is gone.
    pub fn check_unchanged(&self) -> Result<()> {
        self.origin.as_ref().map_or(Ok(()), Origin::check_unchanged)
    }

    pub(crate) fn shared_bytes(&self) -> Arc<[u8]> {
        self.bytes.clone()
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The bytes of the header's fields.
    pub(crate) fn header_bytes(&self) -> Vec<u8> {
        let range = |field: &Field| &self.bytes[field.start as usize..field.end as usize];
        self.header.iter().flat_map(range).copied().collect()
    }

    /// The bytes for a decoder that borrows from them.
    pub(crate) fn decodable(&self) -> Bytes {
        Bytes::from_owner(self.bytes.clone())
    }
}

const IN_MEMORY: &str = "(bytes)";

/// An open model file.
pub(crate) struct OpenFile {
    pub(crate) file: BufReader<File>,
    /// Its size in bytes.
    pub(crate) len: u64,
    /// The byte ranges of the header's fields.
    pub(crate) header: Vec<Field>,
}

/// Opens a file and checks its outermost fields.
pub(crate) fn open(path: &Path) -> Result<OpenFile> {
    check_is_file(path)?;
    open_as(path, path)
}

/// Before a file is opened: to open a pipe would wait for its writer.
fn check_is_file(path: &Path) -> Result<()> {
    match fs_err::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(Error::not_a_file(path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(Error::missing(path)),
        Err(e) => Err(reading(path)(e)),
    }
}

/// Opens the file `real`, which messages call `path`.
fn open_as(real: &Path, path: &Path) -> Result<OpenFile> {
    let file = File::open(real).map_err(reading(path))?;
    let len = file.metadata().map_err(reading(path))?.len();
    let mut file = BufReader::new(file);
    let header = check(&mut file, len, path)?;
    Ok(OpenFile { file, len, header })
}

/// Refuses what is no model by its first bytes, and returns the fields of the header.
fn check<R: BufRead + Seek>(file: &mut R, len: u64, path: &Path) -> Result<Vec<Field>> {
    let mut head = Vec::new();
    file.by_ref()
        .take(foreign::HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(reading(path))?;
    if len == 0 || head.is_empty() {
        return Err(Error::empty(path));
    }
    if head.starts_with(LFS_MAGIC) {
        return Err(Error::lfs_pointer(path));
    }
    if let Some(foreign) = foreign::kind(&head) {
        return Err(Error::foreign(path, &foreign));
    }
    file.rewind().map_err(reading(path))?;
    scan_header(file, len, path)
}

/// Scans the outermost fields and returns those of the header.
fn scan_header<R: BufRead + Seek>(file: &mut R, len: u64, path: &Path) -> Result<Vec<Field>> {
    let mut header: Vec<Field> = Vec::new();
    let mut header_bytes = 0_u64;
    let (mut graph, mut ir_version, mut opset) = (false, false, false);
    wire::scan(file, len, |field| {
        graph |= field.number == GRAPH;
        ir_version |= field.number == IR_VERSION;
        opset |= field.number == OPSET_IMPORT;
        if !matches!(field.number, GRAPH | TRAINING_INFO | FUNCTIONS) {
            header_bytes += field.end - field.start;
            match header.last_mut() {
                // Fields in a row are one range: millions of tiny ones must not take more memory than
                // the file itself.
                Some(last) if last.end == field.start => last.end = field.end,
                _ if header_bytes <= MAX_HEADER_BYTES => header.push(*field),
                _ => {}
            }
        }
    })
    .map_err(|error| match error {
        ScanError::NotAModel(detail) => Error::not_onnx(path, &detail),
        ScanError::Truncated { expected } => Error::truncated(path, expected, len),
        ScanError::Io(source) => reading(path)(source),
    })?;
    let problem = match (ir_version, graph) {
        (false, _) => Some("it has no IR version"),
        (true, false) if opset => Some("it has no graph"),
        // Writers put the graph before the operator sets: without both, the file ends between two
        // fields, which no field's length gives away.
        (true, false) => return Err(Error::truncated(path, len + 1, len)),
        _ if header_bytes > MAX_HEADER_BYTES => Some("its header is larger than 64 MiB"),
        _ => None,
    };
    match problem {
        Some(problem) => Err(Error::not_onnx(path, problem)),
        None => Ok(header),
    }
}

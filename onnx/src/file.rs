//! Opening a model file: refuses what is not a whole model before anything is decoded.
//!
//! Knows no messages, only the outermost field numbers.

use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::Path;

use fs_err::File;

use crate::error::{Error, Result, reading};
use crate::foreign;
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
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(Error::missing(path)),
        Err(e) => return Err(reading(path)(e)),
    };
    if !metadata.is_file() {
        return Err(Error::not_a_file(path));
    }
    let len = metadata.len();
    let mut file = File::open(path).map_err(reading(path))?;
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
    let mut file = BufReader::new(file);
    let header = scan_header(&mut file, len, path)?;
    Ok(OpenFile { file, len, header })
}

/// Scans the outermost fields and returns those of the header.
fn scan_header(file: &mut BufReader<File>, len: u64, path: &Path) -> Result<Vec<Field>> {
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

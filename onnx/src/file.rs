//! Opening a file that should be a model: what is wrong with it is said before it is decoded.

use std::io::{BufReader, Read};
use std::path::Path;

use fs_err::File;

use crate::error::{Error, Result};
use crate::wire::{self, Fault, Field};

/// A pointer file is text of some 130 bytes that begins with this.
const LFS: &[u8] = b"version https://git-lfs";

/// Field numbers of `ModelProto`.
const IR_VERSION: u32 = 1;
const GRAPH: u32 = 7;
const OPSET_IMPORT: u32 = 8;
const TRAINING_INFO: u32 = 20;
const FUNCTIONS: u32 = 25;

/// No header is larger; the graph, training graphs and functions are not part of it.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// An open file, its size, and where the fields of its header are.
pub(crate) struct Opened {
    pub(crate) file: BufReader<File>,
    pub(crate) len: u64,
    pub(crate) header: Vec<Field>,
}

/// Opens a file and checks its outermost fields.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::FileMissing {
                path: path.to_owned(),
            });
        }
        Err(e) => return Err(read(e)),
    };
    if !metadata.is_file() {
        return Err(Error::NotAFile {
            path: path.to_owned(),
        });
    }
    let len = metadata.len();
    let mut file = File::open(path).map_err(read)?;
    let mut head = Vec::new();
    file.by_ref()
        .take(LFS.len() as u64)
        .read_to_end(&mut head)
        .map_err(read)?;
    if len == 0 || head.is_empty() {
        return Err(Error::Empty {
            path: path.to_owned(),
        });
    }
    if head == LFS {
        return Err(Error::LfsPointer {
            path: path.to_owned(),
        });
    }
    std::io::Seek::rewind(&mut file).map_err(read)?;
    let mut file = BufReader::new(file);
    let header = check(&mut file, len, path)?;
    Ok(Opened { file, len, header })
}

/// Reads the outermost fields; hands back those of the header.
fn check(file: &mut BufReader<File>, len: u64, path: &Path) -> Result<Vec<Field>> {
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
                // A row of tiny fields must not take more memory than the file.
                Some(last) if last.end == field.start => last.end = field.end,
                _ if header_bytes <= MAX_HEADER_BYTES => header.push(*field),
                _ => {}
            }
        }
    })
    .map_err(|fault| explain(fault, len, path))?;
    let lacks = match (ir_version, graph) {
        (false, _) => Some("it has no IR version"),
        (true, false) if opset => Some("it has no graph"),
        // Writers put the graph before the operator sets: the file ends between two fields.
        (true, false) => {
            return Err(Error::Truncated {
                path: path.to_owned(),
                expected: len + 1,
                found: len,
            });
        }
        _ if header_bytes > MAX_HEADER_BYTES => Some("its header is larger than 64 MiB"),
        _ => None,
    };
    match lacks {
        Some(detail) => Err(Error::NotAnOnnxFile {
            path: path.to_owned(),
            detail: detail.to_owned(),
        }),
        None => Ok(header),
    }
}

fn explain(fault: Fault, len: u64, path: &Path) -> Error {
    let path = path.to_owned();
    match fault {
        Fault::NotAModel(detail) => Error::NotAnOnnxFile { path, detail },
        Fault::Truncated { expected } => Error::Truncated {
            path,
            expected,
            found: len,
        },
        Fault::Io(source) => Error::Read { path, source },
    }
}

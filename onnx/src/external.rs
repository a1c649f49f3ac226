//! External data: tensors whose values lie in a file beside the model.
//!
//! Knows no values, only bytes. A model file is not trusted: it can name no file outside its folder.
//! Source: <https://onnx.ai/onnx/repo-docs/ExternalData.html>.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use fs_err::File;

use crate::error::{Error, Result};
use crate::proto::{DataLocation, TensorProto};
use crate::tensor;

/// The bytes of a file that hold a tensor's values.
struct ByteRange {
    path: PathBuf,
    location: String,
    offset: u64,
    length: u64,
}

/// Whether the values lie in another file.
pub(crate) fn is_external(proto: &TensorProto) -> bool {
    proto.data_location() == DataLocation::External
}

/// Checks that the values are there, without reading them.
pub(crate) fn check(proto: &TensorProto, folder: Option<&Path>) -> Result<()> {
    locate(proto, folder).map(|_| ())
}

/// Reads the values.
pub(crate) fn read(proto: &TensorProto, folder: Option<&Path>) -> Result<Vec<u8>> {
    let range = locate(proto, folder)?;
    let read = Error::read(&range.path);
    let mut file = File::open(&range.path).map_err(&read)?;
    file.seek(SeekFrom::Start(range.offset)).map_err(&read)?;
    let mut bytes = Vec::new();
    file.take(range.length)
        .read_to_end(&mut bytes)
        .map_err(&read)?;
    if bytes.len() as u64 != range.length {
        let detail = "the file became shorter";
        return Err(Error::external_bounds(
            proto.name(),
            &range.location,
            detail,
        ));
    }
    Ok(bytes)
}

/// Moves the values into the message's `raw_data`.
pub(crate) fn inline(proto: &mut TensorProto, folder: Option<&Path>) -> Result<()> {
    proto.raw_data = Some(read(proto, folder)?);
    proto.external_data.clear();
    proto.data_location = None;
    Ok(())
}

fn locate(proto: &TensorProto, folder: Option<&Path>) -> Result<ByteRange> {
    let entry = |key: &str| {
        proto
            .external_data
            .iter()
            .find(|e| e.key() == key)
            .map(|e| e.value())
    };
    // An empty location is refused by `resolve`, as any other outside the folder.
    let location = entry("location").unwrap_or_default().to_owned();
    let bounds = |detail: String| Error::external_bounds(proto.name(), &location, &detail);
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| bounds(format!("{key} `{text}` is no number"))),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let path = resolve(proto, &location, folder)?;
    let size = File::open(&path)
        .and_then(|file| file.metadata())
        .map_err(Error::read(&path))?
        .len();
    let expected = expected_bytes(proto)?;
    let length = length.unwrap_or(expected);
    if length != expected {
        let detail = format!("its shape takes {expected} bytes, its length is {length}");
        return Err(bounds(detail));
    }
    if offset.checked_add(length).is_none_or(|end| end > size) {
        let detail = format!("{length} bytes at {offset} run past the end at {size}");
        return Err(bounds(detail));
    }
    Ok(ByteRange {
        path,
        location,
        offset,
        length,
    })
}

/// The file of a location: a plain relative path that stays in `folder`, symbolic links followed.
fn resolve(proto: &TensorProto, location: &str, folder: Option<&Path>) -> Result<PathBuf> {
    let folder = folder.ok_or_else(|| Error::no_folder(proto.name()))?;
    let outside = || Error::external_outside(proto.name(), location);
    // `..` after a backslash or a drive letter leads out on Windows; refused everywhere.
    let foreign = location
        .split(['/', '\\'])
        .any(|part| part == ".." || part.contains(':'));
    let plain = Path::new(location)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let absolute = location.starts_with(['/', '\\']);
    if location.is_empty() || location.contains('\0') || foreign || absolute || !plain {
        return Err(outside());
    }
    let path = folder.join(location);
    let real = match fs_err::canonicalize(&path) {
        Ok(real) => real,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(Error::external_missing(proto.name(), &path));
        }
        Err(source) => return Err(Error::Read { path, source }),
    };
    let real_folder = fs_err::canonicalize(folder).map_err(Error::read(folder))?;
    if !real.starts_with(real_folder) {
        return Err(outside());
    }
    if !real.is_file() {
        return Err(Error::not_a_file(&path));
    }
    Ok(real)
}

fn expected_bytes(proto: &TensorProto) -> Result<u64> {
    let len = tensor::dims(proto)?.iter().product();
    match tensor::raw_bytes(tensor::elem_type(proto)?, len) {
        Some(bytes) => Ok(bytes as u64),
        None => {
            let detail = "this element type cannot lie in another file";
            Err(Error::tensor_damaged(proto.name(), detail))
        }
    }
}

//! Tensors whose values lie in a file next to the model.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use fs_err::File;

use crate::error::{Error, Result};
use crate::proto::{DataLocation, TensorProto};
use crate::tensor::{self};

/// Which bytes of which file hold a tensor.
struct Place {
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
    let place = locate(proto, folder)?;
    let read = |source| Error::Read {
        path: place.path.clone(),
        source,
    };
    let mut file = File::open(&place.path).map_err(read)?;
    file.seek(SeekFrom::Start(place.offset)).map_err(read)?;
    let mut bytes = Vec::new();
    file.take(place.length)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    if bytes.len() as u64 != place.length {
        return Err(bounds(
            proto,
            &place.location,
            "the file became shorter".to_owned(),
        ));
    }
    Ok(bytes)
}

/// The message with its values in `raw_data`.
pub(crate) fn inline(proto: &mut TensorProto, folder: Option<&Path>) -> Result<()> {
    proto.raw_data = Some(read(proto, folder)?);
    proto.external_data.clear();
    proto.data_location = None;
    Ok(())
}

fn locate(proto: &TensorProto, folder: Option<&Path>) -> Result<Place> {
    let entry = |key: &str| {
        proto
            .external_data
            .iter()
            .find(|e| e.key() == key)
            .map(|e| e.value())
    };
    let location = entry("location").unwrap_or_default().to_owned();
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| bounds(proto, &location, format!("{key} `{text}` is no number"))),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let path = resolve(proto, &location, folder)?;
    let size = File::open(&path)
        .and_then(|file| file.metadata())
        .map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?
        .len();
    let expected = expected_bytes(proto)?;
    let length = length.unwrap_or(expected);
    if length != expected {
        let detail = format!("its shape takes {expected} bytes, its length is {length}");
        return Err(bounds(proto, &location, detail));
    }
    if offset.checked_add(length).is_none_or(|end| end > size) {
        let detail = format!("{length} bytes at {offset} run past the end at {size}");
        return Err(bounds(proto, &location, detail));
    }
    Ok(Place {
        path,
        location,
        offset,
        length,
    })
}

/// The file of a location: a plain relative path that stays in `folder`, symbolic links followed.
fn resolve(proto: &TensorProto, location: &str, folder: Option<&Path>) -> Result<PathBuf> {
    let tensor = proto.name().to_owned();
    let folder = folder.ok_or_else(|| Error::NoFolder {
        tensor: tensor.clone(),
    })?;
    let outside = || Error::ExternalDataOutside {
        tensor: tensor.clone(),
        location: location.to_owned(),
    };
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
            return Err(Error::ExternalDataMissing { tensor, path });
        }
        Err(source) => return Err(Error::Read { path, source }),
    };
    let home = fs_err::canonicalize(folder).map_err(|source| Error::Read {
        path: folder.to_owned(),
        source,
    })?;
    if !real.starts_with(home) {
        return Err(outside());
    }
    if !real.is_file() {
        return Err(Error::NotAFile { path });
    }
    Ok(real)
}

fn expected_bytes(proto: &TensorProto) -> Result<u64> {
    let len = tensor::dims(proto)?.iter().product();
    match tensor::raw_bytes(tensor::elem_type(proto)?, len) {
        Some(bytes) => Ok(bytes as u64),
        None => Err(Error::TensorDamaged {
            name: proto.name().to_owned(),
            detail: "this element type cannot lie in another file".to_owned(),
        }),
    }
}

fn bounds(proto: &TensorProto, location: &str, detail: String) -> Error {
    Error::ExternalDataBounds {
        tensor: proto.name().to_owned(),
        location: location.to_owned(),
        detail,
    }
}

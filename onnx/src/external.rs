//! External data: tensors whose values lie in a file beside the model.
//!
//! Knows no values, only bytes. A model file is not trusted: it can name no file outside its folder.
//! Source: <https://onnx.ai/onnx/repo-docs/ExternalData.html>.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use fs_err::File;

use crate::error::{Error, Result, reading};
use crate::proto::{DataLocation, TensorProto};
use crate::tensor;

/// What tells an open file from another one under its name, and from itself after someone wrote into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    len: u64,
    modified: Option<SystemTime>,
    /// Device and number on it: a file that is renamed over another one has another number.
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Identity {
    pub(crate) fn of(file: &File, path: &Path) -> Result<Identity> {
        Ok(Identity::new(&file.metadata().map_err(reading(path))?))
    }

    fn new(metadata: &std::fs::Metadata) -> Identity {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Identity {
            len: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }
}

/// Where a model was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// As the caller named it.
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    /// The folders in which data files may lie: the model's own and, where the model is a link, that of the real
    /// file. A hub's cache links both files from a snapshot's folder into one of content (`blobs`).
    pub(crate) folders: [PathBuf; 2],
}

impl Origin {
    /// Refuses a model file that was replaced or written to since: its data may belong to another model.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let now = fs_err::metadata(&self.path).map_err(reading(&self.path))?;
        match Identity::new(&now) == self.identity {
            true => Ok(()),
            false => Err(Error::changed(&self.path)),
        }
    }
}

/// The bytes of a file that hold a tensor's values.
pub(crate) struct ByteRange {
    pub(crate) path: PathBuf,
    location: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl ByteRange {
    /// Reads the bytes into a buffer of their length.
    pub(crate) fn read_into(&self, file: &mut File, tensor: &str, buffer: &mut [u8]) -> Result<()> {
        file.seek(SeekFrom::Start(self.offset))
            .map_err(reading(&self.path))?;
        match file.read_exact(buffer) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                let detail = "the file became shorter";
                Err(Error::external_bounds(tensor, &self.location, detail))
            }
            read => read.map_err(reading(&self.path)),
        }
    }
}

/// Whether the values lie in another file.
pub(crate) fn is_external(proto: &TensorProto) -> bool {
    proto.data_location() == DataLocation::External
}

/// Checks that the values are there, without reading them.
pub(crate) fn check(proto: &TensorProto, model: Option<&Origin>) -> Result<()> {
    locate(proto, model).map(|_| ())
}

/// Moves the values into the message's `raw_data`.
pub(crate) fn inline(proto: &mut TensorProto, model: Option<&Origin>) -> Result<()> {
    let range = locate(proto, model)?;
    let mut file = File::open(&range.path).map_err(reading(&range.path))?;
    let before = Identity::of(&file, &range.path)?;
    let mut bytes = vec![0; usize::try_from(range.length).unwrap_or(usize::MAX)];
    range.read_into(&mut file, proto.name(), &mut bytes)?;
    if Identity::of(&file, &range.path)? != before {
        return Err(Error::changed(&range.path));
    }
    model.map_or(Ok(()), Origin::check_unchanged)?;
    proto.raw_data = Some(bytes.into());
    proto.external_data.clear();
    proto.data_location = None;
    Ok(())
}

/// The file and the bytes in it; they are there.
pub(crate) fn locate(proto: &TensorProto, model: Option<&Origin>) -> Result<ByteRange> {
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
    let path = resolve(proto, &location, model)?;
    let size = File::open(&path)
        .and_then(|file| file.metadata())
        .map_err(reading(&path))?
        .len();
    let expected = expected_bytes(proto)?;
    // Both entries are optional: the default is the whole file from its beginning.
    let length = length.unwrap_or(expected);
    if length != expected {
        let detail = format!("its shape takes {expected} bytes, its length is {length}");
        return Err(bounds(detail));
    }
    // Checked: numbers of the file may overflow.
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

/// The file of a location: a plain relative path that stays in the model's folder, or in that of the real file,
/// symbolic links followed.
fn resolve(proto: &TensorProto, location: &str, model: Option<&Origin>) -> Result<PathBuf> {
    let model = model.ok_or_else(|| Error::no_folder(proto.name()))?;
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
    let mut found = None;
    for folder in &model.folders {
        let path = folder.join(location);
        match fs_err::canonicalize(&path) {
            Ok(real) => {
                found = Some((path, real));
                break;
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(source) => return Err(reading(&path)(source)),
        }
    }
    let Some((path, real)) = found else {
        let path = files::parent_folder(&model.path).join(location);
        return Err(Error::external_missing(proto.name(), &path));
    };
    // A plain path may still be a symbolic link to anywhere: the real path decides.
    if !model.folders.iter().any(|folder| real.starts_with(folder)) {
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

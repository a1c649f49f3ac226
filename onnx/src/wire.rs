//! Protobuf wire format: the outermost fields of a model file, one by one. Decodes no message.
//!
//! Own code, since `prost` decodes from bytes in memory: with it, a header would take the time and the
//! memory of the whole file. Source: <https://protobuf.dev/programming-guides/encoding/>.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// Why the outermost fields cannot be read.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// These bytes are no `ModelProto`.
    NotAModel(String),
    /// A field ends at byte `expected`, after the end of the file.
    Truncated {
        expected: u64,
    },
    Io(io::Error),
}

impl From<io::Error> for ScanError {
    fn from(source: io::Error) -> Self {
        ScanError::Io(source)
    }
}

/// One field of the outermost message, or several in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// First byte of the field's key.
    pub(crate) start: u64,
    /// The byte after its value.
    pub(crate) end: u64,
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LEN: u64 = 2;
const FIXED32: u64 = 5;

/// The wire type of a field of `ModelProto`; `None` for field numbers that it does not use.
fn wire_type(number: u32) -> Option<u64> {
    match number {
        1 | 5 => Some(VARINT),
        2..=4 | 6..=8 | 14 | 20 | 25 | 26 => Some(LEN),
        _ => None,
    }
}

/// Calls `visit` with each field and skips its value. No field may end after `len`, the file's size.
pub(crate) fn scan<R: BufRead + Seek>(
    reader: &mut R,
    len: u64,
    mut visit: impl FnMut(&Field),
) -> Result<(), ScanError> {
    let mut position = 0;
    let mut known = 0;
    while position < len {
        let start = position;
        let key = varint(reader, &mut position, len)?;
        let (number, wire) = (u32::try_from(key >> 3).unwrap_or(0), key & 7);
        match wire_type(number) {
            Some(expected) if expected == wire => known += 1,
            // Later versions of the format may add fields. Other data is refused here: a model begins
            // with a field that is known.
            None if known > 0 && number != 0 => {}
            _ => {
                return Err(ScanError::NotAModel(format!(
                    "the bytes from {start} on are no part of one"
                )));
            }
        }
        let size = match wire {
            VARINT => {
                varint(reader, &mut position, len)?;
                0
            }
            FIXED64 => 8,
            FIXED32 => 4,
            LEN => varint(reader, &mut position, len)?,
            _ => {
                return Err(ScanError::NotAModel(format!(
                    "the bytes from {start} on are no part of one"
                )));
            }
        };
        let end = position.saturating_add(size);
        if end > len {
            return Err(ScanError::Truncated { expected: end });
        }
        visit(&Field { number, start, end });
        skip(reader, size)?;
        position = end;
    }
    Ok(())
}

fn skip<R: Seek>(reader: &mut R, size: u64) -> io::Result<()> {
    let size = i64::try_from(size).map_err(io::Error::other)?;
    reader.seek_relative(size)
}

fn varint<R: Read>(reader: &mut R, position: &mut u64, len: u64) -> Result<u64, ScanError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        if *position == len {
            return Err(ScanError::Truncated { expected: len + 1 });
        }
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        *position += 1;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ScanError::NotAModel(format!(
        "the bytes before {position} are no part of one"
    )))
}

/// The bytes of `fields`, one after another.
pub(crate) fn read_fields<R: Read + Seek>(reader: &mut R, fields: &[Field]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for field in fields {
        reader.seek(SeekFrom::Start(field.start))?;
        reader
            .by_ref()
            .take(field.end - field.start)
            .read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

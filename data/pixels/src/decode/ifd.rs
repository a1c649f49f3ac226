//! TIFF directory (IFD): the tags of a TIFF file and of an EXIF block (TIFF 6.0, section 2; BigTIFF).
//!
//! Tolerates what PIL tolerates (`ImageFileDirectory_v2.load`), because EXIF blocks are often damaged.

use std::collections::BTreeMap;

/// Tags of the first directory.
pub(super) struct Directory<'a> {
    /// Whether numbers have their high byte first (`MM`).
    pub(super) big_endian: bool,
    /// Whether another directory follows: a second page, or a thumbnail.
    pub(super) has_next: bool,
    entries: BTreeMap<u16, Entry<'a>>,
}

struct Entry<'a> {
    kind: u16,
    data: &'a [u8],
}

/// Reads numbers of one byte order at an offset.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Cursor<'a> {
    fn slice(self, offset: u64, length: u64) -> Option<&'a [u8]> {
        let end = offset.checked_add(length)?;
        self.bytes
            .get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
    }

    fn number(self, offset: u64, length: u64) -> Option<u64> {
        self.slice(offset, length)
            .map(|b| joined(b, self.big_endian))
    }
}

/// An unsigned number of up to 8 bytes.
fn joined(bytes: &[u8], big_endian: bool) -> u64 {
    let join = |sum, &byte: &u8| sum << 8 | u64::from(byte);
    if big_endian {
        bytes.iter().fold(0, join)
    } else {
        bytes.iter().rev().fold(0, join)
    }
}

impl<'a> Directory<'a> {
    /// The first directory of a TIFF file or of an EXIF block without its prefix.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
        // `MM*\0` and `II\0*` are wrong, but PIL reads such EXIF blocks.
        let (big_endian, big_tiff) = match bytes.get(..4)? {
            b"MM\0\x2a" | b"MM\x2a\0" => (true, false),
            b"II\x2a\0" | b"II\0\x2a" => (false, false),
            b"MM\0\x2b" => (true, true),
            b"II\x2b\0" => (false, true),
            _ => return None,
        };
        let cursor = Cursor { bytes, big_endian };
        let offset = if big_tiff {
            cursor.number(8, 8)
        } else {
            cursor.number(4, 4)
        }?;
        let mut directory = Self {
            big_endian,
            has_next: false,
            entries: BTreeMap::new(),
        };
        // A directory that is cut off keeps the entries in front of the cut, as in PIL.
        if let Some(next) = directory.read(cursor, offset, big_tiff) {
            directory.has_next = next != 0;
        }
        Some(directory)
    }

    /// Reads the entries at `offset`; the offset of the next directory.
    fn read(&mut self, cursor: Cursor<'a>, offset: u64, big_tiff: bool) -> Option<u64> {
        // Bytes of the number of entries, and of a count or an offset within an entry.
        let (head, word) = if big_tiff { (8, 8) } else { (2, 4) };
        let count = cursor.number(offset, head)?;
        let mut at = offset.checked_add(head)?;
        let mut total = 0_u64;
        for _ in 0..count {
            // Tag (2 bytes), type (2), count, value or the offset of the values.
            let entry = cursor.slice(at, 4 + 2 * word)?;
            let [tag, kind] = [0, 2].map(|i| joined(&entry[i..i + 2], cursor.big_endian) as u16);
            let values = joined(&entry[4..4 + word as usize], cursor.big_endian);
            let field = at + 4 + word;
            at += 4 + 2 * word;
            if self.entries.contains_key(&tag) {
                continue;
            }
            let Some(length) = unit(kind).and_then(|unit| unit.checked_mul(values)) else {
                continue;
            };
            let data = if length > word {
                // Values that overlap could sum to more than the file: PIL's bound, too.
                total = total.saturating_add(length);
                if total > cursor.bytes.len() as u64 {
                    continue;
                }
                cursor.slice(cursor.number(field, word)?, length)?
            } else {
                cursor.slice(field, length)?
            };
            if !data.is_empty() {
                self.entries.insert(tag, Entry { kind, data });
            }
        }
        cursor.number(at, word)
    }

    pub(super) fn contains(&self, tag: u16) -> bool {
        self.entries.contains_key(&tag)
    }

    /// The bytes of a tag of type BYTE or UNDEFINED.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.entries.get(&tag)?;
        matches!(entry.kind, 1 | 7).then_some(entry.data)
    }

    /// The numbers of a tag of any numeric type. Bytes and text are no numbers, as in PIL.
    pub(super) fn numbers(&self, tag: u16) -> Option<Vec<f64>> {
        let entry = self.entries.get(&tag)?;
        let chunks = entry.data.chunks_exact(unit(entry.kind)? as usize);
        chunks.map(|chunk| self.value(entry.kind, chunk)).collect()
    }

    fn value(&self, kind: u16, chunk: &[u8]) -> Option<f64> {
        let word = |bytes: &[u8]| joined(bytes, self.big_endian);
        let signed = |bytes: &[u8]| f64::from(word(bytes) as u32 as i32);
        Some(match kind {
            // SHORT, LONG, IFD, LONG8. Offsets beyond 2^53, which a double cannot hold, lie in no file.
            3 | 4 | 13 | 16 => word(chunk) as f64,
            6 => f64::from(word(chunk) as u8 as i8),
            8 => f64::from(word(chunk) as u16 as i16),
            9 => signed(chunk),
            5 => word(&chunk[..4]) as f64 / word(&chunk[4..]) as f64,
            10 => signed(&chunk[..4]) / signed(&chunk[4..]),
            11 => f64::from(f32::from_bits(word(chunk) as u32)),
            12 => f64::from_bits(word(chunk)),
            _ => return None,
        })
    }
}

/// Bytes of one value of a type (TIFF 6.0, section 2; 16 is BigTIFF's LONG8). Others are unknown to PIL.
const fn unit(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 => 8,
        _ => return None,
    })
}

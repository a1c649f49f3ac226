//! The safetensors file format: named tensors and text, nothing that runs; knows no network.
//!
//! <https://huggingface.co/docs/safetensors/index#format>: the length of the header (8 bytes,
//! little-endian), the header (JSON, padded with spaces to 8 bytes), the tensors' bytes without
//! gaps. Only the types that checkpoints and our
//! reference files have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const METADATA: &str = "__metadata__";
const LENGTH_BYTES: usize = 8;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Dtype {
    F32,
    U8,
    I64,
}

impl Dtype {
    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::U8 => 1,
            Self::I64 => 8,
        }
    }
}

/// A tensor: little-endian, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The bytes of a file.
pub(super) fn write(
    entries: &[Entry<'_>],
    metadata: &BTreeMap<&str, String>,
) -> serde_json::Result<Vec<u8>> {
    let mut header = Map::new();
    header.insert(METADATA.into(), serde_json::to_value(metadata)?);
    let mut end = 0;
    for entry in entries {
        let start = end;
        end += entry.bytes.len();
        let (dtype, shape) = (entry.dtype, entry.shape.clone());
        let info = Info {
            dtype,
            shape,
            data_offsets: [start, end],
        };
        header.insert(entry.name.clone(), serde_json::to_value(info)?);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    entries.iter().for_each(|entry| bytes.extend(entry.bytes));
    Ok(bytes)
}

/// The tensors of a file, in file order, and its metadata; or what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Entry<'_>>, BTreeMap<String, String>), String> {
    let (length, rest) = bytes
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or("it is too short for a header")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (header, data) = rest
        .split_at_checked(length)
        .ok_or("it is truncated, or not a safetensors file")?;
    let mut header: Map<String, Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
    let metadata = match header.remove(METADATA) {
        Some(value) => serde_json::from_value(value).map_err(|e| format!("its metadata: {e}"))?,
        None => BTreeMap::new(),
    };
    let mut infos = Vec::with_capacity(header.len());
    for (name, value) in header {
        let info: Info = serde_json::from_value(value).map_err(|e| format!("`{name}`: {e}"))?;
        infos.push((name, info));
    }
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let mut at = 0;
    let mut entries = Vec::with_capacity(infos.len());
    for (
        name,
        Info {
            dtype,
            shape,
            data_offsets: [start, end],
        },
    ) in infos
    {
        let count = shape
            .iter()
            .try_fold(dtype.size(), |size, dim| size.checked_mul(*dim));
        if start != at || Some(end) != count.and_then(|size| start.checked_add(size)) {
            return Err(format!("`{name}` has no room of its size in the file"));
        }
        let bytes = data
            .get(start..end)
            .ok_or(format!("it is truncated in `{name}`"))?;
        entries.push(Entry {
            name,
            dtype,
            shape,
            bytes,
        });
        at = end;
    }
    if at != data.len() {
        return Err(format!(
            "{} bytes at its end belong to nothing",
            data.len() - at
        ));
    }
    Ok((entries, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let weights: Vec<u8> = [1.5f32, -2.0, f32::MIN_POSITIVE, 0.1, 0.2, 0.3]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let entries = [
            Entry {
                name: "fc.weight".into(),
                dtype: Dtype::F32,
                shape: vec![2, 3],
                bytes: &weights,
            },
            Entry {
                name: "bytes".into(),
                dtype: Dtype::U8,
                shape: vec![5],
                bytes: b"hello",
            },
        ];
        write(
            &entries,
            &BTreeMap::from([("state", "{\"a\": \"ü\"}".to_string())]),
        )
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample();
        let (entries, metadata) = read(&bytes).unwrap();
        assert_eq!(metadata["state"], "{\"a\": \"ü\"}");
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (entries[0].name.as_str(), &entries[0].shape[..]),
            ("fc.weight", &[2, 3][..])
        );
        assert_eq!(entries[0].bytes[..4], 1.5f32.to_le_bytes());
        assert_eq!(
            (entries[1].dtype, entries[1].bytes),
            (Dtype::U8, &b"hello"[..])
        );
    }

    #[test]
    fn the_data_begins_at_a_multiple_of_eight() {
        let bytes = sample();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(length % 8, 0);
    }

    #[test]
    fn every_truncation_and_every_extra_byte_is_an_error() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(
                read(&bytes[..length]).is_err(),
                "{length} of {} bytes",
                bytes.len()
            );
        }
        assert!(read(&[&bytes[..], b"!"].concat()).is_err());
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors_and_never_panics() {
        let file = |header: &str| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 8]);
            bytes
        };
        for header in [
            r#"{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}"#,
            r#"{"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 8]}}"#,
            r#"{"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}"#,
            r#"{"a": 1}"#,
            "[]",
        ] {
            assert!(read(&file(header)).is_err(), "{header}");
        }
        assert!(read(&u64::MAX.to_le_bytes()).is_err());
        assert!(
            read(&file(
                r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#
            ))
            .is_ok()
        );
    }
}

//! Safetensors files. Knows no network.

use super::{Stored, invalid};
use onnx::proto::DataType;
use safetensors::{Dtype, SafeTensors};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Whether a file begins as safetensors does: eight bytes of length, then JSON.
pub(super) fn is_one(head: &[u8; 9]) -> bool {
    head[4..] == [0, 0, 0, 0, b'{']
}

/// The tensors of a file, by name.
pub(super) fn read(path: &Path) -> io::Result<Vec<(String, Stored)>> {
    // Not `Arc<[u8]>`, for which the bytes would be copied.
    let bytes = Arc::new(std::fs::read(path)?);
    let (header, metadata) =
        SafeTensors::read_metadata(&bytes).map_err(|error| invalid(error.to_string()))?;
    // Of the eight bytes of the header's length, and the header.
    let begin = 8 + header;
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let bytes = bytes.clone();
        let (from, to) = info.data_offsets;
        let stored = Stored {
            name: name.clone(),
            shape: info.shape.clone(),
            elem_type: elem_type(info.dtype),
            read: Box::new(move || Ok(bytes[begin + from..begin + to].to_vec())),
        };
        (name, stored)
    });
    Ok(tensors.collect())
}

fn elem_type(dtype: Dtype) -> DataType {
    match dtype {
        Dtype::F64 => DataType::Double,
        Dtype::F32 => DataType::Float,
        Dtype::F16 => DataType::Float16,
        Dtype::BF16 => DataType::Bfloat16,
        Dtype::I64 => DataType::Int64,
        Dtype::I32 => DataType::Int32,
        Dtype::BOOL => DataType::Bool,
        // None of these is a weight of a network here.
        _ => DataType::Undefined,
    }
}

//! Codec of tensor values: `raw_data` (little-endian) or the typed fields of `TensorProto`.
//!
//! Knows no files: external data comes in as bytes. Source: the comments of `onnx.proto`.

use super::{Tensor, TensorData};
use crate::error::{Error, Result};
use crate::proto::{DataLocation, DataType, TensorProto};

/// Bits per element of types stored with a fixed width.
pub(crate) fn bits(elem_type: DataType) -> Option<usize> {
    Some(match elem_type {
        DataType::Undefined | DataType::String => return None,
        DataType::Uint2 | DataType::Int2 => 2,
        DataType::Uint4 | DataType::Int4 | DataType::Float4e2m1 => 4,
        // The schema packs four 6-bit numbers into three bytes.
        DataType::Float6e2m3 | DataType::Float6e3m2 => 6,
        DataType::Uint8
        | DataType::Int8
        | DataType::Bool
        | DataType::Float8e4m3fn
        | DataType::Float8e4m3fnuz
        | DataType::Float8e5m2
        | DataType::Float8e5m2fnuz
        | DataType::Float8e8m0 => 8,
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => 16,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 32,
        DataType::Double | DataType::Int64 | DataType::Uint64 | DataType::Complex64 => 64,
        DataType::Complex128 => 128,
    })
}

/// Bytes that `len` elements take in `raw_data`.
pub(crate) fn raw_bytes(elem_type: DataType, len: usize) -> Option<usize> {
    Some(len.checked_mul(bits(elem_type)?)?.div_ceil(8))
}

/// The element type of a message.
pub(crate) fn elem_type(proto: &TensorProto) -> Result<DataType> {
    match DataType::try_from(proto.data_type()) {
        Ok(DataType::Undefined) | Err(_) => {
            let detail = format!("unknown element type {}", proto.data_type());
            Err(Error::tensor_damaged(proto.name(), &detail))
        }
        Ok(elem_type) => Ok(elem_type),
    }
}

/// The shape of a message.
pub(crate) fn dims(proto: &TensorProto) -> Result<Vec<usize>> {
    let damaged = |detail: String| Error::tensor_damaged(proto.name(), &detail);
    let shape = &proto.dims;
    let dims: Result<Vec<usize>, _> = shape.iter().map(|dim| usize::try_from(*dim)).collect();
    let dims = dims.map_err(|_| damaged(format!("negative size in shape {shape:?}")))?;
    // Checked once here: users of `dims` may multiply them.
    let product = dims
        .iter()
        .try_fold(1_usize, |len, dim| len.checked_mul(*dim));
    match product {
        Some(_) => Ok(dims),
        None => Err(damaged(format!("shape {shape:?} is too large"))),
    }
}

pub(super) fn decode(proto: &TensorProto) -> Result<Tensor> {
    if proto.data_location() == DataLocation::External {
        return Err(Error::no_folder(proto.name()));
    }
    let (elem_type, dims) = (elem_type(proto)?, dims(proto)?);
    let data = match &proto.raw_data {
        Some(bytes) => from_raw(elem_type, bytes),
        None => from_typed(elem_type, proto),
    };
    let data = data.map_err(|detail| Error::tensor_damaged(proto.name(), &detail))?;
    let tensor = Tensor { dims, data };
    tensor.check(proto.name())?;
    Ok(tensor)
}

pub(super) fn encode(tensor: &Tensor, name: &str) -> TensorProto {
    let size = |dim: &usize| i64::try_from(*dim).expect("no axis is longer than memory");
    let mut proto = TensorProto {
        name: Some(name.to_owned()),
        dims: tensor.dims.iter().map(size).collect(),
        data_type: Some(tensor.elem_type() as i32),
        ..Default::default()
    };
    match &tensor.data {
        TensorData::String(values) => proto.string_data.clone_from(values),
        data => proto.raw_data = Some(to_raw(data).into()),
    }
    proto
}

/// The number of values.
pub(super) fn count(data: &TensorData) -> usize {
    match data {
        TensorData::F32(v) => v.len(),
        TensorData::F64(v) => v.len(),
        TensorData::F16(v) | TensorData::BF16(v) | TensorData::U16(v) => v.len(),
        TensorData::I8(v) => v.len(),
        TensorData::I16(v) => v.len(),
        TensorData::I32(v) => v.len(),
        TensorData::I64(v) => v.len(),
        TensorData::U8(v) | TensorData::Raw(_, v) => v.len(),
        TensorData::U32(v) => v.len(),
        TensorData::U64(v) => v.len(),
        TensorData::Bool(v) => v.len(),
        TensorData::String(v) => v.len(),
    }
}

/// Little-endian bytes to numbers.
fn read<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(chunks.iter().map(|chunk| from(*chunk)).collect());
    }
    let len = bytes.len();
    Err(format!(
        "{len} bytes are no whole number of {N}-byte values"
    ))
}

fn from_raw(elem_type: DataType, bytes: &[u8]) -> Result<TensorData, String> {
    Ok(match elem_type {
        DataType::Float => TensorData::F32(read(bytes, f32::from_le_bytes)?),
        DataType::Double => TensorData::F64(read(bytes, f64::from_le_bytes)?),
        DataType::Float16 => TensorData::F16(read(bytes, u16::from_le_bytes)?),
        DataType::Bfloat16 => TensorData::BF16(read(bytes, u16::from_le_bytes)?),
        DataType::Int8 => TensorData::I8(read(bytes, i8::from_le_bytes)?),
        DataType::Int16 => TensorData::I16(read(bytes, i16::from_le_bytes)?),
        DataType::Int32 => TensorData::I32(read(bytes, i32::from_le_bytes)?),
        DataType::Int64 => TensorData::I64(read(bytes, i64::from_le_bytes)?),
        DataType::Uint8 => TensorData::U8(bytes.to_vec()),
        DataType::Uint16 => TensorData::U16(read(bytes, u16::from_le_bytes)?),
        DataType::Uint32 => TensorData::U32(read(bytes, u32::from_le_bytes)?),
        DataType::Uint64 => TensorData::U64(read(bytes, u64::from_le_bytes)?),
        DataType::Bool => TensorData::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        DataType::String => return Err("strings cannot be raw data".to_owned()),
        other => TensorData::Raw(other, bytes.to_vec()),
    })
}

/// The typed field that `onnx.proto` assigns to each element type.
fn from_typed(elem_type: DataType, proto: &TensorProto) -> Result<TensorData, String> {
    let ints = &proto.int32_data;
    Ok(match elem_type {
        DataType::Float => TensorData::F32(proto.float_data.clone()),
        DataType::Double => TensorData::F64(proto.double_data.clone()),
        DataType::Float16 => TensorData::F16(narrow(ints)?),
        DataType::Bfloat16 => TensorData::BF16(narrow(ints)?),
        DataType::Int8 => TensorData::I8(narrow(ints)?),
        DataType::Int16 => TensorData::I16(narrow(ints)?),
        DataType::Int32 => TensorData::I32(ints.clone()),
        DataType::Int64 => TensorData::I64(proto.int64_data.clone()),
        DataType::Uint8 => TensorData::U8(narrow(ints)?),
        DataType::Uint16 => TensorData::U16(narrow(ints)?),
        DataType::Uint32 => TensorData::U32(narrow(&proto.uint64_data)?),
        DataType::Uint64 => TensorData::U64(proto.uint64_data.clone()),
        DataType::Bool => TensorData::Bool(ints.iter().map(|value| *value != 0).collect()),
        DataType::String => TensorData::String(proto.string_data.clone()),
        DataType::Complex64 => {
            let bytes = proto.float_data.iter().flat_map(|x| x.to_le_bytes());
            TensorData::Raw(elem_type, bytes.collect())
        }
        DataType::Complex128 => {
            let bytes = proto.double_data.iter().flat_map(|x| x.to_le_bytes());
            TensorData::Raw(elem_type, bytes.collect())
        }
        // 8-bit floats: one to an `int32`. Narrower numbers: packed bytes as in raw data, one to an
        // `int32`.
        other => TensorData::Raw(other, narrow(ints)?),
    })
}

fn narrow<A: Copy + std::fmt::Display, B: TryFrom<A>>(values: &[A]) -> Result<Vec<B>, String> {
    values
        .iter()
        .map(|value| B::try_from(*value).map_err(|_| format!("value {value} is out of range")))
        .collect()
}

fn to_raw(data: &TensorData) -> Vec<u8> {
    match data {
        TensorData::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::F16(v) | TensorData::BF16(v) | TensorData::U16(v) => {
            v.iter().flat_map(|x| x.to_le_bytes()).collect()
        }
        TensorData::I8(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::U8(v) | TensorData::Raw(_, v) => v.clone(),
        TensorData::U32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::U64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::Bool(v) => v.iter().map(|x| u8::from(*x)).collect(),
        // `encode` writes strings to `string_data`.
        TensorData::String(_) => Vec::new(),
    }
}

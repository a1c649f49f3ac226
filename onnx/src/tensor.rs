//! Tensor: a shape and its values in memory. `codec` knows how they are stored.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::error::{Error, Result};
use crate::proto::{DataType, TensorProto};

mod codec;

pub(crate) use codec::{dims, elem_type, raw_bytes};

/// A shape and its values in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The shape; empty for a scalar.
    pub dims: Vec<usize>,
    /// The values in row-major order.
    pub data: TensorData,
}

/// Values of one element type.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Half precision, as bits.
    F16(Vec<u16>),
    /// bfloat16, as bits.
    BF16(Vec<u16>),
    /// Signed 8 bits.
    I8(Vec<i8>),
    /// Signed 16 bits.
    I16(Vec<i16>),
    /// Signed 32 bits.
    I32(Vec<i32>),
    /// Signed 64 bits.
    I64(Vec<i64>),
    /// Unsigned 8 bits.
    U8(Vec<u8>),
    /// Unsigned 16 bits.
    U16(Vec<u16>),
    /// Unsigned 32 bits.
    U32(Vec<u32>),
    /// Unsigned 64 bits.
    U64(Vec<u64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Byte strings.
    String(Vec<Vec<u8>>),
    /// Any other type, as the bytes of `raw_data`: complex numbers, and numbers of 8 bits and fewer
    /// (4-bit types two to a byte, low half first).
    Raw(DataType, Vec<u8>),
}

impl Tensor {
    /// A tensor in single precision.
    ///
    /// # Errors
    /// The number of values is not the product of `dims`.
    ///
    /// ```
    /// let tensor = classifold_onnx::Tensor::f32(&[2, 1], vec![1.0, 2.0]).unwrap();
    /// assert!(classifold_onnx::Tensor::f32(&[2, 2], vec![1.0, 2.0]).is_err());
    /// # assert_eq!(tensor.dims, [2, 1]);
    /// ```
    pub fn f32(dims: &[usize], data: Vec<f32>) -> Result<Tensor> {
        Tensor::new(dims, TensorData::F32(data))
    }

    /// A tensor of 64-bit integers.
    ///
    /// # Errors
    /// The number of values is not the product of `dims`.
    ///
    /// ```
    /// assert_eq!(classifold_onnx::Tensor::i64(&[], vec![7]).unwrap().len(), 1);
    /// ```
    pub fn i64(dims: &[usize], data: Vec<i64>) -> Result<Tensor> {
        Tensor::new(dims, TensorData::I64(data))
    }

    /// A tensor of any type.
    ///
    /// # Errors
    /// The number of values is not the product of `dims`.
    ///
    /// ```
    /// use classifold_onnx::{Tensor, TensorData};
    /// assert!(Tensor::new(&[3], TensorData::Bool(vec![true, false])).is_err());
    /// ```
    pub fn new(dims: &[usize], data: TensorData) -> Result<Tensor> {
        let tensor = Tensor {
            dims: dims.to_vec(),
            data,
        };
        tensor.check("")?;
        Ok(tensor)
    }

    /// The number of elements: the product of `dims`.
    pub fn len(&self) -> usize {
        // Saturating: `dims` is public, and a count that overflowed could match the values by chance.
        self.dims
            .iter()
            .fold(1, |product: usize, dim| product.saturating_mul(*dim))
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn elem_type(&self) -> DataType {
        match &self.data {
            TensorData::F32(_) => DataType::Float,
            TensorData::F64(_) => DataType::Double,
            TensorData::F16(_) => DataType::Float16,
            TensorData::BF16(_) => DataType::Bfloat16,
            TensorData::I8(_) => DataType::Int8,
            TensorData::I16(_) => DataType::Int16,
            TensorData::I32(_) => DataType::Int32,
            TensorData::I64(_) => DataType::Int64,
            TensorData::U8(_) => DataType::Uint8,
            TensorData::U16(_) => DataType::Uint16,
            TensorData::U32(_) => DataType::Uint32,
            TensorData::U64(_) => DataType::Uint64,
            TensorData::Bool(_) => DataType::Bool,
            TensorData::String(_) => DataType::String,
            TensorData::Raw(elem_type, _) => *elem_type,
        }
    }

    /// The values in single precision: borrowed if stored so, converted from half precision,
    /// bfloat16 and double precision.
    ///
    /// # Errors
    /// The elements are no floating-point numbers.
    ///
    /// ```
    /// use classifold_onnx::{Tensor, TensorData};
    /// let half = Tensor::new(&[1], TensorData::F16(vec![0x3c00])).unwrap();
    /// assert_eq!(*half.as_f32().unwrap(), [1.0]);
    /// ```
    pub fn as_f32(&self) -> Result<Cow<'_, [f32]>> {
        Ok(match &self.data {
            TensorData::F32(values) => Cow::Borrowed(values),
            TensorData::F64(values) => values.iter().map(|v| *v as f32).collect(),
            TensorData::F16(bits) => bits.iter().map(|b| f16::from_bits(*b).to_f32()).collect(),
            TensorData::BF16(bits) => bits.iter().map(|b| bf16::from_bits(*b).to_f32()).collect(),
            _ => return Err(self.is_not("floating-point numbers")),
        })
    }

    /// The values as 64-bit integers: borrowed if stored so, converted from narrower ones.
    ///
    /// # Errors
    /// The elements are no integers of up to 64 bits with sign.
    ///
    /// ```
    /// use classifold_onnx::{Tensor, TensorData};
    /// let shape = Tensor::new(&[2], TensorData::I32(vec![-1, 8])).unwrap();
    /// assert_eq!(*shape.as_i64().unwrap(), [-1, 8]);
    /// ```
    pub fn as_i64(&self) -> Result<Cow<'_, [i64]>> {
        Ok(match &self.data {
            TensorData::I64(values) => Cow::Borrowed(values),
            TensorData::I32(values) => values.iter().map(|v| i64::from(*v)).collect(),
            TensorData::I16(values) => values.iter().map(|v| i64::from(*v)).collect(),
            TensorData::I8(values) => values.iter().map(|v| i64::from(*v)).collect(),
            TensorData::U32(values) => values.iter().map(|v| i64::from(*v)).collect(),
            TensorData::U16(values) => values.iter().map(|v| i64::from(*v)).collect(),
            TensorData::U8(values) => values.iter().map(|v| i64::from(*v)).collect(),
            _ => return Err(self.is_not("integers")),
        })
    }

    /// Decodes a message that holds its values itself.
    ///
    /// # Errors
    /// The values do not fit the shape, or they are in another file ([`Document::tensor`] reads
    /// those).
    ///
    /// [`Document::tensor`]: crate::Document::tensor
    pub fn from_proto(proto: &TensorProto) -> Result<Tensor> {
        codec::decode(proto)
    }

    /// Encodes a message with the values in `raw_data`, or in `string_data`.
    pub fn to_proto(&self, name: &str) -> TensorProto {
        codec::encode(self, name)
    }

    fn is_not(&self, expected: &str) -> Error {
        Error::element_type(expected, self.elem_type())
    }

    /// Checks that the number of values fits the shape.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let (expected, found) = match &self.data {
            TensorData::Raw(elem_type, bytes) => (
                codec::raw_bytes(*elem_type, self.len()).unwrap_or(usize::MAX),
                bytes.len(),
            ),
            data => (self.len(), codec::count(data)),
        };
        if expected == found {
            return Ok(());
        }
        let dims = &self.dims;
        let detail = format!("shape {dims:?} asks for {expected} values, found {found}");
        Err(Error::tensor_damaged(name, &detail))
    }
}

#[cfg(test)]
mod tests;

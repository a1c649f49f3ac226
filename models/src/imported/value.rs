//! Values between the steps, and the call of an operator with them.

use super::dyn_tensor::{DynTensor, Mask};
use super::host;
use crate::layers::BatchNorm;
use burn::tensor::Device;
use onnx::proto::{AttributeProto, NodeProto};
use onnx::{Tensor, TensorData};

/// A value between two steps.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Numbers on the device, which take gradients.
    Device(DynTensor),
    /// A choice that depends on numbers on the device.
    Mask(Mask),
    /// Numbers of the host: shapes, indices and constants. Integers are 64-bit, floats single precision.
    Host(Tensor),
}

/// Result of an operator, or the reason why there is none.
pub(super) type Outcome<T = Value> = Result<T, String>;

impl Value {
    /// Numbers on the device.
    pub(super) fn upload(self, device: &Device) -> Outcome<DynTensor> {
        match self {
            Self::Device(tensor) => Ok(tensor),
            Self::Host(tensor) => {
                let values = tensor
                    .as_f32()
                    .map_err(|_| "it computes with integers of the graph".to_owned())?;
                if values.is_empty() {
                    return Err("it reads a value without numbers".into());
                }
                Ok(DynTensor::upload(values.into_owned(), &tensor.dims, device))
            }
            Self::Mask(_) => Err("it computes with truth values".into()),
        }
    }

    pub(super) fn dims(&self) -> Outcome<Vec<usize>> {
        match self {
            Self::Device(tensor) => Ok(tensor.dims()),
            Self::Host(tensor) => Ok(tensor.dims.clone()),
            Self::Mask(_) => Err("it reads truth values".into()),
        }
    }

    /// The number of a host value with one element.
    pub(super) fn scalar(&self) -> Option<f64> {
        match self {
            Self::Host(tensor) if tensor.len() == 1 => Some(match &tensor.data {
                TensorData::F32(values) => f64::from(values[0]),
                TensorData::I64(values) => values[0] as f64,
                _ => return None,
            }),
            _ => None,
        }
    }
}

/// An operator with its inputs.
pub(super) struct Call<'a> {
    pub(super) node: &'a NodeProto,
    pub(super) opset: i64,
    pub(super) inputs: Vec<Option<Value>>,
    pub(super) norm: Option<&'a BatchNorm>,
    /// Upper bound of the clamp that a batch norm does as well.
    pub(super) clamp: Option<f32>,
    pub(super) device: &'a Device,
}

impl Call<'_> {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|a| a.name() == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, AttributeProto::i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f64 {
        f64::from(self.attribute(name).map_or(default, AttributeProto::f))
    }

    pub(super) fn text(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or(default.to_owned(), |a| {
            String::from_utf8_lossy(a.s()).into_owned()
        })
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.clone())
    }

    /// The tensor of an attribute.
    pub(super) fn tensor(&self, name: &str) -> Outcome<Option<Tensor>> {
        let proto = self.attribute(name).and_then(|a| a.t.as_deref());
        let tensor = proto.map(|proto| Tensor::from_proto(proto).map_err(|e| e.to_string()));
        tensor.transpose()?.map(host::normalised).transpose()
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.inputs.get(index).is_some_and(Option::is_some)
    }

    pub(super) fn take(&mut self, index: usize) -> Outcome {
        let slot = self.inputs.get_mut(index).and_then(Option::take);
        slot.ok_or_else(|| format!("its input {index} is missing"))
    }

    /// Input `index` on the device.
    pub(super) fn device(&mut self, index: usize) -> Outcome<DynTensor> {
        self.take(index)?.upload(self.device)
    }

    pub(super) fn optional(&mut self, index: usize) -> Outcome<Option<DynTensor>> {
        match self.has(index) {
            true => self.device(index).map(Some),
            false => Ok(None),
        }
    }

    /// Input `index`, which is known without the images' numbers.
    pub(super) fn host(&mut self, index: usize) -> Outcome<Tensor> {
        match self.take(index)? {
            Value::Host(tensor) => Ok(tensor),
            _ => Err(format!(
                "its input {index} depends on the numbers of the images"
            )),
        }
    }

    pub(super) fn host_ints(&mut self, index: usize) -> Outcome<Vec<i64>> {
        let tensor = self.host(index)?;
        let ints = tensor.as_i64().map_err(|e| e.to_string())?;
        Ok(ints.into_owned())
    }

    pub(super) fn optional_ints(&mut self, index: usize) -> Outcome<Option<Vec<i64>>> {
        match self.has(index) {
            true => self.host_ints(index).map(Some),
            false => Ok(None),
        }
    }

    /// Integers that older opsets have as an attribute and newer ones as an input.
    pub(super) fn ints_or_input(&mut self, name: &str, index: usize) -> Outcome<Option<Vec<i64>>> {
        match self.ints(name) {
            Some(ints) => Ok(Some(ints)),
            None => self.optional_ints(index),
        }
    }

    /// A number that older opsets have as an attribute and newer ones as an input.
    pub(super) fn number_or_input(&mut self, name: &str, index: usize) -> Outcome<Option<f64>> {
        if let Some(attribute) = self.attribute(name) {
            return Ok(Some(f64::from(attribute.f())));
        }
        if !self.has(index) {
            return Ok(None);
        }
        let number = self.take(index)?.scalar();
        let number = number.ok_or_else(|| format!("its input {index} is not one stored number"))?;
        Ok(Some(number))
    }

    /// Whether all inputs are the host's.
    pub(super) fn is_host(&self) -> bool {
        let mut inputs = self.inputs.iter().flatten();
        inputs.all(|input| matches!(input, Value::Host(_)))
    }
}

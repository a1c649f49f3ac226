//! Tensor of floating-point numbers whose rank is known at run time, on any device, with or without autodiff.
//!
//! Burn's own tensors have their rank in their type; what they do is done on [`DispatchTensor`]s, which have not.
//! Burn's checks of shapes are left out on that way, so that callers check first.

use super::shapes::broadcast;
use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Shape, Slice, TensorMetadata};
use burn::tensor::ops::PadMode;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use kernels::Activation;

/// A tensor of any rank.
#[derive(Clone, Debug)]
pub(crate) struct DynTensor(DispatchTensor);

/// Truth values for a choice between two tensors.
#[derive(Clone, Debug)]
pub(crate) struct Mask(DispatchTensor);

/// Methods that are one operation of the backend, number by number.
macro_rules! unary {
    ($($name:ident = $operation:ident),+ $(,)?) => {
        $(pub(crate) fn $name(self) -> Self {
            Self(Dispatch::$operation(self.0))
        })+
    };
}

/// Methods with a scalar.
macro_rules! with_scalar {
    ($($name:ident = $operation:ident),+ $(,)?) => {
        $(pub(crate) fn $name(self, scalar: f64) -> Self {
            Self(Dispatch::$operation(self.0, scalar.into()))
        })+
    };
}

/// Methods of two tensors, whose shapes are broadcast.
macro_rules! binary {
    ($($name:ident = $operation:ident),+ $(,)?) => {
        $(pub(crate) fn $name(self, other: Self) -> Result<Self, String> {
            let (a, b) = self.aligned(other)?;
            Ok(Self(Dispatch::$operation(a.0, b.0)))
        })+
    };
}

impl DynTensor {
    unary!(
        tanh = float_tanh,
        exp = float_exp,
        log = float_log,
        log1p = float_log1p,
        sqrt = float_sqrt,
        abs = float_abs,
        neg = float_neg,
        recip = float_recip,
        sin = float_sin,
        cos = float_cos,
    );
    with_scalar!(
        add_scalar = float_add_scalar,
        mul_scalar = float_mul_scalar,
        powf_scalar = float_powf_scalar,
        leaky_relu = leaky_relu,
    );
    binary!(
        add = float_add,
        sub = float_sub,
        mul = float_mul,
        div = float_div,
        pow = float_powf,
    );

    pub(crate) fn relu(self) -> Self {
        self.clamp(0.0, f64::INFINITY)
    }

    pub(crate) fn clamp(self, low: f64, high: f64) -> Self {
        Self(kernels::clamp(self.0, low as f32, high as f32))
    }

    pub(crate) fn activate(self, activation: Activation) -> Self {
        Self(kernels::activate(self.0, activation))
    }

    pub(crate) fn from_tensor<const D: usize>(tensor: Tensor<D>) -> Self {
        Self(tensor.into_dispatch())
    }

    /// The tensor with its rank in its type.
    pub(crate) fn into_tensor<const D: usize>(self) -> Result<Tensor<D>, String> {
        match self.rank() {
            rank if rank == D => Ok(Tensor::from_dispatch(self.0)),
            rank => Err(format!("it reads a value of rank {rank}, not {D}")),
        }
    }

    /// Numbers in row-major order on a device; a scalar becomes `[1]`.
    pub(crate) fn upload(values: Vec<f32>, dims: &[usize], device: &Device) -> Self {
        let len = values.len();
        let flat = Tensor::<1>::from_data(TensorData::new(values, [len]), device);
        match dims {
            [] | [_] => Self::from_tensor(flat),
            dims => Self(Dispatch::float_reshape(flat.into_dispatch(), shape(dims))),
        }
    }

    pub(crate) fn dims(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    pub(crate) fn rank(&self) -> usize {
        self.0.shape().num_dims()
    }

    /// Both with the higher rank of the two; their shapes can be broadcast.
    fn aligned(self, other: Self) -> Result<(Self, Self), String> {
        let (a, b) = (self.dims(), other.dims());
        broadcast(&a, &b)?;
        let rank = a.len().max(b.len());
        let align = |tensor: Self, dims: &[usize]| {
            if dims.len() == rank {
                return tensor;
            }
            let mut aligned = vec![1; rank - dims.len()];
            aligned.extend(dims);
            tensor.reshape(&aligned)
        };
        Ok((align(self, &a), align(other, &b)))
    }

    /// `dims` has as many elements.
    pub(crate) fn reshape(self, dims: &[usize]) -> Self {
        if self.dims() == dims {
            return self;
        }
        Self(Dispatch::float_reshape(self.0, shape(dims)))
    }

    pub(crate) fn permute(self, axes: &[usize]) -> Self {
        if axes.iter().copied().eq(0..axes.len()) {
            return self;
        }
        Self(Dispatch::float_permute(self.0, axes))
    }

    /// `slices` has one for each axis.
    pub(crate) fn slice(self, slices: &[Slice]) -> Self {
        Self(Dispatch::float_slice(self.0, slices))
    }

    /// The elements of an axis at `indices`, which are in bounds.
    pub(crate) fn select(self, axis: usize, indices: &[usize], device: &Device) -> Self {
        let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let indices = Tensor::<1, Int>::from_data(&indices[..], device);
        Self(Dispatch::float_select(
            self.0,
            axis,
            indices.into_dispatch(),
        ))
    }

    /// `dims` is what the shape broadcasts to.
    pub(crate) fn expand(self, dims: &[usize]) -> Self {
        let own = self.dims();
        if own == dims {
            return self;
        }
        let mut aligned = vec![1; dims.len() - own.len()];
        aligned.extend(own);
        Self(Dispatch::float_expand(
            self.reshape(&aligned).0,
            shape(dims),
        ))
    }

    pub(crate) fn cat(tensors: Vec<Self>, axis: usize) -> Self {
        let tensors = tensors.into_iter().map(|tensor| tensor.0).collect();
        Self(Dispatch::float_cat(tensors, axis))
    }

    /// `padding` has one pair for each axis.
    pub(crate) fn pad(self, padding: &[(usize, usize)], mode: PadMode) -> Self {
        Self(Dispatch::float_pad(self.0, padding, mode))
    }

    /// Both have the same rank of at least 2 and the same axes before the last two.
    pub(crate) fn matmul(self, other: Self) -> Self {
        Self(kernels::matmul(self.0, other.0))
    }

    pub(crate) fn softmax(self, axis: usize) -> Self {
        Self(Dispatch::softmax(self.0, axis))
    }

    /// The axis keeps the length 1.
    pub(crate) fn mean_dim(self, axis: usize) -> Self {
        Self(Dispatch::float_mean_dim(self.0, axis))
    }

    /// The axis keeps the length 1.
    pub(crate) fn sum_dim(self, axis: usize) -> Self {
        Self(Dispatch::float_sum_dim(self.0, axis))
    }

    /// The axis keeps the length 1.
    pub(crate) fn max_dim(self, axis: usize) -> Self {
        Self(Dispatch::float_max_dim(self.0, axis))
    }

    /// Normalisation of rows, whose length `weight` and `bias` have.
    pub(crate) fn layer_norm(self, weight: Self, bias: Option<Self>, epsilon: f64) -> Self {
        let bias = bias.map(|bias| bias.0);
        Self(kernels::layer_norm(self.0, weight.0, bias, epsilon))
    }

    pub(crate) fn nan_mask(self) -> Mask {
        let dims = self.dims();
        let len = dims.iter().product();
        let flat = Tensor::<1>::from_dispatch(self.reshape(&[len]).0);
        Mask(flat.is_nan().into_dispatch()).reshape(&dims)
    }

    /// `other` where the mask is true; shapes are broadcast.
    pub(crate) fn mask_where(self, mask: Mask, other: Self) -> Result<Self, String> {
        let all = broadcast(&self.dims(), &other.dims())?;
        let all = broadcast(&all, &mask.dims())?;
        let mask = mask.expand(&all);
        let (own, other) = (self.expand(&all), other.expand(&all));
        Ok(Self(Dispatch::float_mask_where(own.0, mask.0, other.0)))
    }
}

impl Mask {
    pub(crate) fn upload(values: Vec<bool>, dims: &[usize], device: &Device) -> Self {
        let len = values.len();
        let flat = Tensor::<1, Bool>::from_data(TensorData::new(values, [len]), device);
        let dims = if dims.is_empty() { &[1] } else { dims };
        Self(flat.into_dispatch()).reshape(dims)
    }

    fn dims(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    fn reshape(self, dims: &[usize]) -> Self {
        Self(Dispatch::bool_reshape(self.0, shape(dims)))
    }

    fn expand(self, dims: &[usize]) -> Self {
        let own = self.dims();
        let mut aligned = vec![1; dims.len() - own.len()];
        aligned.extend(own);
        Self(Dispatch::bool_expand(self.reshape(&aligned).0, shape(dims)))
    }
}

fn shape(dims: &[usize]) -> Shape {
    Shape::from(dims.to_vec())
}

//! Operators with weights, pooling, reductions and normalisation.

use super::dyn_tensor::DynTensor;
use super::shapes::{self, broadcast};
use super::value::{Call, Outcome, Value};
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};

/// A window that moves over height and width.
struct Window {
    size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Before and after the height, before and after the width.
    padding: [(usize, usize); 2],
}

impl Window {
    /// The window of a node over maps of `height` and `width`.
    fn of(call: &Call<'_>, size: [usize; 2], input: [usize; 2]) -> Outcome<Self> {
        let pair = |name: &str| -> Outcome<[usize; 2]> {
            let Some(ints) = call.ints(name) else {
                return Ok([1, 1]);
            };
            let sizes = ints
                .iter()
                .map(|&size| usize::try_from(size).ok().filter(|&n| n > 0));
            let sizes: Option<Vec<usize>> = sizes.collect();
            sizes
                .and_then(|sizes| sizes.try_into().ok())
                .ok_or_else(|| format!("`{name}` is {ints:?}"))
        };
        let (stride, dilation) = (pair("strides")?, pair("dilations")?);
        let mut padding = [(0, 0); 2];
        for axis in 0..2 {
            let reach = dilation[axis] * (size[axis] - 1) + 1;
            padding[axis] = match call.text("auto_pad", "NOTSET").as_str() {
                "NOTSET" => match call.ints("pads").as_deref() {
                    None => (0, 0),
                    Some(pads) if pads.len() == 4 && pads.iter().all(|&n| n >= 0) => {
                        (pads[axis] as usize, pads[axis + 2] as usize)
                    }
                    Some(pads) => return Err(format!("`pads` is {pads:?}")),
                },
                "VALID" => (0, 0),
                // As many windows as strides fit, with what is missing on both sides.
                same @ ("SAME_UPPER" | "SAME_LOWER") => {
                    let windows = input[axis].div_ceil(stride[axis]);
                    let needed = (windows - 1) * stride[axis] + reach;
                    let missing = needed.saturating_sub(input[axis]);
                    let (less, more) = (missing / 2, missing - missing / 2);
                    if same == "SAME_UPPER" {
                        (less, more)
                    } else {
                        (more, less)
                    }
                }
                other => return Err(format!("`auto_pad` is {other}")),
            };
            let (before, after) = padding[axis];
            if input[axis] + before + after < reach {
                let [height, width] = input;
                return Err(format!(
                    "its window is larger than the map of {height} x {width}"
                ));
            }
        }
        Ok(Self {
            size,
            stride,
            dilation,
            padding,
        })
    }

    /// The window of a pooling node.
    fn of_pool(call: &Call<'_>, input: [usize; 2]) -> Outcome<Self> {
        let size = call.ints("kernel_shape").unwrap_or_default();
        let sizes = size
            .iter()
            .map(|&size| usize::try_from(size).ok().filter(|&n| n > 0));
        let sizes: Option<Vec<usize>> = sizes.collect();
        let sizes = sizes.and_then(|sizes| sizes.try_into().ok());
        let sizes = sizes
            .ok_or_else(|| format!("`kernel_shape` is {size:?}; only two sizes are supported"))?;
        Self::of(call, sizes, input)
    }
}

pub(super) fn conv(call: &mut Call<'_>) -> Outcome {
    let x = call.device(0)?.into_tensor::<4>()?;
    let weight = call.device(1)?.into_tensor::<4>()?;
    let bias = call
        .optional(2)?
        .map(DynTensor::into_tensor::<1>)
        .transpose()?;
    let ([_, channels, height, width], [out, own, kh, kw]) = (x.dims(), weight.dims());
    let groups = shapes::size(call.int("group", 1))?;
    let fits = groups > 0 && own * groups == channels && out % groups == 0;
    if !fits || bias.as_ref().is_some_and(|bias| bias.dims() != [out]) {
        return Err(format!(
            "its weight {:?} does not fit {channels} channels in {groups} groups",
            weight.dims()
        ));
    }
    let window = Window::of(call, [kh, kw], [height, width])?;
    let mut options = ConvOptions::new(window.stride, [0, 0], window.dilation, groups);
    // Assigned, since the constructor takes the same padding on both sides only.
    options.padding = window.padding;
    Ok(Value::Device(DynTensor::from_tensor(kernels::conv2d(
        x, weight, bias, &options,
    ))))
}

pub(super) fn batch_norm(call: &mut Call<'_>) -> Outcome {
    let x = call.device(0)?;
    let norm = call.norm.ok_or("its weights are computed at run time")?;
    let dims = x.dims();
    let channels = norm.weight.val().dims()[0];
    if dims.len() < 2 || dims[1] != channels {
        return Err(format!("{channels} channels do not fit a value {dims:?}"));
    }
    // Rows [N, C] and sequences [N, C, L] are maps, too.
    let x = match dims.as_slice() {
        [_, _, _, _] => x,
        [n, c, rest @ ..] => x.reshape(&[*n, *c, rest.iter().product(), 1]),
        _ => unreachable!("it has two axes"),
    };
    let y = norm.forward_clamped(x.into_tensor::<4>()?, call.clamp);
    Ok(Value::Device(DynTensor::from_tensor(y).reshape(&dims)))
}

/// Normalisation over the last axes, from `axis` on.
pub(super) fn layer_norm(call: &mut Call<'_>) -> Outcome {
    let (x, weight, bias) = (call.device(0)?, call.device(1)?, call.optional(2)?);
    let dims = x.dims();
    let axis = shapes::axis(call.int("axis", -1), dims.len())?;
    let (outer, inner) = dims.split_at(axis);
    let len: usize = inner.iter().product();
    let flat = |tensor: DynTensor| {
        let own: usize = tensor.dims().iter().product();
        match own == len {
            true => Ok(tensor.reshape(&[len])),
            false => Err(format!("{own} weights for {len} numbers")),
        }
    };
    let (weight, bias) = (flat(weight)?, bias.map(flat).transpose()?);
    let rows = x.reshape(&[outer.iter().product(), len]);
    let y = rows.layer_norm(weight, bias, call.float("epsilon", 1e-5));
    Ok(Value::Device(y.reshape(&dims)))
}

/// Normalisation of each channel of each image.
pub(super) fn instance_norm(call: &mut Call<'_>) -> Outcome {
    let (x, weight, bias) = (call.device(0)?, call.device(1)?, call.device(2)?);
    let dims = x.dims();
    let [n, channels, rest @ ..] = dims.as_slice() else {
        return Err(format!("of a value {dims:?}"));
    };
    let len: usize = rest.iter().product();
    if weight.dims() != [*channels] || bias.dims() != [*channels] {
        return Err(format!(
            "{:?} weights for {channels} channels",
            weight.dims()
        ));
    }
    let y = standardised(
        x.reshape(&[*n, *channels, len]),
        call.float("epsilon", 1e-5),
    )?;
    let y = y.mul(weight.reshape(&[1, *channels, 1]))?;
    let y = y.add(bias.reshape(&[1, *channels, 1]))?;
    Ok(Value::Device(y.reshape(&dims)))
}

/// Mean 0 and variance 1 over the last of three axes.
fn standardised(x: DynTensor, epsilon: f64) -> Outcome<DynTensor> {
    let centred = x.clone().sub(x.mean_dim(2))?;
    let variance = centred.clone().mul(centred.clone())?.mean_dim(2);
    centred.div(variance.add_scalar(epsilon).sqrt())
}

/// alpha · A · B + beta · C.
pub(super) fn gemm(call: &mut Call<'_>) -> Outcome {
    let matrix = |call: &mut Call<'_>, index: usize, name: &str| -> Outcome<DynTensor> {
        let matrix = call.device(index)?;
        if matrix.rank() != 2 {
            return Err(format!(
                "its input {index} has rank {}, not 2",
                matrix.rank()
            ));
        }
        Ok(match call.int(name, 0) {
            0 => matrix,
            _ => matrix.permute(&[1, 0]),
        })
    };
    let (a, b) = (matrix(call, 0, "transA")?, matrix(call, 1, "transB")?);
    let (rows, columns) = (a.dims(), b.dims());
    if rows[1] != columns[0] {
        return Err(format!("of {rows:?} and {columns:?}"));
    }
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let scaled = |tensor: DynTensor, factor: f64| match factor {
        1.0 => tensor,
        factor => tensor.mul_scalar(factor),
    };
    let product = scaled(a.matmul(b), alpha);
    let product = match call.optional(2)? {
        Some(bias) => product.add(scaled(bias, beta))?,
        None => product,
    };
    Ok(Value::Device(product))
}

/// Product of matrices, as NumPy's: axes before the last two are a batch, which is broadcast.
pub(super) fn matmul(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.device(0)?, call.device(1)?);
    let (mut left, mut right) = (a.dims(), b.dims());
    let (is_row, is_column) = (left.len() == 1, right.len() == 1);
    if is_row {
        left.insert(0, 1);
    }
    if is_column {
        right.push(1);
    }
    let (a, b) = (a.reshape(&left), b.reshape(&right));
    let ([batch_a @ .., m, k], [batch_b @ .., own, n]) = (left.as_slice(), right.as_slice()) else {
        return Err(format!("of {left:?} and {right:?}"));
    };
    if k != own {
        return Err(format!("of {left:?} and {right:?}"));
    }
    let mut dims = broadcast(batch_a, batch_b)?;
    let product = if batch_b.is_empty() {
        // One product with all rows is faster than one for each matrix of the batch.
        let rows = batch_a.iter().product::<usize>() * m;
        a.reshape(&[rows, *k]).matmul(b)
    } else {
        let count: usize = dims.iter().product();
        let stacked = |tensor: DynTensor, matrix: [usize; 2]| {
            let all = [dims.as_slice(), &matrix].concat();
            let [height, width] = matrix;
            tensor.expand(&all).reshape(&[count, height, width])
        };
        stacked(a, [*m, *k]).matmul(stacked(b, [*k, *n]))
    };
    if !is_row {
        dims.push(*m);
    }
    if !is_column {
        dims.push(*n);
    }
    let dims = if dims.is_empty() { vec![1] } else { dims };
    Ok(Value::Device(product.reshape(&dims)))
}

pub(super) fn max_pool(call: &mut Call<'_>) -> Outcome {
    let x = call.device(0)?.into_tensor::<4>()?;
    let [_, _, height, width] = x.dims();
    let window = Window::of_pool(call, [height, width])?;
    let mut options = MaxPoolOptions::new(window.size).with_stride(window.stride);
    options.padding = window.padding;
    options.dilation = window.dilation;
    options.ceil_mode = call.int("ceil_mode", 0) != 0;
    let y = kernels::max_pool2d(x, &options);
    Ok(Value::Device(DynTensor::from_tensor(y)))
}

pub(super) fn average_pool(call: &mut Call<'_>) -> Outcome {
    let x = call.device(0)?.into_tensor::<4>()?;
    let [_, _, height, width] = x.dims();
    let window = Window::of_pool(call, [height, width])?;
    if window.dilation != [1, 1] {
        return Err("a dilated average pool is not supported".into());
    }
    let mut options = AvgPoolOptions::new(window.size).with_stride(window.stride);
    options.padding = window.padding;
    options.count_include_pad = call.int("count_include_pad", 0) != 0;
    options.ceil_mode = call.int("ceil_mode", 0) != 0;
    let y = module::avg_pool2d(x, options);
    Ok(Value::Device(DynTensor::from_tensor(y)))
}

/// What one number is made of many.
#[derive(Clone, Copy)]
pub(super) enum Reduction {
    Mean,
    Sum,
    Max,
    /// The square root of the sum of squares.
    L2,
}

/// `[N, C, ...]` to `[N, C, 1, ...]`.
pub(super) fn global_pool(call: &mut Call<'_>, reduction: Reduction) -> Outcome {
    let x = call.device(0)?;
    let axes: Vec<usize> = (2..x.rank()).collect();
    reduced(x, &axes, true, reduction).map(Value::Device)
}

pub(super) fn reduce(call: &mut Call<'_>, reduction: Reduction) -> Outcome {
    let x = call.device(0)?;
    let rank = x.rank();
    let list = call.ints_or_input("axes", 1)?.unwrap_or_default();
    if list.is_empty() && call.int("noop_with_empty_axes", 0) != 0 {
        return Ok(Value::Device(x));
    }
    let axes = match list.as_slice() {
        [] => (0..rank).collect(),
        list => shapes::axes(list, rank)?,
    };
    let keeps = call.int("keepdims", 1) != 0;
    reduced(x, &axes, keeps, reduction).map(Value::Device)
}

fn reduced(x: DynTensor, axes: &[usize], keeps: bool, reduction: Reduction) -> Outcome<DynTensor> {
    let own = x.dims();
    let kept: Vec<usize> = (0..own.len()).filter(|axis| !axes.contains(axis)).collect();
    let len = |axes: &[usize]| axes.iter().map(|&axis| own[axis]).product::<usize>();
    let (outer, inner) = (len(&kept), len(axes));
    // All numbers that make one stand in one row.
    let rows = x.permute(&[kept.as_slice(), axes].concat());
    let rows = rows.reshape(&[outer, inner]);
    let y = match reduction {
        Reduction::Mean => rows.mean_dim(1),
        Reduction::Sum => rows.sum_dim(1),
        Reduction::Max => rows.max_dim(1),
        // The root of 0 has an infinite slope; at the bound the slope is 0.
        Reduction::L2 => {
            let squares = rows.clone().mul(rows)?.sum_dim(1);
            squares.clamp(1e-30, f64::INFINITY).sqrt()
        }
    };
    let dims: Vec<usize> = match keeps {
        true => (0..own.len())
            .map(|axis| if axes.contains(&axis) { 1 } else { own[axis] })
            .collect(),
        false => kept.iter().map(|&axis| own[axis]).collect(),
    };
    Ok(y.reshape(if dims.is_empty() { &[1] } else { &dims }))
}

pub(super) fn softmax(call: &mut Call<'_>) -> Outcome {
    let x = call.device(0)?;
    let dims = x.dims();
    if call.opset >= 13 {
        let axis = shapes::axis(call.int("axis", -1), dims.len())?;
        return Ok(Value::Device(x.softmax(axis)));
    }
    // Over all axes from `axis` on.
    let axis = shapes::axis(call.int("axis", 1), dims.len())?;
    let (outer, inner) = dims.split_at(axis);
    let rows = x.reshape(&[outer.iter().product(), inner.iter().product()]);
    Ok(Value::Device(rows.softmax(1).reshape(&dims)))
}

//! Operators that move numbers and compute none, on the host and on the device.

use super::dyn_tensor::{DynTensor, Mask};
use super::host;
use super::shapes::{self, axes, broadcast, indices, size, strides};
use super::value::{Call, Outcome, Value};
use burn::backend::Slice;
use burn::tensor::ops::PadMode;
use onnx::proto::DataType;
use onnx::{Tensor, TensorData};

/// Where the numbers of a value go.
enum Movement {
    /// Other axes for the same numbers in the same order.
    Reshape(Vec<usize>),
    /// The axes in another order.
    Permute(Vec<usize>),
    /// For each axis: where it starts, how many elements are taken, and the step between them.
    Slice(Vec<Range>),
    /// What the shape broadcasts to.
    Expand(Vec<usize>),
    /// The elements of an axis at indices, whose own shape replaces that axis.
    Select {
        axis: usize,
        indices: Vec<usize>,
        dims: Vec<usize>,
    },
}

#[derive(Clone, Copy)]
struct Range {
    start: usize,
    len: usize,
    step: i64,
}

impl Range {
    fn all(len: usize) -> Self {
        Self {
            start: 0,
            len,
            step: 1,
        }
    }

    fn indices(self) -> Vec<usize> {
        let position = |index| (self.start as i64 + index as i64 * self.step) as usize;
        (0..self.len).map(position).collect()
    }
}

impl Movement {
    fn apply(self, value: Value, call: &Call<'_>) -> Outcome {
        match value {
            Value::Device(tensor) => self.on_device(tensor, call).map(Value::Device),
            Value::Host(tensor) => Ok(Value::Host(self.on_host(&tensor))),
            Value::Mask(_) => Err("it moves truth values".into()),
        }
    }

    fn on_device(self, tensor: DynTensor, call: &Call<'_>) -> Outcome<DynTensor> {
        let own = tensor.dims();
        Ok(match self {
            Self::Reshape(dims) if dims.is_empty() => tensor.reshape(&[1]),
            Self::Reshape(dims) => tensor.reshape(&dims),
            Self::Permute(axes) => tensor.permute(&axes),
            Self::Expand(dims) => tensor.expand(&dims),
            Self::Slice(ranges) => {
                if ranges.iter().any(|range| range.len == 0) {
                    return Err("it leaves no numbers".into());
                }
                let slices = ranges.iter().zip(&own).map(|(range, &len)| {
                    if range.step < 0 {
                        return Slice::from(0..len as isize);
                    }
                    let (start, step) = (range.start as isize, range.step as isize);
                    let end = start + (range.len as isize - 1) * step + 1;
                    Slice::new(start, Some(end), step)
                });
                let slices: Vec<Slice> = slices.collect();
                let mut tensor = tensor.slice(&slices);
                for (axis, range) in ranges.iter().enumerate().filter(|(_, r)| r.step < 0) {
                    tensor = tensor.select(axis, &range.indices(), call.device);
                }
                tensor
            }
            Self::Select {
                axis,
                indices,
                dims,
            } => {
                if indices.is_empty() {
                    return Err("it leaves no numbers".into());
                }
                // A neighbouring run is cheaper as a slice.
                let is_run = indices.windows(2).all(|pair| pair[1] == pair[0] + 1);
                let tensor = if is_run {
                    let mut slices: Vec<Slice> = own
                        .iter()
                        .map(|&len| Slice::from(0..len as isize))
                        .collect();
                    let start = indices[0] as isize;
                    slices[axis] = Slice::from(start..start + indices.len() as isize);
                    tensor.slice(&slices)
                } else {
                    tensor.select(axis, &indices, call.device)
                };
                let dims = [&own[..axis], &dims, &own[axis + 1..]].concat();
                let is_scalar = dims.is_empty();
                tensor.reshape(if is_scalar { &[1] } else { &dims })
            }
        })
    }

    fn on_host(self, tensor: &Tensor) -> Tensor {
        let steps: Vec<isize> = strides(&tensor.dims)
            .into_iter()
            .map(|step| step as isize)
            .collect();
        match self {
            Self::Reshape(dims) => Tensor {
                dims,
                data: tensor.data.clone(),
            },
            Self::Permute(axes) => {
                let dims: Vec<usize> = axes.iter().map(|&axis| tensor.dims[axis]).collect();
                let steps: Vec<isize> = axes.iter().map(|&axis| steps[axis]).collect();
                let order = indices(&dims, &steps, 0);
                host::pick(tensor, dims, &order)
            }
            Self::Expand(dims) => host::expand(tensor, &dims),
            Self::Slice(ranges) => {
                let dims: Vec<usize> = ranges.iter().map(|range| range.len).collect();
                let offset: usize = ranges
                    .iter()
                    .zip(&steps)
                    .map(|(range, &step)| range.start * step as usize)
                    .sum();
                let steps: Vec<isize> = ranges
                    .iter()
                    .zip(&steps)
                    .map(|(range, &step)| range.step as isize * step)
                    .collect();
                let order = indices(&dims, &steps, offset);
                host::pick(tensor, dims, &order)
            }
            Self::Select {
                axis,
                indices: chosen,
                dims,
            } => {
                let inner: usize = tensor.dims[axis + 1..].iter().product();
                let outer: usize = tensor.dims[..axis].iter().product();
                let len = tensor.dims[axis];
                let order = (0..outer).flat_map(|row| {
                    chosen.iter().flat_map(move |&index| {
                        let start = (row * len + index) * inner;
                        start..start + inner
                    })
                });
                let order: Vec<usize> = order.collect();
                let dims = [&tensor.dims[..axis], &dims, &tensor.dims[axis + 1..]].concat();
                host::pick(tensor, dims, &order)
            }
        }
    }
}

/// `Identity`, and `Dropout`, which does nothing in inference.
pub(super) fn identity(call: &mut Call<'_>) -> Outcome {
    call.take(0)
}

pub(super) fn reshape(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let own = value.dims()?;
    let wanted = match call.ints_or_input("shape", 1)? {
        Some(shape) => shape,
        None => return Err("it has no shape".into()),
    };
    // 0 is "as in the input", unless the file says otherwise.
    let keeps_zero = call.int("allowzero", 0) != 0;
    let mut dims = vec![];
    let mut open = None;
    for (axis, &dim) in wanted.iter().enumerate() {
        dims.push(match dim {
            0 if !keeps_zero => *own
                .get(axis)
                .ok_or_else(|| format!("shape {wanted:?} for a value {own:?}"))?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            dim => size(dim)?,
        });
    }
    let (len, known): (usize, usize) = (own.iter().product(), dims.iter().product());
    if let Some(axis) = open
        && known > 0
    {
        dims[axis] = len / known;
    }
    reshaped(value, dims, call)
}

/// The value with other axes, if it has as many numbers.
fn reshaped(value: Value, dims: Vec<usize>, call: &Call<'_>) -> Outcome {
    let own = value.dims()?;
    let (len, wanted): (usize, usize) = (own.iter().product(), dims.iter().product());
    if len != wanted {
        return Err(format!("a value {own:?} does not fit into {dims:?}"));
    }
    Movement::Reshape(dims).apply(value, call)
}

pub(super) fn flatten(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let own = value.dims()?;
    let rank = own.len() as i64;
    let axis = call.int("axis", 1);
    let axis = if axis < 0 { axis + rank } else { axis };
    if !(0..=rank).contains(&axis) {
        return Err(format!("axis {axis} of a value {own:?}"));
    }
    let (outer, inner) = own.split_at(axis as usize);
    let dims = vec![outer.iter().product(), inner.iter().product()];
    reshaped(value, dims, call)
}

pub(super) fn squeeze(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let own = value.dims()?;
    let removed = match call.ints_or_input("axes", 1)? {
        Some(list) => axes(&list, own.len())?,
        None => (0..own.len()).filter(|&axis| own[axis] == 1).collect(),
    };
    if removed.iter().any(|&axis| own[axis] != 1) {
        return Err(format!("axes {removed:?} of a value {own:?} are not 1"));
    }
    let kept = (0..own.len()).filter(|axis| !removed.contains(axis));
    let dims = kept.map(|axis| own[axis]).collect();
    reshaped(value, dims, call)
}

pub(super) fn unsqueeze(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let mut dims = value.dims()?;
    let list = call.ints_or_input("axes", 1)?.unwrap_or_default();
    for axis in axes(&list, dims.len() + list.len())? {
        if axis > dims.len() {
            return Err(format!("axes {list:?}"));
        }
        dims.insert(axis, 1);
    }
    reshaped(value, dims, call)
}

pub(super) fn transpose(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let rank = value.dims()?.len();
    let order = match call.ints("perm") {
        Some(order) => order
            .into_iter()
            .map(|index| shapes::axis(index, rank))
            .collect::<Outcome<Vec<usize>>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("axes {order:?} of a value of rank {rank}"));
    }
    Movement::Permute(order).apply(value, call)
}

pub(super) fn expand(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let wanted = call.host_ints(1)?;
    let wanted: Vec<usize> = wanted.into_iter().map(size).collect::<Outcome<_>>()?;
    let dims = broadcast(&value.dims()?, &wanted)?;
    Movement::Expand(dims).apply(value, call)
}

pub(super) fn slice(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let own = value.dims()?;
    let starts = call.ints_or_input("starts", 1)?.ok_or("it has no starts")?;
    let ends = call.ints_or_input("ends", 2)?.ok_or("it has no ends")?;
    let list = call.ints_or_input("axes", 3)?;
    let list = list.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.optional_ints(4)?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), list.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps differ in number".into());
    }
    let mut ranges: Vec<Range> = own.iter().map(|&len| Range::all(len)).collect();
    for (index, &step) in steps.iter().enumerate() {
        let axis = shapes::axis(list[index], own.len())?;
        let len = own[axis] as i64;
        let from_end = |position: i64| match position < 0 {
            true => position.saturating_add(len),
            false => position,
        };
        let (start, end) = (from_end(starts[index]), from_end(ends[index]));
        let (start, count) = match step {
            0 => return Err("a step of 0".into()),
            step if step > 0 => {
                let (start, end) = (start.clamp(0, len), end.clamp(0, len));
                (start, (end - start + step - 1) / step)
            }
            step => {
                // Down to the element after `end`, which is -1 where all are taken.
                let (start, end) = (start.clamp(-1, len - 1), end.clamp(-1, len - 1));
                (start, (start - end - step - 1) / -step)
            }
        };
        ranges[axis] = Range {
            start: start.max(0) as usize,
            len: count.max(0) as usize,
            step,
        };
    }
    Movement::Slice(ranges).apply(value, call)
}

pub(super) fn split(call: &mut Call<'_>) -> Outcome<Vec<Value>> {
    let value = call.take(0)?;
    let own = value.dims()?;
    let axis = shapes::axis(call.int("axis", 0), own.len())?;
    let parts = call.node.output.len();
    let sizes = match call.ints_or_input("split", 1)? {
        Some(sizes) => sizes.into_iter().map(size).collect::<Outcome<Vec<_>>>()?,
        None => {
            // The last part may be smaller.
            let each = own[axis].div_ceil(parts);
            (0..parts)
                .map(|part| each.min(own[axis].saturating_sub(part * each)))
                .collect()
        }
    };
    if sizes.iter().sum::<usize>() != own[axis] || sizes.len() != parts {
        return Err(format!("parts {sizes:?} of a value {own:?}"));
    }
    let mut start = 0;
    let mut values = vec![];
    for len in sizes {
        let mut ranges: Vec<Range> = own.iter().map(|&len| Range::all(len)).collect();
        ranges[axis] = Range {
            start,
            len,
            step: 1,
        };
        start += len;
        values.push(Movement::Slice(ranges).apply(value.clone(), call)?);
    }
    Ok(values)
}

pub(super) fn gather(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let own = value.dims()?;
    let axis = shapes::axis(call.int("axis", 0), own.len())?;
    let chosen = call.host(1)?;
    let indices = chosen.as_i64().map_err(|e| e.to_string())?;
    let indices = indices.iter().map(|&index| shapes::axis(index, own[axis]));
    let movement = Movement::Select {
        axis,
        indices: indices.collect::<Outcome<_>>()?,
        dims: chosen.dims.clone(),
    };
    movement.apply(value, call)
}

pub(super) fn concat(call: &mut Call<'_>) -> Outcome {
    let values: Vec<Value> = call.inputs.iter_mut().filter_map(Option::take).collect();
    let dims: Vec<Vec<usize>> = values.iter().map(Value::dims).collect::<Outcome<_>>()?;
    let first = dims.first().ok_or("it has no inputs")?;
    let axis = shapes::axis(call.int("axis", 1), first.len())?;
    let fits = |dims: &Vec<usize>| {
        let mut pairs = dims.iter().zip(first).enumerate();
        dims.len() == first.len() && pairs.all(|(index, (a, b))| index == axis || a == b)
    };
    if !dims.iter().all(fits) {
        return Err(format!("values {dims:?} along axis {axis}"));
    }
    if values.iter().all(|value| matches!(value, Value::Host(_))) {
        let tensors = values.into_iter().filter_map(|value| match value {
            Value::Host(tensor) => Some(tensor),
            _ => None,
        });
        return host::concat(&tensors.collect::<Vec<_>>(), axis).map(Value::Host);
    }
    let device = call.device;
    let tensors = values.into_iter().map(|value| value.upload(device));
    let tensors = tensors.collect::<Outcome<Vec<_>>>()?;
    Ok(Value::Device(DynTensor::cat(tensors, axis)))
}

/// `Pad`; negative pads take away.
pub(super) fn pad(call: &mut Call<'_>) -> Outcome {
    let tensor = call.device(0)?;
    let own = tensor.dims();
    let pads = call.ints_or_input("pads", 1)?.ok_or("it has no pads")?;
    let value = call.number_or_input("value", 2)?.unwrap_or(0.0);
    let list = call.optional_ints(3)?;
    let list = list.unwrap_or_else(|| (0..own.len() as i64).collect());
    if pads.len() != 2 * list.len() {
        return Err(format!("pads {pads:?} for {} axes", list.len()));
    }
    let mode = match call.text("mode", "constant").as_str() {
        "constant" => PadMode::Constant(value as f32),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        mode => return Err(format!("mode `{mode}` is not supported")),
    };
    let mut padding = vec![(0, 0); own.len()];
    let mut ranges: Vec<Range> = own.iter().map(|&len| Range::all(len)).collect();
    for (index, &axis) in list.iter().enumerate() {
        let axis = shapes::axis(axis, own.len())?;
        let (before, after) = (pads[index], pads[index + list.len()]);
        let cut = (before.min(0).unsigned_abs() + after.min(0).unsigned_abs()) as usize;
        let len = own[axis].checked_sub(cut).filter(|&len| len > 0);
        ranges[axis].len = len.ok_or_else(|| format!("pads {pads:?} of a value {own:?}"))?;
        ranges[axis].start = before.min(0).unsigned_abs() as usize;
        padding[axis] = (before.max(0) as usize, after.max(0) as usize);
        let longest = padding[axis].0.max(padding[axis].1);
        if mode == PadMode::Reflect && longest >= ranges[axis].len || longest > 1 << 20 {
            return Err(format!("pads {pads:?} of a value {own:?}"));
        }
    }
    let tensor = Movement::Slice(ranges).on_device(tensor, call)?;
    if padding.iter().all(|&pair| pair == (0, 0)) {
        return Ok(Value::Device(tensor));
    }
    Ok(Value::Device(tensor.pad(&padding, mode)))
}

/// `Where`: numbers of two values by truth values.
pub(super) fn choose(call: &mut Call<'_>) -> Outcome {
    let condition = call.take(0)?;
    let (yes, no) = (call.take(1)?, call.take(2)?);
    let mask = match (condition, &yes, &no) {
        (Value::Host(mask), Value::Host(yes), Value::Host(no)) => {
            return choose_on_host(&mask, yes, no).map(Value::Host);
        }
        (Value::Host(mask), ..) => {
            let TensorData::Bool(values) = mask.data else {
                return Err("its condition is no truth values".into());
            };
            Mask::upload(values, &mask.dims, call.device)
        }
        (Value::Mask(mask), ..) => mask,
        (Value::Device(_), ..) => return Err("its condition is no truth values".into()),
    };
    let (yes, no) = (yes.upload(call.device)?, no.upload(call.device)?);
    no.mask_where(mask, yes).map(Value::Device)
}

fn choose_on_host(mask: &Tensor, yes: &Tensor, no: &Tensor) -> Outcome<Tensor> {
    let dims = broadcast(&mask.dims, &broadcast(&yes.dims, &no.dims)?)?;
    let mask = host::expand(mask, &dims);
    let TensorData::Bool(mask) = mask.data else {
        return Err("its condition is no truth values".into());
    };
    // One value after the other, and of both the elements that the condition chooses.
    let both = [host::expand(yes, &dims), host::expand(no, &dims)];
    let len = mask.len();
    let flat = both.map(|tensor| Tensor {
        dims: vec![len],
        data: tensor.data,
    });
    let both = host::concat(&flat, 0)?;
    let chosen = mask.iter().enumerate();
    let chosen: Vec<usize> = chosen
        .map(|(index, &yes)| if yes { index } else { index + len })
        .collect();
    Ok(host::pick(&both, dims, &chosen))
}

/// `Cast`: between floating-point types nothing, since the device computes in single precision.
pub(super) fn cast(call: &mut Call<'_>) -> Outcome {
    let to = i32::try_from(call.int("to", 0)).ok();
    let to = to.and_then(|to| DataType::try_from(to).ok());
    let to = to.ok_or("it casts to an unknown type")?;
    match call.take(0)? {
        Value::Host(tensor) => host::cast(tensor, to).map(Value::Host),
        Value::Device(tensor) => match to {
            DataType::Float | DataType::Float16 | DataType::Bfloat16 | DataType::Double => {
                Ok(Value::Device(tensor))
            }
            to => Err(format!("it casts the numbers of images to {to:?}")),
        },
        Value::Mask(_) => Err("it casts truth values".into()),
    }
}

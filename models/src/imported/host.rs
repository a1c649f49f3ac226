//! Operators on the host's numbers: what a graph computes of shapes, indices and constants.

use super::shapes::{self, broadcast, indices, size, strides};
use super::value::{Call, Outcome, Value};
use onnx::proto::DataType;
use onnx::{Tensor, TensorData};

/// The tensor in one of the three types that the host computes with.
pub(super) fn normalised(tensor: Tensor) -> Outcome<Tensor> {
    let data = match tensor.data {
        data @ (TensorData::I64(_) | TensorData::F32(_) | TensorData::Bool(_)) => data,
        TensorData::F16(_) | TensorData::BF16(_) | TensorData::F64(_) => {
            let values = tensor.as_f32().map_err(|e| e.to_string())?;
            TensorData::F32(values.into_owned())
        }
        _ => {
            let values = tensor.as_i64().map_err(|e| e.to_string())?;
            TensorData::I64(values.into_owned())
        }
    };
    Ok(Tensor {
        dims: tensor.dims,
        data,
    })
}

/// The elements at flat `indices`, in the shape `dims`.
pub(super) fn pick(tensor: &Tensor, dims: Vec<usize>, indices: &[usize]) -> Tensor {
    fn all<T: Copy>(values: &[T], indices: &[usize]) -> Vec<T> {
        indices.iter().map(|&index| values[index]).collect()
    }
    let data = match &tensor.data {
        TensorData::F32(values) => TensorData::F32(all(values, indices)),
        TensorData::Bool(values) => TensorData::Bool(all(values, indices)),
        TensorData::I64(values) => TensorData::I64(all(values, indices)),
        _ => unreachable!("`normalised` leaves three types"),
    };
    Tensor { dims, data }
}

/// The tensor in the shape that it broadcasts to.
pub(super) fn expand(tensor: &Tensor, dims: &[usize]) -> Tensor {
    let missing = dims.len() - tensor.dims.len();
    let own = strides(&tensor.dims);
    let steps: Vec<isize> = (0..dims.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(own_axis) if tensor.dims[own_axis] != 1 => own[own_axis] as isize,
            _ => 0,
        })
        .collect();
    pick(tensor, dims.to_vec(), &indices(dims, &steps, 0))
}

/// Several tensors of one type along an axis.
pub(super) fn concat(tensors: &[Tensor], axis: usize) -> Outcome<Tensor> {
    let first = tensors.first().ok_or("it has no inputs")?;
    let outer: usize = first.dims[..axis].iter().product();
    let mut dims = first.dims.clone();
    dims[axis] = tensors.iter().map(|tensor| tensor.dims[axis]).sum();
    fn joined<'t, T: Copy + 't>(
        tensors: &'t [Tensor],
        outer: usize,
        values: impl Fn(&'t Tensor) -> Option<&'t [T]>,
    ) -> Outcome<Vec<T>> {
        let mut all = vec![];
        for row in 0..outer {
            for tensor in tensors {
                let values = values(tensor).ok_or("its inputs are of several types")?;
                let len = values.len() / outer;
                all.extend_from_slice(&values[row * len..(row + 1) * len]);
            }
        }
        Ok(all)
    }
    let data = match first.data {
        TensorData::F32(_) => TensorData::F32(joined(tensors, outer, |tensor| {
            let TensorData::F32(values) = &tensor.data else {
                return None;
            };
            Some(values)
        })?),
        TensorData::Bool(_) => TensorData::Bool(joined(tensors, outer, |tensor| {
            let TensorData::Bool(values) = &tensor.data else {
                return None;
            };
            Some(values)
        })?),
        _ => TensorData::I64(joined(tensors, outer, |tensor| {
            let TensorData::I64(values) = &tensor.data else {
                return None;
            };
            Some(values)
        })?),
    };
    Ok(Tensor { dims, data })
}

/// Two tensors, broadcast.
pub(super) fn binary(operator: &str, a: &Tensor, b: &Tensor) -> Outcome<Tensor> {
    let dims = broadcast(&a.dims, &b.dims)?;
    let (a, b) = (expand(a, &dims), expand(b, &dims));
    let data = match (&a.data, &b.data) {
        (TensorData::I64(a), TensorData::I64(b)) => integers(operator, a, b)?,
        (TensorData::F32(a), TensorData::F32(b)) => floats(operator, a, b)?,
        (TensorData::Bool(a), TensorData::Bool(b)) => {
            let pairs = a.iter().zip(b);
            TensorData::Bool(match operator {
                "And" => pairs.map(|(a, b)| *a && *b).collect(),
                "Or" => pairs.map(|(a, b)| *a || *b).collect(),
                "Equal" => pairs.map(|(a, b)| a == b).collect(),
                _ => return Err("it computes with truth values".into()),
            })
        }
        _ => return Err("its inputs are of two types".into()),
    };
    Ok(Tensor { dims, data })
}

fn integers(operator: &str, a: &[i64], b: &[i64]) -> Outcome<TensorData> {
    let pairs = a.iter().copied().zip(b.iter().copied());
    let compare = |f: fn(i64, i64) -> bool| {
        Ok(TensorData::Bool(
            pairs.clone().map(|(a, b)| f(a, b)).collect(),
        ))
    };
    let compute = |f: fn(i64, i64) -> Option<i64>| {
        let values: Option<Vec<i64>> = pairs.clone().map(|(a, b)| f(a, b)).collect();
        values
            .map(TensorData::I64)
            .ok_or_else(|| "its integers have no result".to_owned())
    };
    match operator {
        "Add" => compute(i64::checked_add),
        "Sub" => compute(i64::checked_sub),
        "Mul" => compute(i64::checked_mul),
        // Towards zero, as C++ and so ONNX Runtime divide.
        "Div" => compute(i64::checked_div),
        // The sign of the divisor, as Python's.
        "Mod" => compute(|a, b| match a.checked_rem(b)? {
            rest if rest != 0 && (rest < 0) != (b < 0) => Some(rest + b),
            rest => Some(rest),
        }),
        "Pow" => compute(|a, b| a.checked_pow(u32::try_from(b).ok()?)),
        "Max" => compute(|a, b| Some(a.max(b))),
        "Min" => compute(|a, b| Some(a.min(b))),
        "Equal" => compare(|a, b| a == b),
        "Less" => compare(|a, b| a < b),
        "Greater" => compare(|a, b| a > b),
        _ => Err("it computes with integers of the graph".into()),
    }
}

fn floats(operator: &str, a: &[f32], b: &[f32]) -> Outcome<TensorData> {
    let pairs = a.iter().copied().zip(b.iter().copied());
    let compare = |f: fn(f32, f32) -> bool| {
        Ok(TensorData::Bool(
            pairs.clone().map(|(a, b)| f(a, b)).collect(),
        ))
    };
    let compute = |f: fn(f32, f32) -> f32| {
        Ok(TensorData::F32(
            pairs.clone().map(|(a, b)| f(a, b)).collect(),
        ))
    };
    match operator {
        "Add" => compute(|a, b| a + b),
        "Sub" => compute(|a, b| a - b),
        "Mul" => compute(|a, b| a * b),
        "Div" => compute(|a, b| a / b),
        "Pow" => compute(f32::powf),
        "Mod" => compute(|a, b| a % b),
        "Max" => compute(f32::max),
        "Min" => compute(f32::min),
        "Equal" => compare(|a, b| a == b),
        "Less" => compare(|a, b| a < b),
        "Greater" => compare(|a, b| a > b),
        _ => Err("it computes with constants of the graph".into()),
    }
}

/// One tensor, number by number.
pub(super) fn unary(operator: &str, tensor: &Tensor) -> Outcome<Tensor> {
    let data = match &tensor.data {
        TensorData::F32(values) => {
            let f: fn(f32) -> f32 = match operator {
                "Sqrt" => f32::sqrt,
                "Neg" => |value| -value,
                "Abs" => f32::abs,
                "Floor" => f32::floor,
                "Ceil" => f32::ceil,
                "Exp" => f32::exp,
                "Log" => f32::ln,
                "Sin" => f32::sin,
                "Cos" => f32::cos,
                "Reciprocal" => f32::recip,
                _ => return Err("it computes with constants of the graph".into()),
            };
            TensorData::F32(values.iter().map(|&value| f(value)).collect())
        }
        TensorData::I64(values) => TensorData::I64(match operator {
            "Neg" => values.iter().map(|value| value.wrapping_neg()).collect(),
            "Abs" => values.iter().map(|value| value.wrapping_abs()).collect(),
            _ => return Err("it computes with integers of the graph".into()),
        }),
        TensorData::Bool(values) if operator == "Not" => {
            TensorData::Bool(values.iter().map(|value| !value).collect())
        }
        _ => return Err("it computes with truth values".into()),
    };
    Ok(Tensor {
        dims: tensor.dims.clone(),
        data,
    })
}

/// The numbers between two bounds, either of which may be infinite.
pub(super) fn clip(mut tensor: Tensor, low: f64, high: f64) -> Outcome<Tensor> {
    match &mut tensor.data {
        TensorData::F32(values) => {
            let (low, high) = (low as f32, high as f32);
            values.iter_mut().for_each(|v| *v = v.max(low).min(high));
        }
        TensorData::I64(values) => {
            let (low, high) = (low as i64, high as i64);
            values.iter_mut().for_each(|v| *v = (*v).max(low).min(high));
        }
        _ => return Err("it clips truth values".into()),
    }
    Ok(tensor)
}

/// `Cast` of a host value.
pub(super) fn cast(tensor: Tensor, to: DataType) -> Outcome<Tensor> {
    let floats = [
        DataType::Float,
        DataType::Float16,
        DataType::Double,
        DataType::Bfloat16,
    ];
    let data = match (tensor.data, to) {
        (TensorData::I64(values), to) if floats.contains(&to) => {
            TensorData::F32(values.into_iter().map(|value| value as f32).collect())
        }
        (TensorData::Bool(values), to) if floats.contains(&to) => {
            let number = |value| if value { 1.0 } else { 0.0 };
            TensorData::F32(values.into_iter().map(number).collect())
        }
        (data @ TensorData::F32(_), to) if floats.contains(&to) => data,
        (TensorData::I64(values), DataType::Bool) => {
            TensorData::Bool(values.into_iter().map(|value| value != 0).collect())
        }
        (TensorData::F32(values), DataType::Bool) => {
            TensorData::Bool(values.into_iter().map(|value| value != 0.0).collect())
        }
        (data @ TensorData::Bool(_), DataType::Bool) => data,
        (TensorData::Bool(values), _) => {
            TensorData::I64(values.into_iter().map(i64::from).collect())
        }
        // Towards zero.
        (TensorData::F32(values), _) => {
            TensorData::I64(values.into_iter().map(|value| value as i64).collect())
        }
        (data, _) => data,
    };
    Ok(Tensor {
        dims: tensor.dims,
        data,
    })
}

/// `Shape`: that of any value.
pub(super) fn shape(call: &mut Call<'_>) -> Outcome {
    let dims = call.take(0)?.dims()?;
    let rank = dims.len() as i64;
    let bound = |index: i64| {
        let index = if index < 0 { index + rank } else { index };
        index.clamp(0, rank) as usize
    };
    let (start, end) = (bound(call.int("start", 0)), bound(call.int("end", rank)));
    let dims: Vec<i64> = dims[start..end.max(start)]
        .iter()
        .map(|&dim| dim as i64)
        .collect();
    Ok(vector(dims))
}

/// `ConstantOfShape`: zeros in single precision unless `value` is given.
pub(super) fn constant_of_shape(call: &mut Call<'_>) -> Outcome {
    let dims = call.host_ints(0)?;
    let dims: Vec<usize> = dims.into_iter().map(size).collect::<Outcome<_>>()?;
    let value = call.tensor("value")?.unwrap_or(Tensor {
        dims: vec![1],
        data: TensorData::F32(vec![0.0]),
    });
    // A damaged file may ask for more than any machine has.
    let len = dims
        .iter()
        .try_fold(1usize, |len, &dim| len.checked_mul(dim));
    if value.len() != 1 || len.is_none_or(|len| len > 1 << 28) {
        return Err(format!("it makes a constant of {dims:?}"));
    }
    let scalar = Tensor {
        dims: vec![],
        data: value.data,
    };
    Ok(Value::Host(expand(&scalar, &dims)))
}

/// `Range` of integers or of floats.
pub(super) fn range(call: &mut Call<'_>) -> Outcome {
    let ends = [call.host(0)?, call.host(1)?, call.host(2)?];
    let is_float = matches!(ends[0].data, TensorData::F32(_));
    let [start, limit, delta] = ends.map(|end| Value::Host(end).scalar());
    let (Some(start), Some(limit), Some(delta)) = (start, limit, delta) else {
        return Err("its bounds are no numbers".into());
    };
    let len = ((limit - start) / delta).ceil().max(0.0);
    // Also where `delta` is 0.
    if !len.is_finite() || len > f64::from(1 << 28) {
        return Err(format!("it counts from {start} to {limit} by {delta}"));
    }
    let values = (0..len as i64).map(|index| start + index as f64 * delta);
    let data = if is_float {
        TensorData::F32(values.map(|value| value as f32).collect())
    } else {
        TensorData::I64(values.map(|value| value as i64).collect())
    };
    let dims = vec![len as usize];
    Ok(Value::Host(Tensor { dims, data }))
}

/// `CumSum`: sums up to each element along an axis.
pub(super) fn cum_sum(call: &mut Call<'_>) -> Outcome {
    if call.int("exclusive", 0) != 0 || call.int("reverse", 0) != 0 {
        return Err("`exclusive` and `reverse` are not supported".into());
    }
    let (mut tensor, axis) = (call.host(0)?, call.host_ints(1)?);
    let [axis] = axis.as_slice() else {
        return Err("its axis is not one number".into());
    };
    let axis = shapes::axis(*axis, tensor.dims.len())?;
    let (step, len) = (strides(&tensor.dims)[axis], tensor.dims[axis]);
    // An element that is not the first of its axis adds the sum before it.
    let follows = |index: &usize| !(index / step).is_multiple_of(len.max(1));
    match &mut tensor.data {
        TensorData::F32(values) => {
            let all = (0..values.len()).filter(follows);
            all.for_each(|index| values[index] += values[index - step]);
        }
        TensorData::I64(values) => {
            let all = (0..values.len()).filter(follows);
            all.for_each(|index| values[index] = values[index].wrapping_add(values[index - step]));
        }
        _ => return Err("it adds truth values".into()),
    }
    Ok(Value::Host(tensor))
}

/// `ScatterND` without a reduction: rows of `updates` replace those of the data at `indices`.
pub(super) fn scatter_nd(call: &mut Call<'_>) -> Outcome {
    if call.text("reduction", "none") != "none" {
        return Err("only `reduction` = none is supported".into());
    }
    let (mut data, at, updates) = (call.host(0)?, call.host(1)?, call.host(2)?);
    let depth = at.dims.last().copied().unwrap_or(0);
    let rank = data.dims.len();
    if depth == 0 || depth > rank {
        return Err(format!("its indices have shape {:?}", at.dims));
    }
    let steps = strides(&data.dims);
    let row: usize = data.dims[depth..].iter().product();
    let mut offsets = vec![];
    for index in at.as_i64().map_err(|e| e.to_string())?.chunks(depth) {
        let mut offset = 0;
        for (axis, &position) in index.iter().enumerate() {
            offset += shapes::axis(position, data.dims[axis])? * steps[axis];
        }
        offsets.push(offset);
    }
    if updates.len() != offsets.len() * row {
        return Err(format!("its updates have shape {:?}", updates.dims));
    }
    fn replace<T: Copy>(data: &mut [T], updates: &[T], offsets: &[usize], row: usize) {
        for (&offset, update) in offsets.iter().zip(updates.chunks(row.max(1))) {
            data[offset..offset + row].copy_from_slice(update);
        }
    }
    match (&mut data.data, &updates.data) {
        (TensorData::F32(data), TensorData::F32(new)) => replace(data, new, &offsets, row),
        (TensorData::I64(data), TensorData::I64(new)) => replace(data, new, &offsets, row),
        (TensorData::Bool(data), TensorData::Bool(new)) => replace(data, new, &offsets, row),
        _ => return Err("its inputs are of two types".into()),
    }
    Ok(Value::Host(data))
}

fn vector(values: Vec<i64>) -> Value {
    Value::Host(Tensor {
        dims: vec![values.len()],
        data: TensorData::I64(values),
    })
}

//! `Resize`: each axis by a matrix whose rows say of which elements a new one is made.
//!
//! Products of matrices have gradients on every device, and the matrices follow ONNX's rules for coordinates to the
//! letter (<https://onnx.ai/onnx/operators/onnx__Resize.html>).

use super::dyn_tensor::DynTensor;
use super::shapes::size;
use super::value::{Call, Outcome, Value};

/// How the elements of an axis are made.
struct Rule {
    mode: String,
    coordinates: String,
    nearest: String,
    cubic: f64,
}

pub(super) fn resize(call: &mut Call<'_>) -> Outcome {
    let value = call.take(0)?;
    let own = value.dims()?;
    let (sizes, scales) = target(call, &own)?;
    if sizes == own {
        return Ok(value);
    }
    let rule = Rule {
        mode: call.text("mode", "nearest"),
        coordinates: call.text("coordinate_transformation_mode", "half_pixel"),
        nearest: call.text("nearest_mode", "round_prefer_floor"),
        cubic: call.float("cubic_coeff_a", -0.75),
    };
    if call.int("antialias", 0) != 0 || call.int("exclude_outside", 0) != 0 {
        return Err("`antialias` and `exclude_outside` are not supported".into());
    }
    let mut x = value.upload(call.device)?;
    for axis in (0..own.len()).filter(|&axis| sizes[axis] != own[axis]) {
        let matrix = rule.matrix(own[axis], sizes[axis], scales[axis])?; // [in, out]
        let dims = [own[axis], sizes[axis]];
        x = along(x, axis, DynTensor::upload(matrix, &dims, call.device));
    }
    Ok(Value::Device(x))
}

/// The new sizes of all axes, and the factors that they grow by.
fn target(call: &mut Call<'_>, own: &[usize]) -> Outcome<(Vec<usize>, Vec<f64>)> {
    if call.ints("axes").is_some() || call.text("keep_aspect_ratio_policy", "stretch") != "stretch"
    {
        return Err("`axes` and `keep_aspect_ratio_policy` are not supported".into());
    }
    let ratio = |new: usize, own: usize| new as f64 / own as f64;
    let (sizes, scales): (Vec<usize>, Vec<f64>) = if call.has(3) {
        let sizes = call.host_ints(3)?;
        let sizes: Vec<usize> = sizes.into_iter().map(size).collect::<Outcome<_>>()?;
        let scales = sizes.iter().zip(own).map(|(&new, &own)| ratio(new, own));
        let scales = scales.collect();
        (sizes, scales)
    } else {
        let scales = call.host(2)?;
        let scales = scales.as_f32().map_err(|e| e.to_string())?;
        let scales: Vec<f64> = scales.iter().map(|&scale| f64::from(scale)).collect();
        let sizes = own.iter().zip(&scales);
        (
            sizes
                .map(|(&own, scale)| (own as f64 * scale) as usize)
                .collect(),
            scales,
        )
    };
    // A damaged file may ask for more than any machine has.
    let fits = |&new: &usize| (1..=1 << 16).contains(&new);
    match sizes.len() == own.len() && scales.len() == own.len() && sizes.iter().all(fits) {
        true => Ok((sizes, scales)),
        false => Err(format!("a value {own:?} to {sizes:?}")),
    }
}

impl Rule {
    /// Weights `[len, new]` of the old elements in the new ones.
    fn matrix(&self, len: usize, new: usize, scale: f64) -> Outcome<Vec<f32>> {
        let mut matrix = vec![0.0; len * new];
        for column in 0..new {
            let position = self.position(column as f64, len, new, scale)?;
            for (index, weight) in self.taps(position)? {
                // Beyond the border stands the border's element again.
                let row = index.clamp(0, len as i64 - 1) as usize;
                matrix[row * new + column] += weight as f32;
            }
        }
        Ok(matrix)
    }

    /// Where a new element lies among the old ones.
    fn position(&self, x: f64, len: usize, new: usize, scale: f64) -> Outcome<f64> {
        Ok(match self.coordinates.as_str() {
            "half_pixel" => (x + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if new == 1 => 0.0,
            "pytorch_half_pixel" => (x + 0.5) / scale - 0.5,
            "align_corners" if new == 1 => 0.0,
            "align_corners" => x * (len as f64 - 1.0) / (new as f64 - 1.0),
            "asymmetric" => x / scale,
            other => return Err(format!("coordinates `{other}` are not supported")),
        })
    }

    /// Old elements with their weights.
    fn taps(&self, position: f64) -> Outcome<Vec<(i64, f64)>> {
        let (start, rest) = (position.floor() as i64, position - position.floor());
        Ok(match self.mode.as_str() {
            "nearest" => {
                let index = match self.nearest.as_str() {
                    "round_prefer_floor" => (position - 0.5).ceil(),
                    "round_prefer_ceil" => (position + 0.5).floor(),
                    "floor" => position.floor(),
                    "ceil" => position.ceil(),
                    other => return Err(format!("`nearest_mode` is {other}")),
                };
                vec![(index as i64, 1.0)]
            }
            "linear" => vec![(start, 1.0 - rest), (start + 1, rest)],
            "cubic" => {
                // Keys, "Cubic convolution interpolation", 1981.
                let a = self.cubic;
                let near = |t: f64| ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0;
                let far = |t: f64| ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a;
                vec![
                    (start - 1, far(rest + 1.0)),
                    (start, near(rest)),
                    (start + 1, near(1.0 - rest)),
                    (start + 2, far(2.0 - rest)),
                ]
            }
            other => return Err(format!("mode `{other}` is not supported")),
        })
    }
}

/// The product of an axis with a matrix `[in, out]`.
fn along(x: DynTensor, axis: usize, matrix: DynTensor) -> DynTensor {
    let own = x.dims();
    let mut order: Vec<usize> = (0..own.len()).filter(|&other| other != axis).collect();
    let outer: Vec<usize> = order.iter().map(|&other| own[other]).collect();
    order.push(axis);
    let (len, new) = (own[axis], matrix.dims()[1]);
    let rows = x.permute(&order).reshape(&[outer.iter().product(), len]);
    let y = rows
        .matmul(matrix)
        .reshape(&[outer.as_slice(), &[new]].concat());
    // The axis goes back from the last place to its own.
    let mut back: Vec<usize> = (0..own.len() - 1).collect();
    back.insert(axis, own.len() - 1);
    y.permute(&back)
}

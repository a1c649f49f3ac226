//! Operators number by number, with broadcasting.

use super::dyn_tensor::DynTensor;
use super::host;
use super::value::{Call, Outcome, Value};
use kernels::Activation;

/// An activation or another function of one number; on the host where the number is there.
pub(super) fn unary(call: &mut Call<'_>, f: impl Fn(DynTensor) -> DynTensor) -> Outcome {
    match call.take(0)? {
        Value::Host(tensor) => {
            let on_host = host::unary(call.node.op_type(), &tensor);
            match (on_host, tensor.as_f32().is_ok()) {
                (Err(_), true) => Value::Host(tensor)
                    .upload(call.device)
                    .map(|x| Value::Device(f(x))),
                (found, _) => found.map(Value::Host),
            }
        }
        value => Ok(Value::Device(f(value.upload(call.device)?))),
    }
}

/// Floor, Ceil and Not, which shapes alone need.
pub(super) fn host_unary(call: &mut Call<'_>) -> Outcome {
    let tensor = call.host(0)?;
    host::unary(call.node.op_type(), &tensor).map(Value::Host)
}

/// Comparisons and remainders, which shapes alone need.
pub(super) fn host_binary(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.host(0)?, call.host(1)?);
    host::binary(call.node.op_type(), &a, &b).map(Value::Host)
}

/// Add, Sub, Mul, Div and Pow.
pub(super) fn arithmetic(call: &mut Call<'_>) -> Outcome {
    let operator = call.node.op_type();
    if call.is_host() {
        return host_binary(call);
    }
    let (a, b) = (call.take(0)?, call.take(1)?);
    let ranks = (a.dims()?.len(), b.dims()?.len());
    // A number with more axes than the other value gives it those axes.
    let number_of =
        |value: &Value, own: usize, other: usize| value.scalar().filter(|_| own <= other);
    let (left, right) = (
        number_of(&a, ranks.0, ranks.1),
        number_of(&b, ranks.1, ranks.0),
    );
    let device = call.device;
    let result = match (operator, left, right) {
        ("Add", _, Some(number)) => a.upload(device)?.add_scalar(number),
        ("Add", Some(number), _) => b.upload(device)?.add_scalar(number),
        ("Sub", _, Some(number)) => a.upload(device)?.add_scalar(-number),
        ("Sub", Some(number), _) => b.upload(device)?.neg().add_scalar(number),
        ("Mul", _, Some(number)) => a.upload(device)?.mul_scalar(number),
        ("Mul", Some(number), _) => b.upload(device)?.mul_scalar(number),
        ("Div", _, Some(number)) if number != 0.0 => a.upload(device)?.mul_scalar(1.0 / number),
        ("Div", Some(number), _) => b.upload(device)?.recip().mul_scalar(number),
        ("Pow", _, Some(number)) => power(a.upload(device)?, number)?,
        _ => {
            let (a, b) = (a.upload(device)?, b.upload(device)?);
            match operator {
                "Add" => a.add(b)?,
                "Sub" => a.sub(b)?,
                "Mul" => a.mul(b)?,
                "Div" => a.div(b)?,
                _ => a.pow(b)?,
            }
        }
    };
    Ok(Value::Device(result))
}

fn power(x: DynTensor, exponent: f64) -> Outcome<DynTensor> {
    Ok(match exponent {
        1.0 => x,
        2.0 => x.clone().mul(x)?,
        3.0 => x.clone().mul(x.clone())?.mul(x)?,
        0.5 => x.sqrt(),
        exponent => x.powf_scalar(exponent),
    })
}

/// `Max` and `Min` of the host's numbers, or of a value and one number.
pub(super) fn extremum(call: &mut Call<'_>) -> Outcome {
    if call.inputs.len() != 2 {
        return Err("only two inputs are supported".into());
    }
    if call.is_host() {
        return host_binary(call);
    }
    let (a, b) = (call.take(0)?, call.take(1)?);
    let (value, number) = match (a.scalar(), b.scalar()) {
        (_, Some(number)) => (a, number),
        (Some(number), _) => (b, number),
        _ => return Err("of two values; only that of a value and one number is supported".into()),
    };
    let value = value.upload(call.device)?;
    Ok(Value::Device(match call.node.op_type() {
        "Max" => value.clamp(number, f64::INFINITY),
        _ => value.clamp(f64::NEG_INFINITY, number),
    }))
}

/// On the host where the numbers are there: paddings that are computed of the image's size are clipped at zero.
pub(super) fn clip(call: &mut Call<'_>) -> Outcome {
    let x = call.take(0)?;
    let low = call.number_or_input("min", 1)?;
    let high = call.number_or_input("max", 2)?;
    let (low, high) = (
        low.unwrap_or(f64::NEG_INFINITY),
        high.unwrap_or(f64::INFINITY),
    );
    match x {
        Value::Host(tensor) => host::clip(tensor, low, high).map(Value::Host),
        x => Ok(Value::Device(x.upload(call.device)?.clamp(low, high))),
    }
}

pub(super) fn hard_sigmoid(call: &mut Call<'_>) -> Outcome {
    let (alpha, beta) = (call.float("alpha", 0.2), call.float("beta", 0.5));
    let x = call.device(0)?;
    let x = x.mul_scalar(alpha).add_scalar(beta);
    Ok(Value::Device(x.clamp(0.0, 1.0)))
}

/// x · HardSigmoid(x) with the slope 1/6.
pub(super) fn hard_swish(call: &mut Call<'_>) -> Outcome {
    let x = call.device(0)?;
    let gate = x.clone().mul_scalar(1.0 / 6.0).add_scalar(0.5);
    x.mul(gate.clamp(0.0, 1.0)).map(Value::Device)
}

pub(super) fn leaky_relu(call: &mut Call<'_>) -> Outcome {
    let alpha = call.float("alpha", 0.01);
    Ok(Value::Device(call.device(0)?.leaky_relu(alpha)))
}

pub(super) fn elu(call: &mut Call<'_>) -> Outcome {
    let alpha = call.float("alpha", 1.0);
    let x = call.device(0)?;
    // `exp` of the negative part alone: that of large numbers is infinite.
    let negative = x
        .clone()
        .clamp(f64::NEG_INFINITY, 0.0)
        .exp()
        .add_scalar(-1.0);
    x.relu().add(negative.mul_scalar(alpha)).map(Value::Device)
}

pub(super) fn prelu(call: &mut Call<'_>) -> Outcome {
    let (x, slope) = (call.device(0)?, call.device(1)?);
    let negative = x.clone().neg().relu().mul(slope)?;
    x.relu().sub(negative).map(Value::Device)
}

pub(super) fn softplus(x: DynTensor) -> DynTensor {
    // log(1 + e^x) without the overflow of e^x.
    let small = x.clone().abs().neg().exp().log1p();
    x.relu().add(small).expect("both have the shape of x")
}

pub(super) fn gelu(call: &mut Call<'_>) -> Outcome {
    let x = call.device(0)?;
    if call.text("approximate", "none") == "none" {
        return Ok(Value::Device(x.activate(Activation::Gelu)));
    }
    // x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), Hendrycks and Gimpel 2016.
    let cube = power(x.clone(), 3.0)?.mul_scalar(0.044_715);
    let inner = x.clone().add(cube)?;
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    let gate = inner.mul_scalar(scale).tanh().add_scalar(1.0);
    x.mul_scalar(0.5).mul(gate).map(Value::Device)
}

pub(super) fn is_nan(call: &mut Call<'_>) -> Outcome {
    Ok(Value::Mask(call.device(0)?.nan_mask()))
}

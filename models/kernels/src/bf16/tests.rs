//! Products of bf16 numbers, by each unit of this processor, against f32 on rounded inputs.
#![expect(clippy::print_stdout, reason = "a test says what it could not try")]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod amx_emulator;

use super::*;
use crate::im2col;

/// Batch, input channels, height, width; output channels, kernel, stride, padding.
type Case = ([usize; 4], usize, [usize; 2], [usize; 2], [usize; 2]);

/// More and less than a block of 32 and not a multiple of it; strides, paddings that cannot be turned, pointwise.
const CASES: [Case; 9] = [
    ([2, 33, 9, 14], 40, [3, 3], [1, 1], [1, 1]),
    ([1, 64, 13, 7], 96, [3, 3], [2, 2], [1, 1]),
    ([3, 24, 14, 13], 70, [1, 1], [1, 1], [0, 0]),
    ([2, 32, 8, 31], 16, [1, 1], [2, 2], [0, 0]),
    ([1, 5, 19, 40], 6, [1, 3], [1, 2], [0, 2]),
    ([3, 16, 5, 6], 33, [1, 1], [1, 1], [1, 1]),
    ([1, 7, 70, 90], 35, [5, 5], [1, 1], [2, 2]),
    ([5, 2, 3, 2], 3, [5, 5], [2, 3], [2, 2]),
    ([2, 31, 1, 1], 1, [3, 3], [1, 1], [1, 1]),
];

fn values(len: usize, seed: f32) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * seed).sin()).collect()
}

fn rounded(values: &[f32]) -> Vec<f32> {
    let mut bf16 = vec![];
    operands::round(values, &mut bf16);
    bf16.iter()
        .map(|v| f32::from_bits(u32::from(*v) << 16))
        .collect()
}

fn assert_close(ours: &[f32], expected: &[f32], what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 2e-5 * largest,
            "{what}, value {i}: {a} and {b}"
        );
    }
}

/// Those of this processor, and AMX emulated where it has none.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn units() -> Vec<Unit> {
    let mut units: Vec<Unit> = Unit::all().collect();
    if !units.contains(&Unit::Amx) {
        amx_emulator::install();
        assert!(amx::multiplies_rightly());
        units.push(Unit::Amx);
    }
    units
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn units() -> Vec<Unit> {
    Unit::all().collect()
}

#[test]
fn convolutions_are_those_of_rounded_numbers() {
    let units = units();
    if units.is_empty() {
        println!("skipped: this processor multiplies no bf16 numbers");
    }
    for unit in units {
        for (input, out, kernel, stride, padding) in CASES {
            let shape = [out, input[1], kernel[0], kernel[1]];
            let g = &Geometry::symmetric(input, shape, stride, padding);
            let (x, gy) = (
                values(g.batch * g.image_len(), 0.7),
                values(g.batch * g.map_len(), 1.3),
            );
            let (weight, bias) = (values(g.weight_len(), 0.9), values(out, 2.1));
            let [x16, gy16, weight16] = [&x, &gy, &weight].map(|v| rounded(v));
            let what = format!("{}: {input:?} to {out}, kernel {kernel:?}", unit.name());
            assert_close(
                &forward(unit, g, &x, &weight, &bias),
                &im2col::forward(g, &x16, &weight16, &bias),
                &format!("{what}, output"),
            );
            assert_close(
                &input_gradient(unit, g, &weight, &gy),
                &im2col::input_gradient(g, &weight16, &gy16),
                &format!("{what}, gradient of the input"),
            );
            assert_close(
                &weight_gradient(unit, g, &x, &gy),
                &im2col::weight_gradient(g, &x16, &gy16),
                &format!("{what}, gradient of the weight"),
            );
        }
    }
}

#[test]
fn rounding_is_to_nearest_even_and_keeps_what_is_not_a_number() {
    let eighth = 2f32.powi(-8);
    let cases = [
        (1.0, 1.0),
        (-1.5, -1.5),
        // Half of the last place: to even.
        (1.0 + eighth, 1.0),
        (1.0 + 3.0 * eighth, 1.0 + 4.0 * eighth),
        (1.0 + 1.1 * eighth, 1.0 + 2.0 * eighth),
        (f32::MAX, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
        (0.0, 0.0),
    ];
    for (value, expected) in cases {
        assert_eq!(rounded(&[value]), [expected], "{value}");
    }
    // The payload of this one lies in the lower half.
    assert!(rounded(&[f32::from_bits(0x7f80_0001)])[0].is_nan());
}

#[test]
fn gradients_have_the_precision_of_their_forward_pass() {
    use burn::tensor::{Device, Tensor, ops::ConvOptions};
    if Unit::detect().is_none() {
        return println!("skipped: this processor multiplies no bf16 numbers");
    }
    let device = Device::flex().autodiff();
    let tensor = |len: usize, seed: f32| Tensor::<1>::from_floats(&values(len, seed)[..], &device);
    let x = tensor(2 * 33 * 6 * 5, 0.7)
        .reshape([2, 33, 6, 5])
        .require_grad();
    let weight = tensor(34 * 33 * 9, 0.9).reshape([34, 33, 3, 3]);
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let run = |precision| {
        let forward = || crate::conv2d(x.clone(), weight.clone(), None, &options);
        let y = crate::with_precision(precision, forward);
        let gradient = x.grad(&y.clone().powi_scalar(2).sum().backward());
        let gradient = gradient.map(|g| g.into_data().try_into_vec::<f32>());
        let y = y.into_data().try_into_vec::<f32>();
        (y.unwrap_or_default(), gradient.unwrap().unwrap_or_default())
    };
    use crate::Precision::{Bf16, F32};
    let (single, half) = (run(F32), run(Bf16));
    for (single, half) in [(&single.0, &half.0), (&single.1, &half.1)] {
        assert_ne!(single, half);
        let largest = single.iter().fold(0f32, |m, v| m.max(v.abs()));
        let difference = single.iter().zip(half).map(|(a, b)| (a - b).abs());
        assert!(difference.fold(0f32, f32::max) < 0.02 * largest);
    }
    assert_eq!(run(F32), single, "the setting ends with the closure");
}

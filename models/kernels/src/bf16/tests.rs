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

/// Matrices, rows, inner, columns.
const PRODUCTS: [[usize; 4]; 5] = [
    [1, 130, 33, 70],
    [3, 40, 17, 5],
    [1, 32, 64, 96],
    [2, 1, 1, 33],
    [1, 7, 0, 3],
];

#[test]
fn products_of_matrices_are_those_of_rounded_numbers() {
    use matmul::{Sizes, Stack};
    let transposed = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        let matrices = values.chunks_exact((rows * columns).max(1));
        let of_one = |matrix: &[f32]| -> Vec<f32> {
            let column = |j| (0..rows).map(move |i| i * columns + j);
            let indices = (0..columns).flat_map(column);
            indices.map(|index| matrix[index]).collect()
        };
        matrices.flat_map(of_one).collect()
    };
    for unit in units() {
        for [count, rows, inner, columns] in PRODUCTS {
            let sizes = Sizes::of(&[count, rows, inner], &[count, inner, columns]);
            let (a, b) = (
                values(count * rows * inner, 0.7),
                values(count * inner * columns, 1.3),
            );
            let [a16, b16] = [&a, &b].map(|v| rounded(v));
            let mut expected = vec![0.0; count * rows * columns];
            for (index, sum) in expected.iter_mut().enumerate() {
                let (row, column) = (index / columns, index % columns);
                let first = row / rows * inner * columns + column;
                *sum = (0..inner)
                    .map(|k| a16[row * inner + k] * b16[first + k * columns])
                    .sum();
            }
            let stored = [transposed(&a, rows, inner), transposed(&b, inner, columns)];
            for a in [Stack::new(&a), Stack::transposed(&stored[0])] {
                for b in [Stack::new(&b), Stack::transposed(&stored[1])] {
                    let what = format!("{}: {sizes:?}", unit.name());
                    assert_close(&matmul::multiply(unit, a, b, sizes), &expected, &what);
                }
            }
        }
    }
}

#[test]
fn a_product_and_its_gradients_are_near_those_in_single_precision() {
    use burn::tensor::{Device, Tensor};
    if Unit::detect().is_none() {
        return println!("skipped: this processor multiplies no bf16 numbers");
    }
    let device = Device::flex().autodiff();
    let tensor = |shape: [usize; 3], seed: f32| {
        let len = shape.iter().product();
        Tensor::<1>::from_floats(&values(len, seed)[..], &device)
            .reshape(shape)
            .require_grad()
    };
    let (a, b) = (tensor([2, 40, 36], 0.7), tensor([2, 36, 50], 0.9));
    let run = |precision| {
        let forward = || crate::matmul(a.clone().into_dispatch(), b.clone().into_dispatch());
        let y = Tensor::<3>::from_dispatch(crate::with_precision(precision, forward));
        let gradients = y.clone().powi_scalar(2).sum().backward();
        let gradients = [&a, &b].map(|t| t.grad(&gradients).unwrap().into_data());
        let [ga, gb] = gradients.map(|data| data.try_into_vec::<f32>().unwrap());
        [y.into_data().try_into_vec::<f32>().unwrap(), ga, gb]
    };
    let (single, half) = (run(crate::Precision::F32), run(crate::Precision::Bf16));
    for (single, half) in single.iter().zip(&half) {
        assert_ne!(single, half);
        let largest = single.iter().fold(0f32, |m, v| m.max(v.abs()));
        let difference = single.iter().zip(half).map(|(a, b)| (a - b).abs());
        assert!(difference.fold(0f32, f32::max) < 0.02 * largest);
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

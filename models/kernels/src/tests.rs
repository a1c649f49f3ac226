//! The kernels against Burn's own operations, PyTorch's answers and finite differences.

use super::*;
use burn::tensor::Distribution;
use direct::scalar;
use geometry::Geometry;

/// Batch, input channels, height, width; output channels, kernel, stride, padding.
type Case = ([usize; 4], usize, [usize; 2], [usize; 2], [usize; 2]);

/// Odd sizes, batch 1, rows longer and shorter than a vector, all algorithms.
const CONVOLUTIONS: [Case; 23] = [
    ([2, 3, 37, 53], 8, [7, 7], [2, 2], [3, 3]),
    ([1, 3, 64, 64], 5, [7, 7], [2, 2], [3, 3]),
    ([3, 1, 20, 71], 1, [3, 3], [1, 1], [1, 1]),
    ([2, 5, 19, 40], 6, [1, 3], [1, 2], [0, 2]),
    ([7, 8, 28, 28], 16, [3, 3], [2, 2], [1, 1]),
    ([2, 8, 28, 31], 16, [1, 1], [4, 4], [0, 0]),
    ([2, 24, 14, 13], 144, [1, 1], [1, 1], [0, 0]),
    ([3, 8, 5, 6], 4, [1, 1], [1, 1], [1, 1]),
    ([17, 10, 7, 7], 100, [1, 1], [1, 1], [0, 0]),
    ([11, 40, 20, 20], 70, [1, 1], [1, 1], [0, 0]),
    ([33, 130, 3, 3], 90, [1, 1], [1, 1], [0, 0]),
    ([19, 65, 1, 1], 130, [1, 1], [1, 1], [0, 0]),
    ([1, 20, 1, 1], 7, [1, 1], [1, 1], [0, 0]),
    ([1, 33, 5, 4], 65, [3, 3], [1, 1], [1, 1]),
    ([4, 16, 7, 7], 12, [3, 3], [2, 2], [1, 1]),
    ([2, 4, 3, 2], 3, [5, 5], [2, 3], [2, 2]),
    ([1, 32, 13, 9], 40, [3, 3], [1, 1], [0, 0]),
    ([9, 33, 7, 7], 34, [3, 3], [1, 1], [1, 1]),
    ([2, 35, 6, 30], 32, [3, 3], [1, 1], [2, 2]),
    ([3, 64, 20, 41], 48, [3, 3], [1, 1], [1, 0]),
    ([1, 32, 1, 1], 32, [3, 3], [1, 1], [1, 1]),
    ([5, 33, 17, 15], 34, [3, 3], [1, 1], [1, 1]),
    ([2, 32, 14, 30], 35, [3, 3], [1, 1], [2, 2]),
];

/// Convolutions in single precision.
const CONV: conv::Convolution = conv::Convolution::F32;

const RELU: Option<f32> = Some(f32::INFINITY);

fn device() -> Device {
    Device::default().autodiff()
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let tensor: Tensor<D> = Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device());
    tensor.require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}

/// Largest difference, relative to the largest value and to 1: a sum of thousands of random values may be near 0.
fn assert_close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(1f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(
            (a - b).abs() <= 2e-5 * largest,
            "{what}, value {i}: {a} and {b} of {largest}"
        );
    }
}

/// Output and gradients against Burn's own operation.
fn compare_with_burn(
    x: Tensor<4>,
    w: Tensor<4>,
    b: Tensor<1>,
    options: ConvOptions<2>,
    what: &str,
) {
    let ours = conv2d(x.clone(), w.clone(), Some(b.clone()), &options);
    let theirs = module::conv2d(x.clone(), w.clone(), Some(b.clone()), options);
    assert_close(&values(ours.clone()), &values(theirs.clone()), what);
    // A gradient that differs from pixel to pixel.
    let weight = random(ours.dims()).detach();
    let ours = (ours * weight.clone()).sum().backward();
    let theirs = (theirs * weight).sum().backward();
    let pair = |a: Option<Vec<f32>>, b: Option<Vec<f32>>, name: &str| {
        assert_close(&a.unwrap(), &b.unwrap(), &format!("{what}: {name}"));
    };
    pair(
        x.grad(&ours).map(values),
        x.grad(&theirs).map(values),
        "input",
    );
    pair(
        w.grad(&ours).map(values),
        w.grad(&theirs).map(values),
        "weight",
    );
    pair(
        b.grad(&ours).map(values),
        b.grad(&theirs).map(values),
        "bias",
    );
}

#[test]
fn convolution_and_its_gradients_are_burns() {
    for (shape, out, kernel, stride, padding) in CONVOLUTIONS {
        let (x, w) = (random(shape), random([out, shape[1], kernel[0], kernel[1]]));
        let b = random([out]);
        let options = ConvOptions::new(stride, padding, [1, 1], 1);
        compare_with_burn(
            x,
            w,
            b,
            options,
            &format!("{shape:?} to {out}, kernel {kernel:?}"),
        );
    }
}

#[test]
fn all_algorithms_are_exercised_and_agree() {
    let (mut by_direct, mut by_winograd) = (0, 0);
    for (shape, out, kernel, stride, padding) in CONVOLUTIONS {
        let weight = [out, shape[1], kernel[0], kernel[1]];
        let g = Geometry::symmetric(shape, weight, stride, padding);
        by_direct += usize::from(direct::suits(&g));
        by_winograd += usize::from(winograd::suits(&g));
        let (x, w) = (values(random(shape)), values(random(weight)));
        let b = values(random([out]));
        let gy = values(random([shape[0], out, g.output[0], g.output[1]]));
        let what = format!("{shape:?} to {out}");
        let y = im2col::forward(&g, &x, &w, &b);
        let gw = im2col::weight_gradient(&g, &x, &gy);
        assert_close(&direct::forward(&g, &x, &w, &b), &y, &what);
        assert_close(&direct::weight_gradient(&g, &x, &gy), &gw, &what);
        if winograd::is_possible(&g) {
            assert_close(&winograd::forward(&g, &x, &w, &b), &y, &what);
            assert_close(&winograd::weight_gradient(&g, &x, &gy), &gw, &what);
            let gx = im2col::input_gradient(&g, &w, &gy);
            assert_close(&winograd::input_gradient(&g, &w, &gy), &gx, &what);
        }
    }
    assert!(by_direct > 2 && by_winograd > 2);
    assert!(by_direct + by_winograd < CONVOLUTIONS.len());
}

#[test]
fn a_missing_bias_is_zero() {
    let (x, w) = (random([2, 3, 9, 9]), random([4, 3, 3, 3]));
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let ours = conv2d(x.clone(), w.clone(), None, &options);
    assert_close(
        &values(ours),
        &values(module::conv2d(x, w, None, options)),
        "no bias",
    );
}

#[test]
fn depthwise_convolution_and_its_gradients_are_burns() {
    // Batch, channels, height, width; kernel, stride, padding before and behind.
    for (shape, kernel, stride, begin, end) in [
        ([2, 5, 14, 14], [3, 3], [1, 1], [1, 1], [1, 1]),
        ([3, 4, 7, 7], [5, 5], [1, 1], [2, 2], [2, 2]),
        ([2, 3, 112, 75], [3, 3], [2, 2], [0, 0], [1, 1]),
        ([1, 6, 17, 30], [5, 5], [2, 2], [1, 2], [2, 2]),
        ([2, 2, 9, 13], [7, 7], [1, 1], [3, 3], [3, 3]),
        ([1, 3, 11, 12], [1, 3], [3, 4], [0, 1], [0, 0]),
        ([2, 3, 6, 5], [2, 2], [3, 3], [0, 0], [0, 0]),
        ([1, 2, 1, 1], [3, 3], [1, 1], [1, 1], [1, 1]),
    ] {
        let (x, w) = (random(shape), random([shape[1], 1, kernel[0], kernel[1]]));
        let b = random([shape[1]]);
        let mut options = ConvOptions::new(stride, [0, 0], [1, 1], shape[1]);
        options.padding = [(begin[0], end[0]), (begin[1], end[1])];
        compare_with_burn(x, w, b, options, &format!("{shape:?}, kernel {kernel:?}"));
    }
}

#[test]
fn other_padding_behind_than_before_is_burns() {
    for (shape, out, kernel, stride) in [
        ([2, 3, 40, 44], 8, 3, 2),
        ([2, 40, 15, 13], 32, 3, 1),
        ([2, 6, 9, 8], 5, 5, 2),
    ] {
        let (x, w) = (random(shape), random([out, shape[1], kernel, kernel]));
        let mut options = ConvOptions::new([stride; 2], [0, 0], [1, 1], 1);
        options.padding = [(0, 1), (1, 2)];
        let what = format!("{shape:?} to {out}, padding {:?}", options.padding);
        compare_with_burn(x, w, random([out]), options, &what);
    }
}

#[test]
fn clamp_and_its_gradient_are_burns() {
    for (low, high) in [(0.0, f32::INFINITY), (-0.1, 0.15), (f32::NEG_INFINITY, 0.1)] {
        // No number is a bound, where Burn lets the gradient through: those that are drawn are multiples of 2^-23.
        let x = (random([3, 5, 150, 61]) + 3e-9).detach().require_grad();
        let ours: Tensor<4> = Tensor::from_dispatch(clamp(x.clone().into_dispatch(), low, high));
        let theirs = x.clone().clamp(low, high);
        assert_eq!(values(ours.clone()), values(theirs.clone()));
        let weight = random(x.dims()).detach();
        let ours = x.grad(&(ours * weight.clone()).sum().backward()).unwrap();
        let theirs = x.grad(&(theirs * weight).sum().backward()).unwrap();
        assert_eq!(values(ours), values(theirs), "{low} to {high}");
    }
    // At a bound there is no gradient; NaN stays.
    let x = Tensor::<1>::from_data([0.0, 6.0, f32::NAN, 3.0, -1.0], &device()).require_grad();
    let y: Tensor<1> = Tensor::from_dispatch(clamp(x.clone().into_dispatch(), 0.0, 6.0));
    let expected = [0.0, 6.0, f32::NAN, 3.0, 0.0];
    for (y, expected) in values(y.clone()).into_iter().zip(expected) {
        assert_eq!(y.to_bits(), expected.to_bits());
    }
    let gradient = values(x.grad(&y.sum().backward()).unwrap());
    assert_eq!(gradient[..2], [0.0, 0.0]);
    assert_eq!(gradient[3..], [1.0, 0.0]);
}

#[test]
fn clamp_leaves_a_value_that_others_read() {
    let x = Tensor::<1>::from_data([-1.0, 1.0], &Device::flex());
    let y: Tensor<1> = Tensor::from_dispatch(clamp(x.clone().into_dispatch(), 0.0, 9.0));
    assert_eq!((values(x), values(y)), (vec![-1.0, 1.0], vec![0.0, 1.0]));
}

#[test]
fn grouped_and_dilated_convolutions_are_left_to_burn() {
    let (x, w) = (random([2, 4, 9, 9]), random([4, 2, 3, 3]));
    let options = ConvOptions::new([1, 1], [2, 2], [2, 2], 2);
    let ours = conv2d(x.clone(), w.clone(), None, &options);
    assert_eq!(values(ours), values(module::conv2d(x, w, None, options)));
}

#[test]
fn batch_norm_and_its_gradients_are_burns() {
    for (shape, clamp) in [
        ([3, 5, 7, 9], RELU),
        ([2, 4, 16, 16], None),
        ([1, 3, 5, 5], RELU),
        ([2, 3, 9, 20], Some(0.5)),
    ] {
        let x = random(shape).add_scalar(3.0).detach().require_grad();
        let (w, b) = (random([shape[1]]), random([shape[1]]));
        let BatchNormTrainOutput {
            output: ours,
            mean,
            variance,
        } = batch_norm_train(x.clone(), w.clone(), b.clone(), 1e-5, clamp);
        let batch = module::batch_norm_train(x.clone(), w.clone(), b.clone(), 1e-5);
        let theirs = clamped(batch.output, clamp);
        let what = format!("{shape:?}, clamp {clamp:?}");
        assert_close(&values(ours.clone()), &values(theirs.clone()), &what);
        assert_close(&values(mean), &values(batch.mean), &what);
        assert_close(&values(variance), &values(batch.variance), &what);
        let weight = random(shape).detach();
        let ours = (ours * weight.clone()).sum().backward();
        let theirs = (theirs * weight).sum().backward();
        assert_close(
            &values(w.grad(&ours).unwrap()),
            &values(w.grad(&theirs).unwrap()),
            &what,
        );
        assert_close(
            &values(b.grad(&ours).unwrap()),
            &values(b.grad(&theirs).unwrap()),
            &what,
        );
        assert_close(
            &values(x.grad(&ours).unwrap()),
            &values(x.grad(&theirs).unwrap()),
            &what,
        );
    }
}

#[test]
fn batch_norm_with_fixed_statistics_and_its_gradients_are_burns() {
    for (shape, clamp) in [
        ([3, 5, 7, 9], RELU),
        ([2, 4, 16, 16], None),
        ([2, 3, 9, 20], Some(0.5)),
    ] {
        let (x, w, b) = (random(shape), random([shape[1]]), random([shape[1]]));
        let mean = random([shape[1]]).detach();
        let variance = random([shape[1]]).detach().add_scalar(1.5);
        let tensors = NormTensors {
            weight: w.clone(),
            bias: b.clone(),
            mean: mean.clone(),
            variance: variance.clone(),
        };
        let ours = batch_norm(x.clone(), tensors, 1e-5, clamp);
        let theirs = module::batch_norm(x.clone(), w.clone(), b.clone(), mean, variance, 1e-5);
        let theirs = clamped(theirs, clamp);
        let what = format!("{shape:?}, clamp {clamp:?}");
        assert_close(&values(ours.clone()), &values(theirs.clone()), &what);
        let weight = random(shape).detach();
        let ours = (ours * weight.clone()).sum().backward();
        let theirs = (theirs * weight).sum().backward();
        let (a, b) = (
            [w.grad(&ours), b.grad(&ours)],
            [w.grad(&theirs), b.grad(&theirs)],
        );
        for (ours, theirs) in a.into_iter().zip(b) {
            assert_close(&values(ours.unwrap()), &values(theirs.unwrap()), &what);
        }
        let (ours, theirs) = (x.grad(&ours).unwrap(), x.grad(&theirs).unwrap());
        assert_close(&values(ours), &values(theirs), &what);
    }
}

#[test]
fn nan_and_infinity_pass_through_batch_norm_and_relu() {
    for bad in [f32::NAN, f32::INFINITY] {
        let x = Tensor::from_floats(
            [[[[1.0, 2.0, bad, 3.0]], [[1.0, 2.0, 3.0, 4.0]]]],
            &device(),
        );
        let (w, b) = (random([2]), random([2]));
        let batch = batch_norm_train(x, w, b, 1e-5, RELU);
        assert!(
            values(batch.output)[..4].iter().any(|v| v.is_nan()),
            "{bad}"
        );
        let var = values(batch.variance);
        assert!(var[0].is_nan() && var[1].is_finite(), "{bad}");
    }
}

#[test]
fn max_pool_and_its_gradient_are_burns() {
    for (shape, size, stride, padding) in [
        ([2, 3, 13, 18], 3, 2, 1),
        ([1, 1, 8, 8], 2, 2, 0),
        ([2, 2, 5, 7], 3, 1, 1),
        ([1, 2, 10, 11], 3, 3, 1),
    ] {
        let x = random(shape);
        let options = MaxPoolOptions::new([size; 2])
            .with_stride([stride; 2])
            .with_padding([padding; 2]);
        let (ours, theirs) = (
            max_pool2d(x.clone(), &options),
            module::max_pool2d(x.clone(), options),
        );
        assert_eq!(values(ours.clone()), values(theirs.clone()));
        let weight = random(ours.dims()).detach();
        let ours = (ours * weight.clone()).sum().backward();
        let theirs = (theirs * weight).sum().backward();
        assert_close(
            &values(x.grad(&ours).unwrap()),
            &values(x.grad(&theirs).unwrap()),
            "pool",
        );
    }
}

#[test]
fn ties_in_a_pool_go_to_the_first_and_nan_shows() {
    let pool = pool::Pool {
        height: 2,
        width: 4,
        window: pool::PoolArgs {
            size: 2,
            stride: 2,
            padding: 0,
        },
    };
    let x = [1.0, 1.0, 0.0, f32::NAN, 1.0, 1.0, 5.0, 2.0];
    assert_eq!(pool.forward(&x)[0], 1.0);
    assert!(pool.forward(&x)[1].is_nan());
    assert_eq!(
        pool.backward(&x, &[3.0, 4.0]),
        [3.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for (shape, weight, padding) in [
        ([5, 3, 40, 44], [8, 3, 7, 7], 3),
        ([9, 36, 14, 13], [40, 36, 3, 3], 1),
    ] {
        let g = Geometry::symmetric(shape, weight, [1, 1], [padding; 2]);
        let (x, w) = (values(random(shape)), values(random(weight)));
        let gy = values(random([shape[0], weight[0], g.output[0], g.output[1]]));
        let b = vec![0.5; weight[0]];
        let all = || {
            let columns = [
                im2col::forward(&g, &x, &w, &b),
                im2col::input_gradient(&g, &w, &gy),
                im2col::weight_gradient(&g, &x, &gy),
                im2col::bias_gradient(&g, &gy),
            ];
            let chosen = [
                CONV.forward(&g, &x, &w, &b),
                CONV.input_gradient(&g, &w, &gy),
                CONV.weight_gradient(&g, &x, &gy),
            ];
            (columns, chosen)
        };
        let run = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(all)
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            assert!(run(threads) == one, "{shape:?}, {threads} threads");
        }
    }
}

#[test]
fn the_gradient_of_a_convolution_is_its_slope() {
    for (shape, weight) in [
        ([2, 3, 12, 20], [4, 3, 3, 3]),
        ([1, 32, 6, 5], [33, 32, 3, 3]),
        ([2, 5, 6, 7], [3, 5, 3, 3]),
    ] {
        let g = Geometry::symmetric(shape, weight, [1, 1], [1, 1]);
        let (x, w) = (values(random(shape)), values(random(weight)));
        let b = vec![0.0; weight[0]];
        let gy = values(random([shape[0], weight[0], shape[2], shape[3]]));
        let loss = |x: &[f32], w: &[f32]| -> f64 {
            let y = CONV.forward(&g, x, w, &b);
            y.iter()
                .zip(&gy)
                .map(|(y, g)| f64::from(*y) * f64::from(*g))
                .sum()
        };
        // The loss is linear in each value: a difference of 1 is exact.
        let slope_of_x = |index: usize| {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[index] += 0.5;
            down[index] -= 0.5;
            loss(&up, &w) - loss(&down, &w)
        };
        let slope_of_w = |index: usize| {
            let (mut up, mut down) = (w.clone(), w.clone());
            up[index] += 0.5;
            down[index] -= 0.5;
            loss(&x, &up) - loss(&x, &down)
        };
        let gw = CONV.weight_gradient(&g, &x, &gy);
        let gx = CONV.input_gradient(&g, &w, &gy);
        for i in [0, 17, 60, 107] {
            let errors = [
                slope_of_w(i) - f64::from(gw[i]),
                slope_of_x(i) - f64::from(gx[i]),
            ];
            assert!(
                errors.iter().all(|e| e.abs() < 1e-3),
                "{shape:?}: {i}: {errors:?}"
            );
        }
    }
}

/// Values and gradients from `scripts/reference/kernels.py`.
#[test]
fn results_are_pytorchs() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/reference/kernels.safetensors"
    );
    let bytes = fs_err::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let get = |name: &str| -> Vec<f32> {
        let (chunks, _) = file.tensor(name).unwrap().data().as_chunks::<4>();
        chunks
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    };
    let dims =
        |name: &str| -> [usize; 4] { file.tensor(name).unwrap().shape().try_into().unwrap() };
    for (name, stride, padding) in [("direct", 2, 3), ("winograd", 1, 1), ("im2col", 2, 1)] {
        let get = |key: &str| get(&format!("{name}.{key}"));
        let (x, w) = (dims(&format!("{name}.x")), dims(&format!("{name}.w")));
        let g = Geometry::symmetric(x, w, [stride; 2], [padding; 2]);
        let chosen = (direct::suits(&g), winograd::suits(&g));
        assert_eq!(chosen, (name == "direct", name == "winograd"), "{name}");
        let (x, w, b, gy) = (get("x"), get("w"), get("b"), get("gy"));
        assert_close(&CONV.forward(&g, &x, &w, &b), &get("y"), name);
        assert_close(&CONV.input_gradient(&g, &w, &gy), &get("gx"), name);
        assert_close(&CONV.weight_gradient(&g, &x, &gy), &get("gw"), name);
        assert_close(&im2col::bias_gradient(&g, &gy), &get("gb"), name);
    }
    for name in ["norm", "fixed"] {
        let get = |key: &str| get(&format!("{name}.{key}"));
        let [_, channels, height, width] = dims(&format!("{name}.x"));
        let norm = norm::Norm {
            channels,
            pixels: height * width,
            args: norm::NormArgs {
                epsilon: 1e-5,
                clamp: RELU,
                fixed_statistics: name == "fixed",
            },
        };
        let (x, weight, bias) = (get("x"), get("w"), get("b"));
        let params = norm::Params {
            weight: &weight,
            bias: &bias,
        };
        let (mean, variance) = match name {
            "fixed" => (get("mean"), get("var")),
            _ => (0..channels)
                .map(|c| norm.statistics(&x, c))
                .map(|s| (s.mean, s.variance))
                .unzip(),
        };
        let statistics = || norm::fixed(&mean, &variance);
        let (y, _) = norm.forward(&x, params, statistics());
        assert_close(&y, &get("y"), name);
        let gradients = norm.backward(&x, params, statistics(), &get("gy"));
        for (ours, key) in gradients.iter().zip(["gx", "gw", "gb"]) {
            assert_close(ours, &get(key), &format!("{name}.{key}"));
        }
    }
    let [_, _, height, width] = dims("pool.x");
    let pool = pool::Pool {
        height,
        width,
        window: pool::PoolArgs {
            size: 3,
            stride: 2,
            padding: 1,
        },
    };
    assert_eq!(pool.forward(&get("pool.x")), get("pool.y"));
    let gx = pool.backward(&get("pool.x"), &get("pool.gy"));
    assert_close(&gx, &get("pool.gx"), "pool");
}

/// The scalar path of `pulp` on the same code.
#[test]
fn simd_and_scalar_agree() {
    let g = Geometry::symmetric([1, 3, 21, 50], [6, 3, 5, 5], [2, 2], [2, 2]);
    let (x, w) = (values(random([1, 3, 21, 50])), values(random([6, 3, 5, 5])));
    let gy = values(random([1, 6, g.output[0], g.output[1]]));
    let simd = (
        direct::forward(&g, &x, &w, &[0.0; 6]),
        direct::weight_gradient(&g, &x, &gy),
    );
    let scalar = scalar(&g, &x, &w, &gy);
    assert_close(&simd.0, &scalar.0, "forward");
    assert_close(&simd.1, &scalar.1, "backward");
}

#[test]
fn an_update_reaches_every_number_and_leaves_tensors_that_others_read() {
    let device = Device::flex();
    // Blocks and chunks that are not full.
    let len = (1 << 16) + 100;
    let count = |start: f32| -> Tensor<1> {
        let values: Vec<f32> = (0..len).map(|i| start + i as f32).collect();
        Tensor::from_floats(&values[..], &device)
    };
    let (a, b, c) = (count(0.0), count(0.5), count(1.0));
    let [sum, difference] = update([a.clone(), b], [c], |[a, b], [c]| [a + c, b - c]);
    let expected: Vec<f32> = (0..len).map(|i| 2.0 * i as f32 + 1.0).collect();
    assert_eq!(values(sum), expected);
    assert_eq!(values(difference), vec![-0.5; len]);
    assert_eq!(values(a), values(count(0.0)));
    assert!(is_cpu(&device) && !is_cpu(&device.autodiff()));
}

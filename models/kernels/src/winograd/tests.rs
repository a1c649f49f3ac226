//! The transforms on the vectors of this machine against `pulp`'s scalar path.

use super::*;
use pulp::WithSimd;

#[test]
fn simd_and_scalar_agree() {
    compare::<2, 4>();
    compare::<4, 6>();
}

fn compare<const M: usize, const E: usize>()
where
    Filter<M, E>: Matrices<M, E>,
{
    let g = &Geometry::symmetric([2, 3, 9, 37], [4, 3, 3, 3], [1, 1], [1, 1]);
    let tiling = Tiling::<M, E>::new(g, 60 * E * E);
    let rows = 0..tiling.block;
    let values = |n: usize| -> Vec<f32> { (0..n).map(|i| (i as f32).sin()).collect() };
    let (x, gy) = (&values(2 * g.image_len())[..], &values(2 * g.map_len())[..]);
    // What lies behind an element's last tile is never read.
    let without_padding = |mut tiles: Vec<f32>| -> Vec<f32> {
        let count = tiling.block * tiling.columns;
        let elements = tiles.chunks_exact_mut(tiling.element_stride());
        elements.for_each(|element| element[count..].fill(0.0));
        tiles
    };
    let run = |scalar: bool| {
        let [mut a, mut b] = [(); 2].map(|()| vec![0.0; tiling.channel_stride()]);
        let mut out = vec![0.0; 2 * g.map_len()];
        let source = &values(tiling.channel_stride())[..];
        let channel = 2;
        let [mut inputs, mut gradients, mut outputs] = [
            tiling.input_buffers(),
            tiling.output_buffers(),
            tiling.output_buffers(),
        ];
        let rows = || rows.clone();
        let input = InputTransform {
            g,
            tiling,
            rows: rows(),
            channel,
            buffers: &mut inputs,
            x,
            target: &mut a,
        };
        let gradient = GradientTransform {
            g,
            tiling,
            rows: rows(),
            channel,
            buffers: &mut gradients,
            gy,
            target: &mut b,
        };
        let output = OutputTransform {
            g,
            tiling,
            rows: rows(),
            channel,
            buffers: &mut outputs,
            source,
            bias: 0.5,
            out: &mut out,
        };
        if scalar {
            input.with_simd(pulp::Scalar);
            gradient.with_simd(pulp::Scalar);
            output.with_simd(pulp::Scalar);
        } else {
            let arch = Arch::new();
            arch.dispatch(input);
            arch.dispatch(gradient);
            arch.dispatch(output);
        }
        (without_padding(a), without_padding(b), out)
    };
    assert_eq!(run(false), run(true));
}

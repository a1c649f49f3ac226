//! Minimal filtering in one dimension: M outputs of a filter with three taps from E = M + 2 inputs and E products.
//!
//! y = Aᵀ [(G g) ⊙ (Bᵀ d)] for inputs d and a filter g. Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", 2016, section 4. A tile is filtered along its columns, then along its rows.

use pulp::Simd;

/// F(M, 3), and with it F(M x M, 3 x 3).
pub(super) struct Filter<const M: usize, const E: usize>;

/// The products with the three matrices, and with their transposes for the gradients.
pub(super) trait Matrices<const M: usize, const E: usize> {
    /// Bᵀ d of inputs.
    fn inputs<S: Simd>(simd: S, d: [S::f32s; E]) -> [S::f32s; E];

    /// Aᵀ m of products.
    fn outputs<S: Simd>(simd: S, m: [S::f32s; E]) -> [S::f32s; M];

    /// A y of the outputs' gradients.
    fn output_gradients<S: Simd>(simd: S, y: [S::f32s; M]) -> [S::f32s; E];

    /// G g of a kernel.
    fn kernel<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; E];

    /// Gᵀ u, the kernel's gradient.
    fn kernel_gradient<S: Simd>(simd: S, u: [S::f32s; E]) -> [S::f32s; 3];
}

/// By the points 0, 1, -1 and infinity: 2.25 times fewer products than outputs times taps.
impl Matrices<2, 4> for Filter<2, 4> {
    #[inline(always)]
    fn inputs<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            simd.sub_f32s(a, c),
            simd.add_f32s(b, c),
            simd.sub_f32s(c, b),
            simd.sub_f32s(b, d),
        ]
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        let sum = simd.add_f32s(simd.add_f32s(a, b), c);
        [sum, simd.sub_f32s(simd.sub_f32s(b, c), d)]
    }

    #[inline(always)]
    fn output_gradients<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
        [
            a,
            simd.add_f32s(a, b),
            simd.sub_f32s(a, b),
            simd.neg_f32s(b),
        ]
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 4] {
        let half = simd.splat_f32s(0.5);
        let outer = simd.mul_f32s(simd.add_f32s(a, c), half);
        let middle = simd.mul_f32s(b, half);
        [
            a,
            simd.add_f32s(outer, middle),
            simd.sub_f32s(outer, middle),
            c,
        ]
    }

    #[inline(always)]
    fn kernel_gradient<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 3] {
        let half = simd.splat_f32s(0.5);
        let sum = simd.mul_f32s(simd.add_f32s(b, c), half);
        let difference = simd.mul_f32s(simd.sub_f32s(b, c), half);
        [simd.add_f32s(a, sum), difference, simd.add_f32s(sum, d)]
    }
}

/// By the points 0, 1, -1, 1/2, -2 and infinity: four times fewer products. With ±2 in their place the rounding errors
/// double (Barabasz and others, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
/// Networks", 2020).
impl Matrices<4, 6> for Filter<4, 6> {
    #[inline(always)]
    fn inputs<S: Simd>(simd: S, [d0, d1, d2, d3, d4, d5]: [S::f32s; 6]) -> [S::f32s; 6] {
        let by = |factor: f32| simd.splat_f32s(factor);
        let (a, b) = (simd.sub_f32s(d4, d2), simd.sub_f32s(d3, d1));
        let (sum, difference) = (simd.add_f32s(d3, d2), simd.sub_f32s(d3, d2));
        let first = simd.add_f32s(a, simd.sub_f32s(d0, d2));
        let last = simd.sub_f32s(simd.sub_f32s(d5, d3), b);
        [
            simd.mul_add_f32s(b, by(1.5), first),
            simd.mul_add_f32s(sum, by(1.5), simd.add_f32s(a, b)),
            simd.mul_add_f32s(difference, by(1.5), simd.sub_f32s(a, b)),
            simd.mul_add_f32s(b, by(2.0), a),
            simd.mul_add_f32s(b, by(-0.5), a),
            simd.mul_add_f32s(a, by(1.5), last),
        ]
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, [m0, m1, m2, m3, m4, m5]: [S::f32s; 6]) -> [S::f32s; 4] {
        let by = |factor: f32| simd.splat_f32s(factor);
        let (sum, difference) = (simd.add_f32s(m1, m2), simd.sub_f32s(m1, m2));
        let first = simd.add_f32s(simd.add_f32s(m0, m3), m4);
        let second = simd.mul_add_f32s(m3, by(0.5), difference);
        let third = simd.mul_add_f32s(m3, by(0.25), sum);
        let fourth = simd.mul_add_f32s(m3, by(0.125), simd.add_f32s(difference, m5));
        [
            simd.add_f32s(first, sum),
            simd.mul_add_f32s(m4, by(-2.0), second),
            simd.mul_add_f32s(m4, by(4.0), third),
            simd.mul_add_f32s(m4, by(-8.0), fourth),
        ]
    }

    #[inline(always)]
    fn output_gradients<S: Simd>(simd: S, [y0, y1, y2, y3]: [S::f32s; 4]) -> [S::f32s; 6] {
        let by = |factor: f32| simd.splat_f32s(factor);
        let (even, odd) = (simd.add_f32s(y0, y2), simd.add_f32s(y1, y3));
        let even_of_half = simd.mul_add_f32s(y2, by(0.25), y0);
        let odd_of_half = simd.mul_add_f32s(y3, by(0.25), y1);
        let even_of_two = simd.mul_add_f32s(y2, by(4.0), y0);
        let odd_of_two = simd.mul_add_f32s(y3, by(4.0), y1);
        [
            y0,
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.mul_add_f32s(odd_of_half, by(0.5), even_of_half),
            simd.mul_add_f32s(odd_of_two, by(-2.0), even_of_two),
            y3,
        ]
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 6] {
        let by = |factor: f32| simd.splat_f32s(factor);
        let outer = simd.mul_f32s(simd.add_f32s(a, c), by(1.0 / 3.0));
        let middle = simd.mul_f32s(b, by(1.0 / 3.0));
        let half = simd.mul_add_f32s(c, by(0.25), simd.mul_add_f32s(b, by(0.5), a));
        let two = simd.mul_add_f32s(c, by(4.0), simd.mul_add_f32s(b, by(-2.0), a));
        [
            a,
            simd.add_f32s(middle, outer),
            simd.sub_f32s(middle, outer),
            simd.mul_f32s(half, by(-16.0 / 15.0)),
            simd.mul_f32s(two, by(1.0 / 15.0)),
            c,
        ]
    }

    #[inline(always)]
    fn kernel_gradient<S: Simd>(simd: S, [u0, u1, u2, u3, u4, u5]: [S::f32s; 6]) -> [S::f32s; 3] {
        let by = |factor: f32| simd.splat_f32s(factor);
        let sum = simd.mul_f32s(simd.add_f32s(u1, u2), by(1.0 / 3.0));
        let difference = simd.mul_f32s(simd.sub_f32s(u1, u2), by(1.0 / 3.0));
        let half = simd.mul_f32s(u3, by(-16.0 / 15.0));
        let two = simd.mul_f32s(u4, by(1.0 / 15.0));
        let first = simd.add_f32s(u0, difference);
        let last = simd.add_f32s(difference, u5);
        [
            simd.add_f32s(first, simd.add_f32s(half, two)),
            simd.mul_add_f32s(half, by(0.5), simd.mul_add_f32s(two, by(-2.0), sum)),
            simd.mul_add_f32s(half, by(0.25), simd.mul_add_f32s(two, by(4.0), last)),
        ]
    }
}

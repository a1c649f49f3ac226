//! Half-precision numbers as their 16 bits.

/// The value of an IEEE 754 binary16.
///
/// ```
/// assert_eq!(onnx::float::f16_to_f32(0x3c00), 1.0);
/// ```
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits & 0x3ff);
    match (exponent, fraction) {
        // Subnormal: fraction * 2^-24, exact in single precision.
        (0, _) => f32::from_bits((fraction as f32 * 2f32.powi(-24)).to_bits() | sign),
        (0x1f, _) => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        // Biases: 127 - 15 = 112.
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The nearest IEEE 754 binary16, ties to even; what is too large becomes infinite.
///
/// ```
/// assert_eq!(onnx::float::f32_to_f16(65520.0), 0x7c00);
/// ```
pub fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        // Not a number: keep the payload's upper bits, and one set.
        return sign | 0x7e00 | (magnitude >> 13 & 0x1ff) as u16;
    }
    if magnitude >= 0x477f_f000 {
        // 65520 and above round to infinity.
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Below 2^-14: a multiple of 2^-24. Adding 0.5 aligns it and rounds to even: the low bits of
        // the sum's fraction are that multiple.
        let aligned = f32::from_bits(magnitude) + 0.5;
        return sign | (aligned.to_bits() - 0.5_f32.to_bits()) as u16;
    }
    let odd = magnitude >> 13 & 1;
    let rounded = magnitude - (112 << 23) + 0xfff + odd;
    sign | (rounded >> 13) as u16
}

/// The value of a bfloat16: the upper half of a single-precision number.
///
/// ```
/// assert_eq!(onnx::float::bf16_to_f32(0x3f80), 1.0);
/// ```
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_way_to_single_and_back() {
        for bits in 0..=u16::MAX {
            let value = f16_to_f32(bits);
            if value.is_nan() {
                assert!(f16_to_f32(f32_to_f16(value)).is_nan());
            } else {
                assert_eq!(f32_to_f16(value), bits, "{value}");
            }
        }
    }

    #[test]
    fn known_values() {
        let cases = [
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(f16_to_f32(bits), value);
        }
        assert_eq!(bf16_to_f32(0xc040), -3.0);
    }

    #[test]
    fn halves_round_to_even() {
        // 1 + 2^-11 lies between 1 and its neighbour 1 + 2^-10; 1 + 3 * 2^-11 between odd and even.
        assert_eq!(f32_to_f16(1.0 + 2f32.powi(-11)), 0x3c00);
        assert_eq!(f32_to_f16(1.0 + 3.0 * 2f32.powi(-11)), 0x3c02);
        assert_eq!(f32_to_f16(65519.0), 0x7bff);
        assert_eq!(f32_to_f16(2f32.powi(-25)), 0);
        assert_eq!(f32_to_f16(2f32.powi(-25) * 1.1), 1);
        assert_eq!(f32_to_f16(f32::MIN_POSITIVE / 2.0), 0);
    }
}

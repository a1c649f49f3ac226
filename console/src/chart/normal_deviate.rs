//! Quantile of the standard normal distribution: the scale of detection error tradeoffs.

/// The deviate below which a share `p`, in `(0, 1)`, of a standard normal distribution lies, to about seven digits:
/// Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution", PPND7.
pub(super) fn normal_deviate(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(
            r,
            [
                3.387_132_717_9,
                50.434_271_938,
                159.291_132_02,
                59.109_374_720,
            ],
            [1.0, 17.895_169_469, 78.757_757_664, 67.187_563_600],
        );
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let deviate = if r <= 5.0 {
        ratio(
            r - 1.6,
            [
                1.423_437_277_7,
                2.756_815_390_0,
                1.306_728_481_6,
                0.170_238_211_03,
            ],
            [1.0, 0.737_001_642_50, 0.120_211_329_75, 0.0],
        )
    } else {
        ratio(
            r - 5.0,
            [
                6.657_905_115_0,
                3.081_226_386_0,
                0.428_682_943_37,
                0.017_337_203_997,
            ],
            [1.0, 0.241_978_942_25, 0.012_258_202_635, 0.0],
        )
    };
    deviate.copysign(q)
}

/// One polynomial over another, coefficients from the constant on.
fn ratio(r: f64, above: [f64; 4], below: [f64; 4]) -> f64 {
    let polynomial = |coefficients: [f64; 4]| {
        let terms = coefficients.iter().rev();
        terms.fold(0.0, |sum, coefficient| sum * r + coefficient)
    };
    polynomial(above) / polynomial(below)
}

#[cfg(test)]
mod tests {
    use super::normal_deviate;

    #[test]
    fn deviates_are_those_of_tables() {
        // Python's `statistics.NormalDist().inv_cdf`.
        for (p, deviate) in [
            (0.5, 0.0),
            (0.4, -0.253_347_103_135_799_8),
            (0.075, -1.439_531_470_938_456),
            (0.01, -2.326_347_874_040_841),
            (1e-5, -4.264_890_793_922_825),
            (1e-12, -7.034_483_825_301_131),
        ] {
            assert!((normal_deviate(p) - deviate).abs() < 1e-6, "{p}");
            let mirrored = normal_deviate(1.0 - p);
            assert!((mirrored + deviate).abs() < 1e-4, "1 - {p}: {mirrored}");
        }
    }
}

//! Position embedding of a vision transformer, resampled to another grid of patches.

use std::ops::RangeInclusive;

/// Resamples `[side · side, width]` to `[new · new, width]` as timm does, with PyTorch's bicubic filter and its
/// antialiasing (`interpolate(mode="bicubic", antialias=True)`).
pub(super) fn resample(values: &[f32], side: usize, new: usize, width: usize) -> Vec<f32> {
    if side == new {
        return values.to_vec();
    }
    let weights = weights(side, new);
    // Columns first, then rows; each pixel is a row of `width` values.
    let columns = along(values, &weights, (side, width), width);
    along(&columns, &weights, (1, new * width), new * width)
}

/// Resamples one axis: `lines` runs of pixels of `len` values, one after the other. A run's pixels begin at multiples
/// of `len`.
fn along(
    values: &[f32],
    weights: &[(usize, Vec<f64>)],
    (lines, len): (usize, usize),
    stride: usize,
) -> Vec<f32> {
    let old = values.len() / lines / len;
    let mut out = Vec::with_capacity(lines * weights.len() * len);
    for line in 0..lines {
        let begin = line * old * stride;
        for (first, taps) in weights {
            out.extend((0..len).map(|column| {
                let value = |(index, tap): (usize, &f64)| {
                    tap * f64::from(values[begin + (first + index) * stride + column])
                };
                taps.iter().enumerate().map(value).sum::<f64>() as f32
            }));
        }
    }
    out
}

/// For each new pixel the first old one that counts and the share of each from there on.
fn weights(old: usize, new: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = old as f64 / new as f64;
    // The filter widens where the grid shrinks.
    let stretch = scale.max(1.0);
    (0..new)
        .map(|pixel| {
            let center = (pixel as f64 + 0.5) * scale;
            let range = support(center, 2.0 * stretch, old);
            let taps: Vec<f64> = range
                .clone()
                .map(|index| cubic((index as f64 + 0.5 - center) / stretch))
                .collect();
            let sum: f64 = taps.iter().sum();
            (*range.start(), taps.iter().map(|tap| tap / sum).collect())
        })
        .collect()
}

/// The pixels that are nearer to `center` than `radius`, rounded as PyTorch does.
fn support(center: f64, radius: f64, len: usize) -> RangeInclusive<usize> {
    let first = (center - radius + 0.5).max(0.0) as usize;
    let end = ((center + radius + 0.5) as usize).min(len);
    first..=end - 1
}

/// Keys' cubic convolution with a = -0.5, PyTorch's value with antialiasing.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match x {
        _ if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::resample;

    /// `torch.nn.functional.interpolate(x, size=S, mode="bicubic", antialias=True)` of `((7 i + 3) % 11 - 5) / 4` for i = 0 to
    /// 31, as `[1, 2, 4, 4]` in channels last.
    #[test]
    fn grids_are_resampled_as_by_pytorch() {
        let values: Vec<f32> = (0..32)
            .map(|i| ((7 * i + 3) % 11 - 5) as f32 / 4.0)
            .collect();
        assert_eq!(resample(&values, 4, 4, 2), values);
        for (side, expected) in REFERENCE {
            let found = resample(&values, 4, side, 2);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{side}: {found} {expected}"
                );
            }
        }
    }

    const REFERENCE: [(usize, &[f32]); 2] = [
        (
            2,
            &[
                0.1618144, -0.3384673, 0.0910030, 0.4566115, 0.3433509, -0.4566116, -0.5052592,
                0.3384673,
            ],
        ),
        (
            5,
            &[
                -0.5432692, 1.4498599, -0.0247532, -0.2195448, 0.7860577, -0.5651292, 0.4813059,
                0.2531187, -1.0973558, 0.7716347, -0.3704305, -0.565_222, 0.1341227, -0.6352982,
                1.0691195, -0.2612169, 0.8090637, 0.4259573, -0.9329959, 0.9444733, -0.1574519,
                -1.3367637, 0.4590402, -0.6871742, 0.3984375, 0.0000000, -0.2199467, 0.6871743,
                -0.6520433, 1.3367639, 0.0555268, -0.9444732, 0.7839577, -0.4259573, -0.2722446,
                0.261_217, -1.2489572, 0.6352983, -0.3710907, 0.5652221, 0.2283655, -0.7716346,
                0.9428337, -0.2531186, 0.0108173, 0.5651292, -0.9211992, 0.2195447, -0.2067307,
                -1.4498603,
            ],
        ),
    ];
}

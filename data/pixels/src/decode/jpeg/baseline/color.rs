//! YCbCr to RGB (JFIF 1.02), rounded as in libjpeg (`jdcolor.c`).

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;

/// Converts a row. `out` has three bytes for each sample of luma; colors may have more samples.
pub(super) fn to_rgb(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    let values = luma.iter().zip(blue).zip(red);
    for (pixel, ((luma, blue), red)) in out.as_chunks_mut().0.iter_mut().zip(values) {
        *pixel = rgb(*luma, *blue, *red);
    }
}

/// Factors in 16 bits, rounded to the nearest.
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let luma = i32::from(luma);
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let half = 1 << 15;
    [
        (91_881 * red + half) >> 16,
        (-22_554 * blue - 46_802 * red + half) >> 16,
        (116_130 * blue + half) >> 16,
    ]
    .map(|difference| (luma + difference).clamp(0, 255) as u8)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    #[test]
    fn vectors_give_the_same_for_all_colors() {
        if !super::super::has_vectors() {
            return;
        }
        let reds: Vec<u8> = (0..=255).chain(0..7).collect();
        for blue in 0..=255 {
            for luma in [0, 17, 128, 255] {
                let colors = ([luma; 263], [blue; 263]);
                let (mut found, mut expected) = ([0; 3 * 263], [0; 3 * 263]);
                #[expect(unsafe_code, reason = "code for one kind of processor")]
                // SAFETY: the processor was just asked.
                unsafe {
                    super::avx2::to_rgb(&colors.0, &colors.1, &reds, &mut found);
                }
                super::to_rgb(&colors.0, &colors.1, &reds, &mut expected);
                assert_eq!(found, expected, "{luma} {blue}");
            }
        }
    }
}

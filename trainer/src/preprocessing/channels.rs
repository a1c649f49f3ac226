//! A backbone for images of another number of channels: their preprocessing, and how the channels that its first
//! convolution was made for come from theirs.

use data::Preprocess;
use data::preprocess::{Color, Step};
use onnx::ChannelMix;

use crate::error::Result;

/// Of the channels of a backbone for colours, that of red, green and blue; none for other backbones.
fn rgb_indices(color: Color) -> Option<[usize; 3]> {
    match color {
        Color::Rgb => Some([0, 1, 2]),
        Color::Bgr => Some([2, 1, 0]),
        Color::Gray | Color::Rgba => None,
    }
}

/// The steps of a backbone for colours, for grey images or such with alpha; none for other backbones and numbers.
///
/// Grey gets the mean of the three channels' numbers. Alpha is normalised so that opaque becomes 0, as padding, and
/// transparent -2, about what black becomes.
pub(super) fn changed(own: &Preprocess, num_channels: usize) -> Option<Result<Preprocess>> {
    let rgb = rgb_indices(own.color())?;
    let new = match num_channels {
        1 => Color::Gray,
        4 => Color::Rgba,
        _ => return None,
    };
    let numbers = |own: &[f32], alpha: f32| match new {
        Color::Rgba => [rgb.map(|index| own[index]).as_slice(), &[alpha]].concat(),
        _ => vec![mean(own)],
    };
    let mut opaque = 255.0;
    let steps = own.steps().iter().map(|step| match step {
        Step::Decode { exif, .. } => Step::Decode {
            color: new,
            exif: *exif,
        },
        Step::Pad {
            height,
            width,
            fill,
        } => {
            let fill: Vec<f32> = fill.iter().map(|&value| f32::from(value)).collect();
            let fill = numbers(&fill, 255.0).into_iter();
            Step::Pad {
                height: *height,
                width: *width,
                fill: fill.map(|value| value.round() as u8).collect(),
            }
        }
        Step::Scale { factor } => {
            opaque *= factor;
            step.clone()
        }
        Step::Normalize { mean, std } => {
            // 0 where alpha is normalised already.
            let spread = if opaque == 0.0 { 1.0 } else { opaque / 2.0 };
            let steps = Step::Normalize {
                mean: numbers(mean, opaque as f32),
                std: numbers(std, spread as f32),
            };
            opaque = 0.0;
            steps
        }
        _ => step.clone(),
    });
    Some(Preprocess::new(steps.collect()).map_err(Into::into))
}

/// The mean, to six decimals: means and deviations are published with three to eight.
fn mean(numbers: &[f32]) -> f32 {
    let sum: f64 = numbers.iter().map(|&number| f64::from(number)).sum();
    let mean = sum / numbers.len() as f64;
    ((mean * 1e6).round() / 1e6) as f32
}

/// How the channels that a backbone for colours was made for come from those that `new` ends in.
///
/// A grey image gives what its RGB copy gave, and an opaque one what it gave without alpha. The kernel of alpha is the
/// mean of the three others.
pub(super) fn mix(own: &Preprocess, new: &Preprocess) -> ChannelMix {
    let rgb = rgb_indices(own.color()).unwrap_or([0, 1, 2]);
    let num_new = new.color().channels();
    let rows = (0..rgb.len()).map(|channel| {
        let index = if num_new == 1 { 0 } else { rgb[channel] };
        let (slope, offset) = affine(own, channel);
        let (new_slope, new_offset) = affine(new, index);
        let mut weights = vec![0.0; num_new];
        weights[index] = slope / new_slope;
        let mut shift = offset - weights[index] * new_offset;
        if new.color().has_alpha() {
            let (alpha_slope, alpha_offset) = affine(new, 3);
            weights[3] = 1.0 / 3.0;
            shift -= weights[3] * (255.0 * alpha_slope + alpha_offset);
        }
        // What rounding leaves must not add a bias to the convolution.
        (weights, if shift.abs() < 1e-9 { 0.0 } else { shift })
    });
    let (weights, shifts) = rows.unzip();
    ChannelMix { weights, shifts }
}

/// Slope and offset of a channel's value over the byte of its pixel.
fn affine(preprocess: &Preprocess, channel: usize) -> (f64, f64) {
    let (mut slope, mut offset) = (1.0, 0.0);
    for step in preprocess.steps() {
        match step {
            Step::Scale { factor } => {
                slope *= factor;
                offset *= factor;
            }
            Step::Normalize { mean, std } => {
                let (mean, std) = (f64::from(mean[channel]), f64::from(std[channel]));
                slope /= std;
                offset = (offset - mean) / std;
            }
            _ => {}
        }
    }
    (slope, offset)
}

#[cfg(test)]
mod tests {
    use data::{DecodedImage, Preprocess, RgbImage};

    use super::{changed, mix};

    const STEPS: [&str; 4] = [
        "center_crop(2)|scale(1/255)|normalize(imagenet)",
        "decode(bgr, exif)|center_crop(2)|normalize(mean=[104, 117, 123], std=[1, 2, 3])",
        "center_crop(2)|scale(1/127.5)|normalize(mean=1, std=1)",
        "decode(bgr, exif)|center_crop(2)",
    ];

    /// The values that the mix makes of an image prepared for `new` are those of `own`.
    fn check(own: &Preprocess, new: &Preprocess, image: &DecodedImage) {
        let (expected, values) = (own.apply(&image.rgb).unwrap(), new.apply(image).unwrap());
        let mix = mix(own, new);
        for (channel, expected) in expected.chunks(4).enumerate() {
            for (pixel, expected) in expected.iter().enumerate() {
                let weights = mix.weights[channel].iter().enumerate();
                let found =
                    weights.map(|(new, weight)| weight * f64::from(values[new * 4 + pixel]));
                let found = found.sum::<f64>() + mix.shifts[channel];
                let off = (found - f64::from(*expected)).abs();
                assert!(off < 1e-4, "{own} to {new}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn a_grey_image_is_mixed_into_its_rgb_copy_and_an_opaque_one_into_its_colours() {
        for own in STEPS.map(|text| text.parse::<Preprocess>().unwrap()) {
            let grey = RgbImage::from_fn(2, 2, |x, y| [(40 + 90 * x + 7 * y) as u8; 3].into());
            check(&own, &changed(&own, 1).unwrap().unwrap(), &grey.into());
            let colours = RgbImage::from_fn(2, 2, |x, y| [9, 90 * x as u8, 200 * y as u8].into());
            check(&own, &changed(&own, 4).unwrap().unwrap(), &colours.into());
        }
    }

    #[test]
    fn grey_has_the_means_of_the_channels_and_opaque_alpha_is_zero() {
        let own: Preprocess = STEPS[0].parse().unwrap();
        let grey = changed(&own, 1).unwrap().unwrap().to_string();
        assert!(grey.contains("decode(gray, exif)"), "{grey}");
        assert!(
            grey.contains("normalize(mean=[0.449], std=[0.226])"),
            "{grey}"
        );
        let rgba = changed(&own, 4).unwrap().unwrap();
        let same = "decode(rgba, exif)|center_crop(2)|scale(1/255)|normalize(imagenet)";
        assert_eq!(rgba, same.parse().unwrap());
        // No bias is added.
        assert_eq!(mix(&own, &rgba).shifts, [0.0; 3]);
        let padded: Preprocess = "resize_long(2)|pad(2, fill=[1, 2, 9])".parse().unwrap();
        let text = |channels| changed(&padded, channels).unwrap().unwrap().to_string();
        assert!(text(1).contains("fill=[4]"), "{}", text(1));
        assert!(text(4).contains("fill=[1, 2, 9, 255]"), "{}", text(4));
    }

    #[test]
    fn a_backbone_for_other_images_than_colours_stays_as_it_is() {
        let grey: Preprocess = "decode(gray, exif)|center_crop(2)".parse().unwrap();
        assert!(changed(&grey, 4).is_none());
        let own: Preprocess = STEPS[0].parse().unwrap();
        assert!(changed(&own, 2).is_none());
    }
}

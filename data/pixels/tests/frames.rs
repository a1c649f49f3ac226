//! Frames give the tensor of the same pixels in an image, bit for bit, in every format and with every stride.
#![allow(clippy::unwrap_used, reason = "tests")]

use classifold_pixels::preprocess::PreprocessBuffers;
use classifold_pixels::{
    Frame, Kind, Nv12, PixelFormat, Pixels, Preprocess, RgbImage, YuvMatrix, YuvRange, decode,
};
use image::DynamicImage;

/// Shrinks a landscape image most in its width, a portrait most in its height: both orders of the passes.
const STEPS: [&str; 6] = [
    "decode(rgb, exif)|resize_short(40, bilinear, antialias)|center_crop(33, 37)|scale(1/255)|normalize(imagenet)",
    "decode(bgr, exif)|resize(9, 61, bicubic, antialias)|scale(1/255)",
    "decode(gray, exif)|resize(21, 30, lanczos, antialias)|scale(1/255)",
    "decode(rgba, exif)|resize(21, 30, bilinear, antialias)|scale(1/255)",
    "decode(rgb, exif)|resize_long(50, bilinear, antialias)|pad(64, 64, fill=[9, 8, 7])|scale(1/255)",
    "decode(rgb, exif)|center_crop(50)|scale(1/255)",
];
const SIZES: [(u32, u32); 4] = [(97, 61), (61, 197), (50, 50), (33, 1)];

fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    RgbImage::from_fn(width, height, |_, _| [next(), next(), next()].into())
}

/// Rows of `width * bytes` from `pixel`, padded by `padding` bytes that no one may read as pixels.
fn rows(image: &RgbImage, padding: usize, pixel: impl Fn([u8; 3]) -> Vec<u8>) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    for row in image.rows() {
        row.for_each(|p| bytes.extend(pixel(p.0)));
        bytes.extend(vec![0xEE; padding]);
    }
    let stride = bytes.len() / image.height() as usize;
    // The last row need not be padded.
    bytes.truncate(bytes.len() - padding);
    (bytes, stride)
}

#[test]
fn every_format_gives_the_tensor_of_the_image() {
    for steps in STEPS {
        let preprocess: Preprocess = steps.parse().unwrap();
        let mut buffers = PreprocessBuffers::new(&preprocess);
        for (width, height) in SIZES {
            let image = noise(width, height);
            let expected = preprocess.apply(&image).unwrap();
            let mut check =
                |format, padding, pixel: &dyn Fn([u8; 3]) -> Vec<u8>, expected: &[f32]| {
                    let (bytes, row_stride) = rows(&image, padding, pixel);
                    let frame = Pixels {
                        bytes: &bytes,
                        width,
                        height,
                        row_stride,
                        format,
                    };
                    let mut out = vec![f32::NAN; preprocess.output_len()];
                    buffers.apply_frame_into(frame, &mut out).unwrap();
                    assert_eq!(
                        out, expected,
                        "{format:?} {width} x {height} + {padding} {steps}"
                    );
                };
            for padding in [0, 1, 29] {
                check(PixelFormat::Rgb8, padding, &|p| p.to_vec(), &expected);
                let bgr = |[r, g, b]: [u8; 3]| vec![b, g, r];
                check(PixelFormat::Bgr8, padding, &bgr, &expected);
                let opaque = |[r, g, b]: [u8; 3]| vec![b, g, r, 255];
                check(PixelFormat::Bgra8, padding, &opaque, &expected);
            }
            let sheer = |[r, g, b]: [u8; 3]| vec![r, g, b, r ^ b];
            let rgba = image::RgbaImage::from_raw(width, height, rows(&image, 0, sheer).0);
            let rgba = DynamicImage::ImageRgba8(rgba.unwrap());
            let expected = of_dynamic(&preprocess, &rgba);
            check(PixelFormat::Rgba8, 3, &sheer, &expected);
            let gray = DynamicImage::ImageLuma8(
                image::GrayImage::from_raw(width, height, rows(&image, 0, |[r, ..]| vec![r]).0)
                    .unwrap(),
            );
            let expected = of_dynamic(&preprocess, &gray);
            check(PixelFormat::Gray8, 5, &|[r, ..]| vec![r], &expected);
            let values: Vec<u16> = image.pixels().map(|p| u16::from(p[0]) * 3).collect();
            let gray = image::ImageBuffer::from_raw(width, height, values).unwrap();
            let expected = of_dynamic(&preprocess, &DynamicImage::ImageLuma16(gray));
            let wide = |[r, ..]: [u8; 3]| (u16::from(r) * 3).to_ne_bytes().to_vec();
            check(PixelFormat::Gray16, 6, &wide, &expected);
        }
    }
}

/// The tensor of a decoded image of any kind.
fn of_dynamic(preprocess: &Preprocess, image: &DynamicImage) -> Vec<f32> {
    let alpha = decode::alpha(image).filter(|_| preprocess.color().has_alpha());
    let rgb = decode::to_rgb(image).unwrap();
    let image = classifold_pixels::ImageRef {
        rgb: &rgb,
        alpha: alpha.as_ref(),
    };
    preprocess.apply(image).unwrap()
}

#[test]
fn a_video_frame_becomes_the_colours_of_its_recommendation() {
    // Luma, Cb, Cr and the colour, by the matrices of the recommendations.
    let cases = [
        (YuvMatrix::Bt601, YuvRange::Full, [76, 85, 255], [254, 0, 0]),
        (
            YuvMatrix::Bt601,
            YuvRange::Limited,
            [81, 90, 240],
            [254, 0, 0],
        ),
        (
            YuvMatrix::Bt709,
            YuvRange::Limited,
            [63, 102, 240],
            [255, 1, 0],
        ),
        (
            YuvMatrix::Bt709,
            YuvRange::Limited,
            [235, 128, 128],
            [255, 255, 255],
        ),
        (
            YuvMatrix::Bt2020,
            YuvRange::Limited,
            [16, 128, 128],
            [0, 0, 0],
        ),
        (
            YuvMatrix::Bt709,
            YuvRange::Full,
            [128, 128, 128],
            [128, 128, 128],
        ),
    ];
    for (matrix, range, [y, cb, cr], expected) in cases {
        let (width, height) = (5_usize, 3_usize);
        let luma = vec![y; 7 * height];
        let chroma: Vec<u8> = [cb, cr].repeat(8);
        let frame = Frame::from(Nv12 {
            luma: &luma,
            chroma: &chroma,
            width: width as u32,
            height: height as u32,
            luma_stride: 7,
            chroma_stride: 8,
            matrix,
            range,
        });
        for pixel in frame.to_rgb().unwrap().pixels() {
            let differs = pixel
                .0
                .iter()
                .zip(expected)
                .any(|(a, b): (&u8, u8)| a.abs_diff(b) > 1);
            assert!(!differs, "{matrix:?} {range:?} {y} {cb} {cr}: {pixel:?}");
        }
    }
}

#[test]
fn chroma_belongs_to_two_rows_and_two_columns() {
    let luma = [128; 15];
    // Three pairs in each of two rows; the rest of a row is padding.
    let mut chroma = [0; 14];
    for (index, value) in chroma.iter_mut().enumerate() {
        *value = 100 + index as u8;
    }
    let nv12 = Nv12 {
        luma: &luma,
        chroma: &chroma,
        width: 5,
        height: 3,
        luma_stride: 5,
        chroma_stride: 8,
        matrix: YuvMatrix::Bt601,
        range: YuvRange::Full,
    };
    let image = Frame::from(nv12).to_rgb().unwrap();
    let at = |x, y| image.get_pixel(x, y).0;
    assert_eq!([at(0, 0), at(1, 0), at(0, 1)], [at(1, 1); 3]);
    assert_eq!(at(4, 0), at(4, 1));
    assert!(at(1, 0) != at(2, 0) && at(3, 0) != at(4, 0) && at(0, 1) != at(0, 2));
    let preprocess: Preprocess = STEPS[1].parse().unwrap();
    assert_eq!(
        preprocess.apply_frame(nv12).unwrap(),
        preprocess.apply(&image).unwrap()
    );
}

#[test]
fn a_frame_that_does_not_lie_in_its_bytes_is_a_mistake_of_the_caller() {
    let bytes = [0; 100];
    let good = Pixels {
        bytes: &bytes,
        width: 5,
        height: 6,
        row_stride: 17,
        format: PixelFormat::Rgb8,
    };
    let preprocess: Preprocess = STEPS[0].parse().unwrap();
    assert!(preprocess.apply_frame(good).is_ok());
    for bad in [
        Pixels {
            bytes: &bytes[1..],
            ..good
        },
        Pixels {
            row_stride: 14,
            ..good
        },
        Pixels {
            row_stride: usize::MAX,
            ..good
        },
        Pixels { width: 0, ..good },
        Pixels { height: 0, ..good },
        Pixels {
            width: u32::MAX,
            row_stride: usize::MAX,
            ..good
        },
    ] {
        let error = preprocess.apply_frame(bad).unwrap_err();
        assert_eq!(error.kind(), Kind::Argument, "{bad:?}");
        assert!(Frame::from(bad).to_rgb().is_err());
    }
}

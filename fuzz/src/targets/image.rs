//! Images: decoding of every format.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, Rgba};
use pixels::decode::{decode_as, read_header};
use pixels::preprocess::Color;
use pixels::{DecodedImage, Limits};

use crate::Target;

/// Decoding, and the header that is read without it.
pub const DECODE: Target = Target {
    name: "image",
    run,
    seeds,
    words: &[
        "IHDR",
        "PLTE",
        "tRNS",
        "eXIf",
        "IDAT",
        "IEND",
        "Exif\0\0II*\0",
        "VP8X",
        "ALPH",
        "P6 1 1 255 ",
    ],
};

fn run(bytes: &[u8]) {
    // Few pixels, so that a bomb shows in the memory of the process.
    let limits = Limits {
        max_pixels: 1 << 20,
        ..Limits::default()
    };
    let header = read_header(bytes);
    if let Ok(DecodedImage { rgb: image, alpha }) = decode_as(bytes, Color::Rgba, &limits) {
        assert_eq!(
            alpha.map(|alpha| alpha.dimensions()),
            Some(image.dimensions())
        );
        let header = header.expect("an image that decodes has a header");
        assert_eq!(image.dimensions(), (header.width, header.height));
        let is_gray = |pixel: &Rgb<u8>| pixel.0.iter().all(|value| *value == pixel.0[0]);
        assert!(
            !header.gray || image.pixels().all(is_gray),
            "gray in the header only"
        );
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let (width, height) = (17, 11);
    let shade = |x: u32, y: u32| (x * 13 + y * 7) as u8;
    let wide = |x: u32, y: u32| (x * 3001 + y * 797) as u16;
    let gray = image::ImageBuffer::from_fn(width, height, |x, y| Luma([shade(x, y)]));
    let gray_alpha =
        image::ImageBuffer::from_fn(width, height, |x, y| LumaA([shade(x, y), shade(y, x)]));
    let rgb =
        image::ImageBuffer::from_fn(width, height, |x, y| Rgb([shade(x, y), shade(y, x), 90]));
    let rgba = image::ImageBuffer::from_fn(width, height, |x, y| {
        Rgba([shade(x, y), 9, 200, shade(y, x)])
    });
    let gray16 = image::ImageBuffer::from_fn(width, height, |x, y| Luma([wide(x, y)]));
    let rgb16 = image::ImageBuffer::from_fn(width, height, |x, y| Rgb([wide(x, y), wide(y, x), 7]));
    let images = [
        DynamicImage::ImageLuma8(gray),
        DynamicImage::ImageLumaA8(gray_alpha),
        DynamicImage::ImageRgb8(rgb),
        DynamicImage::ImageRgba8(rgba),
        DynamicImage::ImageLuma16(gray16),
        DynamicImage::ImageRgb16(rgb16),
    ];
    let formats = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Pnm,
    ];
    let encode = |image: &DynamicImage, format| {
        let mut file = Cursor::new(Vec::new());
        // A format that lacks a kind of pixels is seen with the other kinds.
        image
            .write_to(&mut file, format)
            .ok()
            .map(|()| file.into_inner())
    };
    images
        .iter()
        .flat_map(|image| {
            formats
                .iter()
                .filter_map(move |format| encode(image, *format))
        })
        .collect()
}

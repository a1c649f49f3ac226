//! File format from the first bytes, with a reason for what is not supported.

use image::ImageFormat;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Jpeg,
    Pnm,
    Png,
    WebP,
    Bmp,
    Tiff,
}

/// Image formats that are not decoded: a reason, and the extensions of their files.
const UNSUPPORTED: [(&str, &[&str]); 6] = [
    (
        "GIF is not supported, as in torchvision: convert it to PNG if it is a photograph",
        &["gif"],
    ),
    (
        "HEIC is not supported: convert it to JPEG, e.g. `heif-convert a.heic a.jpg`",
        &["heic", "heif"],
    ),
    (
        "AVIF is not supported: convert it to PNG, e.g. `avifdec a.avif a.png`",
        &["avif"],
    ),
    (
        "JPEG 2000 is not supported: convert it to PNG, e.g. `opj_decompress -i a.jp2 -o a.png`",
        &["jp2", "j2k", "jpf", "jpx", "j2c"],
    ),
    (
        "JPEG XL is not supported: convert it to PNG, e.g. `djxl a.jxl a.png`",
        &["jxl"],
    ),
    ("TGA is not supported: convert it to PNG", &["tga"]),
];

/// The reason why images with this file name extension (in lower case) are not decoded, if it is known.
///
/// ```
/// let reason = classifold_pixels::decode::unsupported("jxl").unwrap();
/// assert!(reason.starts_with("JPEG XL is not supported"));
/// assert_eq!(classifold_pixels::decode::unsupported("png"), None);
/// ```
#[must_use]
pub fn unsupported(extension: &str) -> Option<&'static str> {
    let found = UNSUPPORTED
        .iter()
        .find(|(_, extensions)| extensions.contains(&extension));
    found.map(|(reason, _)| *reason)
}

/// The format, or the reason of a refusal.
pub(super) fn content(bytes: &[u8]) -> Result<Content, String> {
    let refused = |reason: &str| Err(reason.to_string());
    let known = |extension| refused(unsupported(extension).unwrap_or_default());
    // ISO base media (HEIC, AVIF, MP4): a box length, `ftyp`, then the brand (ISO/IEC 14496-12, 4.3).
    match bytes {
        [] => refused("the file is empty"),
        [0xff, 0xd8, 0xff, ..] => Ok(Content::Jpeg),
        [b'P', b'1'..=b'6', ..] => Ok(Content::Pnm),
        [b'G', b'I', b'F', b'8', ..] => known("gif"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.get(..4) {
            Some(b"avif" | b"avis") => known("avif"),
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => {
                known("heic")
            }
            _ => refused("it is a video or another MP4 container"),
        },
        _ if bytes.starts_with(b"version https://git-lfs") => {
            refused("it is a git-lfs pointer: fetch the file with `git lfs pull`")
        }
        _ if is_markup(bytes) => refused("it is a web page or XML, not an image"),
        // The bare code stream, or boxes.
        [0xff, 0x0a, ..] | [_, _, _, _, b'J', b'X', b'L', b' ', ..] => known("jxl"),
        [0xff, 0x4f, 0xff, 0x51, ..] | [_, _, _, _, b'j', b'P', b' ', b' ', ..] => known("jp2"),
        _ if super::tiff::is_tiff(bytes) => Ok(Content::Tiff),
        _ => match image::guess_format(bytes) {
            Ok(ImageFormat::Png) => Ok(Content::Png),
            Ok(ImageFormat::WebP) => Ok(Content::WebP),
            Ok(ImageFormat::Bmp) => Ok(Content::Bmp),
            Ok(format) => Err(format!("{format:?} is not supported")),
            Err(_) => refused("not a JPEG, PNG, WebP, BMP, TIFF or PNM file"),
        },
    }
}

fn is_markup(bytes: &[u8]) -> bool {
    let head: Vec<u8> = bytes.iter().take(64).map(u8::to_ascii_lowercase).collect();
    let head = head.trim_ascii_start();
    [&b"<!doctype"[..], b"<html", b"<?xml", b"<svg"]
        .iter()
        .any(|start| head.starts_with(start))
}

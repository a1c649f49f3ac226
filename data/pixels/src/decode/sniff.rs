//! File format from the first bytes, with a reason for what is not supported.

use image::ImageFormat;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Jpeg,
    Pnm,
    Other(ImageFormat),
}

/// The format, or the reason of a refusal.
pub(super) fn content(bytes: &[u8]) -> Result<Content, String> {
    let refused = |reason: &str| Err(reason.to_string());
    // ISO base media (HEIC, AVIF, MP4): a box length, `ftyp`, then the brand (ISO/IEC 14496-12, 4.3).
    match bytes {
        [] => refused("the file is empty"),
        [0xff, 0xd8, 0xff, ..] => Ok(Content::Jpeg),
        [b'P', b'1'..=b'6', ..] => Ok(Content::Pnm),
        [b'G', b'I', b'F', b'8', ..] => refused("GIF is not supported: convert it to PNG"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => refused(match brand.get(..4) {
            Some(b"avif" | b"avis") => {
                "AVIF is not supported: convert it to PNG, e.g. with `avifdec`"
            }
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => {
                "HEIC is not supported: convert it to JPEG, e.g. with `heif-convert`"
            }
            _ => "it is a video or another MP4 container",
        }),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            refused("it is a git-lfs pointer: fetch the file with `git lfs pull`")
        }
        _ if is_markup(bytes) => refused("it is a web page or XML, not an image"),
        _ => match image::guess_format(bytes) {
            Ok(
                format @ (ImageFormat::Png
                | ImageFormat::WebP
                | ImageFormat::Bmp
                | ImageFormat::Tiff),
            ) => Ok(Content::Other(format)),
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

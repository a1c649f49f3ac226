//! JPEG header: frame size, components and orientation (ITU T.81, annex B).
//!
//! Own walk: as in PIL, an EXIF block that is split over several APP1 markers is joined.

use crate::decode::exif;
use image::metadata::Orientation;

pub(in crate::decode) struct Header {
    pub(in crate::decode) width: u32,
    pub(in crate::decode) height: u32,
    /// 1 is gray, 4 is CMYK.
    pub(in crate::decode) components: u8,
    pub(in crate::decode) orientation: Orientation,
}

/// Walks the markers (ITU T.81, annex B) up to the first scan.
pub(in crate::decode) fn header(bytes: &[u8]) -> Result<Header, String> {
    let (mut app_exif, mut xmp, mut size) = (None::<Vec<u8>>, None, None);
    let mut rest = &bytes[2..];
    while let Some(start) = rest.iter().position(|&byte| byte == 0xff) {
        rest = &rest[start + 1..];
        let (marker, after) = match rest {
            // 0xff before a marker is a fill byte; 0 marks a data byte of 0xff.
            [0xff | 0, ..] => continue,
            [marker, after @ ..] => (*marker, after),
            [] => break,
        };
        rest = after;
        // Markers without a segment: TEM, RST0 to RST7, SOI.
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        // End of image, start of scan.
        if matches!(marker, 0xd9 | 0xda) {
            break;
        }
        let Some(segment) = segment(after) else { break };
        rest = &after[2 + segment.len()..];
        match marker {
            0xe1 if segment.starts_with(b"Exif\0\0") => match &mut app_exif {
                None => app_exif = Some(segment.to_vec()),
                // A block of more than 64 KiB continues in the next marker.
                Some(chunk) => chunk.extend_from_slice(&segment[6..]),
            },
            0xe1 if segment.starts_with(b"http://ns.adobe.com/xap/1.0/\0") => xmp = Some(segment),
            // Frame headers SOF0 to SOF15; 0xc4 (DHT), 0xc8 (JPG) and 0xcc (DAC) are not.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                if let [_bits, h1, h0, w1, w0, count, ..] = *segment {
                    let [w, h] = [[w1, w0], [h1, h0]].map(u16::from_be_bytes);
                    size = Some((w, h, count));
                }
            }
            _ => {}
        }
    }
    let Some((width, height, components)) = size else {
        return Err("the JPEG file has no frame header (truncated?)".into());
    };
    Ok(Header {
        width: width.into(),
        height: height.into(),
        components,
        orientation: exif::orientation(app_exif.as_deref(), xmp),
    })
}

/// The content of a marker segment, whose first two bytes are its length.
fn segment(bytes: &[u8]) -> Option<&[u8]> {
    let [high, low, ..] = *bytes else { return None };
    bytes.get(2..usize::from(u16::from_be_bytes([high, low])).max(2))
}

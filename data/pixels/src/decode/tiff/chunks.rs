//! Strips and tiles of a TIFF: found, decompressed, put together (TIFF 6.0, sections 3, 9, 11, 13 and 15).

use super::super::ifd::Directory;
use super::super::{Limits, jpeg};
use super::layout::{Compression, Layout, integers};
use super::samples::{add_differences, row_to_bytes};
use std::borrow::Cow;
use std::convert::Infallible;
use std::io::Read;

/// Where the chunks of an image are.
pub(super) struct Chunks<'a> {
    offsets: Vec<u64>,
    /// Bytes of each chunk; none where the tag is missing.
    lengths: Vec<u64>,
    /// Of one chunk, in pixels.
    width: usize,
    height: usize,
    tiled: bool,
    /// Chunks in a row of the image, and in one plane.
    across: usize,
    per_plane: usize,
    /// Quantisation and Huffman tables of all JPEG chunks.
    jpeg_tables: &'a [u8],
}

impl<'a> Chunks<'a> {
    pub(super) fn read(
        directory: &Directory<'a>,
        layout: &Layout,
        limits: &Limits,
    ) -> Result<Self, String> {
        let list = |tag| Ok::<_, String>(integers(directory, tag)?.unwrap_or_default());
        let tiled = directory.contains(322);
        if tiled && directory.contains(273) {
            return Err("the TIFF has both strips and tiles".into());
        }
        let (offsets, lengths) = if tiled { (324, 325) } else { (273, 279) };
        let first = |tag, default| Ok::<_, String>(list(tag)?.first().copied().unwrap_or(default));
        let (width, height) = if tiled {
            (first(322, 0)?, first(323, 0)?)
        } else {
            // Without the tag there is one strip, and some writers give it 2^32 - 1 rows.
            let rows = first(278, u64::MAX)?.min(layout.height.into());
            (layout.width.into(), rows)
        };
        let pixels = width.saturating_mul(height);
        let across = u64::from(layout.width).div_ceil(width.max(1));
        let down = u64::from(layout.height).div_ceil(height.max(1));
        let count = across.saturating_mul(down);
        // Padding of tiles may be more than the image, but not without a bound.
        let bound = limits.max_pixels.saturating_mul(4);
        if pixels == 0 || count.saturating_mul(pixels) > bound {
            return Err(format!(
                "its chunks of {width} x {height} pixels do not fit its size"
            ));
        }
        let chunks = Self {
            offsets: list(offsets)?,
            lengths: list(lengths)?,
            width: width as usize,
            height: height as usize,
            tiled,
            across: across as usize,
            per_plane: count as usize,
            jpeg_tables: directory.bytes(347).unwrap_or_default(),
        };
        let planes = if layout.planar { layout.samples } else { 1 };
        let (found, expected) = (chunks.offsets.len(), chunks.per_plane * planes);
        // Planes behind the colours are not read.
        if found < expected || found > expected && !layout.planar {
            return Err(format!(
                "the TIFF has {found} strips or tiles in place of {expected}"
            ));
        }
        Ok(chunks)
    }

    /// All samples, of 8 bits each, with axes [H, W, samples]; RGB where the JPEG decoder makes it.
    pub(super) fn decode(&self, bytes: &[u8], layout: &Layout) -> Result<Vec<u8>, String> {
        let (image_width, image_height) = (layout.width as usize, layout.height as usize);
        let (planes, per_chunk) = if layout.planar {
            (layout.samples, 1)
        } else {
            (1, layout.samples)
        };
        let mut image = vec![0; image_width * image_height * layout.samples];
        let mut line = Vec::new();
        for plane in 0..planes {
            for index in 0..self.per_plane {
                let left = index % self.across * self.width;
                let top = index / self.across * self.height;
                let shown_width = self.width.min(image_width - left);
                let shown_height = self.height.min(image_height - top);
                // Tiles at the border are stored whole, the last strip is not.
                let whole = self.tiled && layout.compression != Compression::None;
                let rows = if whole { self.height } else { shown_height };
                let data = self.chunk(bytes, plane * self.per_plane + index)?;
                let mut data = self.decompress(data, rows, per_chunk, layout)?;
                let stride = self.row_bytes(per_chunk, layout);
                for (y, row) in data.chunks_exact_mut(stride).take(shown_height).enumerate() {
                    if layout.differences {
                        add_differences(row, per_chunk, layout);
                    }
                    line.clear();
                    row_to_bytes(row, shown_width * per_chunk, layout, &mut line);
                    let start = ((top + y) * image_width + left) * layout.samples;
                    let target = &mut image[start..start + shown_width * layout.samples];
                    if layout.planar {
                        let pixels = target.chunks_exact_mut(layout.samples);
                        pixels
                            .zip(&line)
                            .for_each(|(pixel, value)| pixel[plane] = *value);
                    } else {
                        target.copy_from_slice(&line);
                    }
                }
            }
        }
        Ok(image)
    }

    fn row_bytes(&self, samples: usize, layout: &Layout) -> usize {
        (self.width * samples * layout.bits).div_ceil(8)
    }

    /// The stored bytes of a chunk, or all that follow where its length is not known.
    fn chunk<'b>(&self, bytes: &'b [u8], index: usize) -> Result<&'b [u8], String> {
        let start = usize::try_from(self.offsets[index]).ok();
        let data = start.and_then(|start| bytes.get(start..));
        data.ok_or_else(|| "the file is truncated".into())
            .map(|data| match self.lengths.get(index) {
                Some(&length) => {
                    &data[..data
                        .len()
                        .min(usize::try_from(length).unwrap_or(usize::MAX))]
                }
                None => data,
            })
    }

    /// `rows` rows of a chunk with `samples` samples a pixel, as [`Self::row_bytes`] counts them.
    fn decompress(
        &self,
        data: &[u8],
        rows: usize,
        samples: usize,
        layout: &Layout,
    ) -> Result<Vec<u8>, String> {
        let length = self.row_bytes(samples, layout) * rows;
        // libtiff leaves the bits of JPEG chunks in their order.
        let reversed = layout.reversed_bits && layout.compression != Compression::Jpeg;
        let data: Cow<'_, [u8]> = if reversed {
            data.iter().map(|byte| byte.reverse_bits()).collect()
        } else {
            data.into()
        };
        match layout.compression {
            Compression::None => data.get(..length).map(<[u8]>::to_vec),
            Compression::Lzw => lzw(&data, length)?,
            Compression::PackBits => pack_bits(&data, length),
            Compression::Deflate => {
                let mut out = vec![0; length];
                let mut decoder = flate2::read::ZlibDecoder::new(&*data);
                decoder.read_exact(&mut out).ok().map(|()| out)
            }
            Compression::Group4 => self.group4(&data, rows)?,
            Compression::Jpeg => Some(self.jpeg(&data, rows, samples, layout)?),
        }
        .ok_or_else(|| "the file is truncated or damaged".into())
    }

    fn group4(&self, data: &[u8], rows: usize) -> Result<Option<Vec<u8>>, String> {
        use fax::decoder::{DecodeStatus, Group4Decoder, pels};
        let width = u16::try_from(self.width)
            .map_err(|_| "a TIFF in fax group 4 with more than 65535 columns is not supported")?;
        let input = data.iter().map(|&byte| Ok::<_, Infallible>(byte));
        let Ok(mut decoder) = Group4Decoder::new(input, width);
        let mut out = Vec::with_capacity(rows * self.width.div_ceil(8));
        for _ in 0..rows {
            if !matches!(decoder.advance(), Ok(DecodeStatus::Incomplete)) {
                return Ok(None);
            }
            // Black is 1, whatever the photometric interpretation, as in libtiff.
            let black: Vec<bool> = pels(decoder.transition(), width)
                .map(|colour| colour == fax::Color::Black)
                .collect();
            let byte = |bits: &[bool]| {
                (0..bits.len())
                    .map(|i| u8::from(bits[i]) << (7 - i))
                    .sum::<u8>()
            };
            out.extend(black.chunks(8).map(byte));
        }
        Ok(Some(out))
    }

    fn jpeg(
        &self,
        data: &[u8],
        rows: usize,
        samples: usize,
        layout: &Layout,
    ) -> Result<Vec<u8>, String> {
        if !data.starts_with(b"\xff\xd8") {
            return Err("a strip or tile of the TIFF is no JPEG".into());
        }
        // An abbreviated stream: the tables without their end, then the chunk without its start.
        let tables = self
            .jpeg_tables
            .strip_suffix(b"\xff\xd9")
            .unwrap_or(self.jpeg_tables);
        let stream: Cow<'_, [u8]> = if tables.starts_with(b"\xff\xd8") {
            [tables, &data[2..]].concat().into()
        } else {
            data.into()
        };
        let frame = jpeg::header(&stream)?;
        let (width, height) = (frame.width as usize, frame.height as usize);
        let fits = width == self.width && (rows..=self.height).contains(&height);
        if !fits || usize::from(frame.components) != samples {
            return Err(format!(
                "a JPEG of {width} x {height} x {} in the TIFF does not fit {} x {rows} x {samples}",
                frame.components, self.width
            ));
        }
        jpeg::decode_samples(&stream, layout.is_ycbcr_jpeg())
    }
}

fn lzw(data: &[u8], length: usize) -> Result<Option<Vec<u8>>, String> {
    use weezl::{BitOrder, LzwStatus, decode::Configuration};
    // The first writers put the bits into the bytes the other way round (libtiff's `LZW_COMPAT`).
    if let [0, second, ..] = data
        && second & 1 == 1
    {
        return Err("a TIFF with LZW compression of the old bit order is not supported".into());
    }
    let mut decoder = Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
        .with_yield_on_full_buffer(true)
        .build();
    let (mut rest, mut out, mut filled) = (data, vec![0; length], 0);
    while filled < length {
        let result = decoder.decode_bytes(rest, &mut out[filled..]);
        rest = &rest[result.consumed_in..];
        filled += result.consumed_out;
        match result.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::NoProgress | LzwStatus::Done) | Err(_) => break,
        }
    }
    Ok((filled == length).then_some(out))
}

/// Runs of bytes (TIFF 6.0, section 9).
fn pack_bits(mut data: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        let (&head, rest) = data.split_first()?;
        let count = usize::from(head);
        data = match head {
            0..=127 => {
                out.extend_from_slice(rest.get(..=count)?);
                &rest[count + 1..]
            }
            // Nothing.
            128 => rest,
            129..=255 => {
                let (&value, rest) = rest.split_first()?;
                out.resize(out.len() + 257 - count, value);
                rest
            }
        };
    }
    out.truncate(length);
    Some(out)
}

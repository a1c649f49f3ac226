//! Layout of a TIFF's samples: which forms are decoded, and the name of the others.
//!
//! The forms are those of PIL's table `TiffImagePlugin.OPEN_INFO`.

use super::super::ifd::Directory;

/// Compression of the chunks (TIFF tag 259).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Group4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
}

/// Meaning of the first samples of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Gray,
    Palette,
    Rgb,
    Cmyk,
    YCbCr,
}

/// Everything that tells what the samples mean.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) compression: Compression,
    pub(super) colours: Colours,
    /// Bits of each sample: 1, 2, 4, 8 or 16.
    pub(super) bits: usize,
    /// Samples of a pixel, with alpha and samples that mean nothing.
    pub(super) samples: usize,
    pub(super) big_endian: bool,
    /// Samples are signed (16 bits only).
    pub(super) signed: bool,
    /// 0 is white.
    pub(super) inverted: bool,
    /// The first pixel of a byte is in its lowest bit (fill order 2).
    pub(super) reversed_bits: bool,
    /// Each sample has chunks of its own.
    pub(super) planar: bool,
    /// Each pixel is stored as its difference to the one on its left.
    pub(super) differences: bool,
    pub(super) has_alpha: bool,
    /// Colours are multiplied by alpha.
    pub(super) associated_alpha: bool,
    /// Red, green and blue of each value, 16 bits each.
    pub(super) palette: Vec<f64>,
}

/// Tags with several numbers.
struct Tags {
    photometric: u64,
    format: Vec<u64>,
    fill_order: u64,
    bits: Vec<u64>,
    /// Meaning of the samples behind the colours: 0 none, 1 associated alpha, 2 alpha, 999 Corel Draw's alpha.
    extra: Vec<u64>,
    samples: usize,
}

fn refused(form: &str) -> String {
    format!("a TIFF with {form} is not supported: convert it to PNG")
}

impl Layout {
    pub(super) fn read(directory: &Directory<'_>) -> Result<Self, String> {
        let list = |tag| integers(directory, tag);
        let one = |tag, default| match list(tag)? {
            None => Ok(default),
            Some(values) => values.first().copied().ok_or_else(|| wrong(tag)),
        };
        let side = |tag, name: &str| {
            let value = one(tag, 0)?;
            u32::try_from(value).map_err(|_| format!("its {name} of {value} is too large"))
        };
        let (width, height) = (side(256, "width")?, side(257, "height")?);
        let compression = compression(one(259, 1)?)?;
        let mut planar = one(284, 1)? == 2;
        let mut tags = Tags {
            photometric: one(262, 0)?,
            format: list(339)?.unwrap_or_else(|| vec![1]),
            fill_order: one(266, 1)?,
            bits: list(258)?.unwrap_or_else(|| vec![1]),
            extra: list(338)?.unwrap_or_default(),
            samples: usize::try_from(one(277, 1)?).unwrap_or(usize::MAX),
        };
        let stored = tags.samples;
        tags.settle(planar)?;
        // One plane is no plane, but PIL reads an uncompressed one as if it had 8 bits and were not inverted.
        if tags.samples == 1 && compression != Compression::None {
            planar = planar && stored > 1;
        }
        let (colours, has_alpha) = tags.colours(directory.big_endian)?;
        let bits = tags.bits[0] as usize;
        let layout = Self {
            width,
            height,
            compression,
            colours,
            bits,
            samples: tags.samples,
            big_endian: directory.big_endian,
            signed: bits == 16 && tags.format == [2],
            // PIL does not invert 16 bits.
            inverted: tags.photometric == 0 && bits <= 8,
            reversed_bits: tags.fill_order == 2,
            planar,
            differences: predictor(one(317, 1)?, compression, bits)?,
            has_alpha,
            associated_alpha: has_alpha && tags.extra.first() == Some(&1),
            palette: palette(directory, colours, bits)?,
        };
        layout.check_compression(&one)?;
        layout.check_planes(!tags.extra.is_empty())?;
        Ok(layout)
    }

    /// A JPEG in YCbCr, which the JPEG decoder turns into RGB.
    pub(super) fn is_ycbcr_jpeg(&self) -> bool {
        self.colours == Colours::YCbCr && self.compression == Compression::Jpeg
    }

    fn check_compression(
        &self,
        one: &dyn Fn(u16, u64) -> Result<u64, String>,
    ) -> Result<(), String> {
        let fits = match self.compression {
            // The JPEG decoder has no name for two samples.
            Compression::Jpeg => self.bits == 8 && matches!(self.samples, 1 | 3 | 4),
            Compression::Group4 => self.bits == 1 && self.samples == 1,
            _ => true,
        };
        if !fits {
            let name = format!("{:?}", self.compression);
            return Err(refused(&format!("{name} compression of {}", self.form())));
        }
        if self.colours != Colours::YCbCr || self.compression == Compression::Jpeg {
            return Ok(());
        }
        // Compressed YCbCr goes through libtiff's own conversion in PIL, whose colours are others.
        if self.compression != Compression::None {
            let name = format!("{:?}", self.compression);
            return Err(refused(&format!("YCbCr colours and {name} compression")));
        }
        // The second number of the tag is equal to the first in practice; 2 is the default.
        if one(530, 2)? != 1 {
            return Err(refused("subsampled YCbCr colours that are not compressed"));
        }
        Ok(())
    }

    /// PIL reads these forms with one plane for each sample, and others wrongly.
    fn check_planes(&self, alpha_is_named: bool) -> Result<(), String> {
        let simple = match (self.colours, self.samples, self.has_alpha) {
            (Colours::Gray, 1, _) | (Colours::Rgb, 3, _) | (Colours::Cmyk, 4, _) => true,
            (Colours::Rgb, 4, true) => alpha_is_named && !self.associated_alpha,
            _ => false,
        };
        let plain = self.bits == 8 && !self.inverted && !self.reversed_bits;
        if self.planar && !(simple && plain) {
            return Err(refused(&format!(
                "one plane per sample and {}",
                self.form()
            )));
        }
        Ok(())
    }

    fn form(&self) -> String {
        format!("{} x {} bits", self.samples, self.bits)
    }
}

impl Tags {
    /// Brings the numbers of samples into agreement, as PIL does.
    fn settle(&mut self, planar: bool) -> Result<(), String> {
        if self.format.iter().all(|format| *format == self.format[0]) {
            self.format.truncate(1);
        }
        // Planes that mean nothing need not be read.
        if planar && self.extra.iter().all(|extra| *extra == 0) {
            self.bits
                .truncate(self.bits.len().saturating_sub(self.extra.len()));
            self.samples = self.samples.saturating_sub(self.extra.len());
            self.extra.clear();
        }
        if self.samples == 0 || self.samples > 6 {
            return Err(refused(&format!("{} samples per pixel", self.samples)));
        }
        if self.bits.len() == 1 {
            self.bits = vec![self.bits[0]; self.samples];
        }
        self.bits.truncate(self.samples);
        if self.bits.len() != self.samples || self.bits.iter().any(|bits| *bits != self.bits[0]) {
            return Err(refused("samples of different sizes"));
        }
        Ok(())
    }

    /// The colours, and whether there is alpha; an error for what PIL's table does not have.
    fn colours(&self, big_endian: bool) -> Result<(Colours, bool), String> {
        let bits = self.bits[0];
        match self.format[..] {
            [1] => {}
            [2] if (self.photometric, self.samples) == (1, 1) && matches!(bits, 8 | 16) => {}
            [3] => return Err(refused("floating-point numbers")),
            _ => return Err(refused(&format!("signed samples of {bits} bits"))),
        }
        let reversed = match self.fill_order {
            1 => false,
            2 => true,
            other => return Err(refused(&format!("fill order {other}"))),
        };
        // Of two extra samples and more, only the first may mean something.
        let (first, rest) = match self.extra.split_first() {
            None => (None, &[][..]),
            Some((first, rest)) => (Some(*first), rest),
        };
        let colours = match (self.photometric, bits, self.samples, first) {
            (0, 1 | 2 | 4 | 8, 1, None) | (1, 1 | 2 | 4 | 8, 1, None) => {
                Some((Colours::Gray, false))
            }
            (0, 16, 1, None) if !big_endian && !reversed => Some((Colours::Gray, false)),
            (1, 16, 1, None) if !big_endian || !reversed => Some((Colours::Gray, false)),
            (1, 8, 2, Some(extra @ (0 | 2))) if !reversed => Some((Colours::Gray, extra == 2)),
            (2, 8, 3, None) => Some((Colours::Rgb, false)),
            (2, 16, 3, None) if !reversed => Some((Colours::Rgb, false)),
            (2, 8 | 16, 4, None) if !reversed => Some((Colours::Rgb, true)),
            (2, 8, 4, Some(999)) if !reversed => Some((Colours::Rgb, true)),
            (2, 8, 4..=6, Some(extra @ 0..=2)) | (2, 16, 4, Some(extra @ 0..=2)) if !reversed => {
                Some((Colours::Rgb, extra > 0))
            }
            (3, 1 | 2 | 4 | 8, 1, None) => Some((Colours::Palette, false)),
            (3, 8, 2, Some(extra @ (0 | 2))) if !reversed => Some((Colours::Palette, extra == 2)),
            (5, 8, 4, None) | (5, 8, 5 | 6, Some(0)) | (5, 16, 4, None) if !reversed => {
                Some((Colours::Cmyk, false))
            }
            (6, 8, 3, None) if !reversed => Some((Colours::YCbCr, false)),
            _ => None,
        };
        // Without the tag a fourth sample is alpha.
        let without_tag = colours.is_some_and(|(_, alpha)| alpha) && first.is_none();
        let expected = match colours {
            Some((Colours::Gray | Colours::Palette, _)) => 1,
            Some((Colours::Cmyk, _)) => 4,
            _ => 3,
        };
        let complete = expected + self.extra.len() + usize::from(without_tag) == self.samples;
        colours
            .filter(|_| complete && rest.iter().all(|extra| *extra == 0))
            .ok_or_else(|| refused(&self.name()))
    }

    /// The form as a person would name it.
    fn name(&self) -> String {
        let photometric = match self.photometric {
            0 | 1 => "gray".into(),
            2 => "RGB".into(),
            3 => "palette".into(),
            5 => "CMYK".into(),
            6 => "YCbCr".into(),
            8..=10 => "Lab".into(),
            other => format!("photometric interpretation {other}"),
        };
        let alpha = match self.extra.first() {
            Some(1) => ", associated alpha",
            Some(_) => ", extra samples",
            None => "",
        };
        let order = if self.fill_order == 2 {
            ", fill order 2"
        } else {
            ""
        };
        format!(
            "{photometric} pixels of {} x {} bits{alpha}{order}",
            self.samples, self.bits[0]
        )
    }
}

fn wrong(tag: u16) -> String {
    format!("tag {tag} of the TIFF is no whole number")
}

/// The whole numbers of a tag, where it is there.
pub(super) fn integers(directory: &Directory<'_>, tag: u16) -> Result<Option<Vec<u64>>, String> {
    if !directory.contains(tag) {
        return Ok(None);
    }
    let numbers = directory.numbers(tag).ok_or_else(|| wrong(tag))?;
    let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0).then_some(number as u64);
    let integers: Option<Vec<u64>> = numbers.into_iter().map(whole).collect();
    integers.map(Some).ok_or_else(|| wrong(tag))
}

fn compression(number: u64) -> Result<Compression, String> {
    let name = match number {
        1 => return Ok(Compression::None),
        4 => return Ok(Compression::Group4),
        5 => return Ok(Compression::Lzw),
        7 => return Ok(Compression::Jpeg),
        8 | 32_946 => return Ok(Compression::Deflate),
        32_773 => return Ok(Compression::PackBits),
        2 | 3 => "fax group 3",
        6 => "old-style JPEG",
        34_712 => "JPEG 2000",
        34_925 => "LZMA",
        50_000 => "Zstandard",
        50_001 => "WebP",
        other => return Err(refused(&format!("compression {other}"))),
    };
    Err(refused(&format!("{name} compression")))
}

/// Whether differences are stored (TIFF 6.0, section 14). libtiff ignores the tag where it has no meaning.
fn predictor(number: u64, compression: Compression, bits: usize) -> Result<bool, String> {
    match (compression, number) {
        (Compression::Lzw | Compression::Deflate, 2) if matches!(bits, 8 | 16) => Ok(true),
        (Compression::Lzw | Compression::Deflate, 1) => Ok(false),
        (Compression::Lzw | Compression::Deflate, other) => Err(refused(&format!(
            "predictor {other} and samples of {bits} bits"
        ))),
        _ => Ok(false),
    }
}

fn palette(directory: &Directory<'_>, colours: Colours, bits: usize) -> Result<Vec<f64>, String> {
    if colours != Colours::Palette {
        return Ok(Vec::new());
    }
    let palette = directory.numbers(320).unwrap_or_default();
    if palette.len() != 3 << bits {
        return Err("the palette of the TIFF has the wrong size".into());
    }
    Ok(palette)
}

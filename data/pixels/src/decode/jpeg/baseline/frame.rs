//! The headers of a file up to its scan (ITU T.81, annex B).

use super::huffman::{Kind, Table};
use super::idct::Block;
use super::zigzag::ZIGZAG;

/// Bytes of a file from which on joined codes save more time than joining takes.
const MIN_BYTES_TO_JOIN: usize = 1 << 14;

/// Pixels of a side, as in libjpeg.
const MAX_SIDE: usize = 65_500;

/// What decoding needs of the headers.
pub(super) struct Frame<'a> {
    /// In pixels.
    pub(super) width: usize,
    pub(super) height: usize,
    /// One of gray, or three of YCbCr.
    pub(super) components: Vec<Component>,
    /// By their number in the file.
    pub(super) dc_tables: [Option<Table>; 4],
    pub(super) ac_tables: [Option<Table>; 4],
    /// MCUs between two restart markers.
    pub(super) restart_interval: Option<usize>,
    /// The file behind the headers.
    pub(super) data: &'a [u8],
}

pub(super) struct Component {
    id: u8,
    /// Blocks in an MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Numbers of its tables.
    quantization_table: usize,
    pub(super) dc_table: usize,
    pub(super) ac_table: usize,
    /// Factors of the coefficients, row by row.
    pub(super) quantization: Block,
}

impl<'a> Frame<'a> {
    /// Reads up to the first scan. `None` if it is not the whole of a baseline image of gray or YCbCr.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut segments = Segments::default();
        let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
        loop {
            let [0xff, marker, high, low, ..] = *rest else {
                return None;
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let content = rest.get(4..2 + length)?;
            rest = &rest[2 + length..];
            if marker == 0xda {
                return segments.frame(content, rest);
            }
            segments.add(marker, content)?;
        }
    }

    /// The most blocks that a component has in an MCU, across and down.
    pub(super) fn max_sampling(&self) -> (usize, usize) {
        let max = |side: fn(&Component) -> usize| self.components.iter().map(side).max();
        (max(|c| c.across).unwrap_or(1), max(|c| c.down).unwrap_or(1))
    }

    /// MCUs of the image, across and down.
    pub(super) fn num_mcus(&self) -> (usize, usize) {
        let (across, down) = self.max_sampling();
        let (width, height) = (8 * across, 8 * down);
        (self.width.div_ceil(width), self.height.div_ceil(height))
    }

    /// Rows of pixels that need no MCU behind a row of them.
    pub(super) fn num_rows_ready(&self, mcu_row: usize) -> usize {
        let (_, down) = self.max_sampling();
        let num_rows = 8 * down * (mcu_row + 1);
        if num_rows >= self.height {
            return self.height;
        }
        // Colors of half the height need the row below.
        num_rows - (down - 1)
    }
}

/// Segments in front of the scan.
#[derive(Default)]
struct Segments<'a> {
    quantization_tables: [Option<Block>; 4],
    /// Counts and symbols.
    dc_tables: [Option<&'a [u8]>; 4],
    ac_tables: [Option<&'a [u8]>; 4],
    restart_interval: Option<usize>,
    frame: Option<&'a [u8]>,
    has_jfif: bool,
    /// The color transform that Adobe's segment names.
    adobe_transform: Option<u8>,
}

impl<'a> Segments<'a> {
    /// `None` if another decoder must read the file.
    fn add(&mut self, marker: u8, content: &'a [u8]) -> Option<()> {
        match marker {
            // Baseline, and extended sequential: more tables.
            0xc0 | 0xc1 if self.frame.is_none() => self.frame = Some(content),
            0xc4 => self.add_huffman_tables(content)?,
            0xdb => self.add_quantization_tables(content)?,
            0xdd => {
                let interval = u16::from_be_bytes(content.try_into().ok()?);
                self.restart_interval = (interval > 0).then_some(interval.into());
            }
            // The lengths from which on libjpeg reads them.
            0xe0 => self.has_jfif |= content.len() >= 14 && content.starts_with(b"JFIF\0"),
            0xee if content.len() >= 12 && content.starts_with(b"Adobe") => {
                self.adobe_transform = Some(content[11]);
            }
            // Segments of other applications, comments.
            0xe1..=0xef | 0xfe => {}
            _ => return None,
        }
        Some(())
    }

    fn add_quantization_tables(&mut self, mut content: &[u8]) -> Option<()> {
        // The upper half of the number is 0 for factors of 8 bits.
        while let [number, rest @ ..] = content {
            let table = self.quantization_tables.get_mut(usize::from(*number))?;
            let (factors, rest) = rest.split_first_chunk::<64>()?;
            let mut block = Block::ZERO;
            for (factor, index) in factors.iter().zip(ZIGZAG) {
                block.0[usize::from(index)] = (*factor).into();
            }
            *table = Some(block);
            content = rest;
        }
        Some(())
    }

    fn add_huffman_tables(&mut self, mut content: &'a [u8]) -> Option<()> {
        while let [number, rest @ ..] = content {
            let counts = rest.first_chunk::<16>()?;
            let num_symbols: usize = counts.iter().map(|count| usize::from(*count)).sum();
            if num_symbols > 256 {
                return None;
            }
            let (table, rest) = rest.split_at_checked(16 + num_symbols)?;
            let tables = match number >> 4 {
                0 => &mut self.dc_tables,
                1 => &mut self.ac_tables,
                _ => return None,
            };
            *tables.get_mut(usize::from(number & 15))? = Some(table);
            content = rest;
        }
        Some(())
    }

    /// The frame, given the header of the scan and the file behind it.
    fn frame(self, scan_header: &[u8], data: &'a [u8]) -> Option<Frame<'a>> {
        let [8, h1, h0, w1, w0, count, specs @ ..] = self.frame? else {
            return None;
        };
        let [height, width] = [[*h1, *h0], [*w1, *w0]].map(|side| u16::from_be_bytes(side).into());
        let mut components = components(specs)?;
        let is_side = |side: usize| (1..=MAX_SIDE).contains(&side);
        if !is_side(width) || !is_side(height) || components.len() != usize::from(*count) {
            return None;
        }
        self.check_colors(&components)?;
        // All 64 coefficients with all their bits.
        let selectors = scan_header.strip_suffix(&[0, 63, 0])?;
        let selectors = selectors.strip_prefix(&[*count])?;
        if selectors.len() != 2 * components.len() {
            return None;
        }
        let (mut dc_tables, mut ac_tables) = ([const { None }; 4], [const { None }; 4]);
        for (component, [id, tables]) in components.iter_mut().zip(selectors.as_chunks().0) {
            if component.id != *id {
                return None;
            }
            let quantization = self.quantization_tables.get(component.quantization_table)?;
            component.quantization = quantization.clone()?;
            component.dc_table = usize::from(tables >> 4);
            component.ac_table = usize::from(tables & 15);
            build(
                &mut dc_tables,
                &self.dc_tables,
                component.dc_table,
                Kind::Dc,
            )?;
            build(
                &mut ac_tables,
                &self.ac_tables,
                component.ac_table,
                Kind::Ac,
            )?;
        }
        if data.len() >= MIN_BYTES_TO_JOIN {
            ac_tables.iter_mut().flatten().for_each(Table::join);
        }
        Some(Frame {
            width,
            height,
            components,
            dc_tables,
            ac_tables,
            restart_interval: self.restart_interval,
            data,
        })
    }

    /// Gray, or by libjpeg's rules YCbCr, with colors of full or half the size.
    fn check_colors(&self, components: &[Component]) -> Option<()> {
        let [y, cb, cr] = components else {
            return (components.len() == 1).then_some(());
        };
        let is_ycbcr = match self.adobe_transform {
            _ if self.has_jfif => true,
            Some(transform) => transform == 1,
            None => [y.id, cb.id, cr.id] != *b"RGB",
        };
        let is_distinct = y.id != cb.id && cb.id != cr.id && cr.id != y.id;
        let is_half_or_full = [y.across, y.down]
            .iter()
            .all(|blocks| [1, 2].contains(blocks))
            && [cb, cr].iter().all(|c| [c.across, c.down] == [1, 1]);
        (is_ycbcr && is_distinct && is_half_or_full).then_some(())
    }
}

/// From the header of the frame: an identifier, the sampling and a quantization table for each.
fn components(specs: &[u8]) -> Option<Vec<Component>> {
    let (specs, []) = specs.as_chunks() else {
        return None;
    };
    let new = |[id, sampling, quantization_table]: &[u8; 3]| Component {
        id: *id,
        across: usize::from(sampling >> 4),
        down: usize::from(sampling & 15),
        quantization_table: usize::from(*quantization_table),
        dc_table: 0,
        ac_table: 0,
        quantization: Block::ZERO,
    };
    let mut components: Vec<_> = specs.iter().map(new).collect();
    let is_sampling = |blocks| (1..=4).contains(&blocks);
    if !components
        .iter()
        .all(|c| is_sampling(c.across) && is_sampling(c.down))
    {
        return None;
    }
    if let [only] = &mut *components {
        // The MCU of a single component is a block, whatever its sampling (T.81, A.2.2).
        (only.across, only.down) = (1, 1);
    }
    Some(components)
}

/// Builds the table of a number from its segment, unless it was built for another component.
fn build(
    tables: &mut [Option<Table>; 4],
    segments: &[Option<&[u8]>; 4],
    number: usize,
    kind: Kind,
) -> Option<()> {
    let segment = (*segments.get(number)?)?;
    if tables[number].is_none() {
        tables[number] = Some(Table::new(segment, kind)?);
    }
    Some(())
}

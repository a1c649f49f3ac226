//! The coefficients of a scan (ITU T.81, annex F).

use super::frame::Frame;
use super::huffman::{BitReader, Codes, END_OF_BLOCK, PADDING, Table};
use super::idct::Block;
use super::zigzag::ZIGZAG;
use memchr::memchr;

/// The data from the header of a scan to the end of the image, without all that is no code.
pub(super) struct EntropyCoded {
    /// With [`PADDING`].
    bytes: Vec<u8>,
    /// Where the parts end that begin with a restart.
    ends: Vec<usize>,
}

impl EntropyCoded {
    /// Leaves out the zero behind each byte of 0xff, and restart markers. `None` if another marker is there, or no end.
    pub(super) fn new(mut rest: &[u8]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(rest.len() + PADDING);
        let mut ends = vec![];
        loop {
            let index = memchr(0xff, rest)?;
            bytes.extend_from_slice(&rest[..index]);
            match usize::from(*rest.get(index + 1)?) {
                0 => bytes.push(0xff),
                0xd9 => break,
                marker if marker == 0xd0 + ends.len() % 8 => ends.push(bytes.len()),
                _ => return None,
            }
            rest = &rest[index + 2..];
        }
        ends.push(bytes.len());
        bytes.extend([0; PADDING]);
        Some(Self { bytes, ends })
    }
}

/// Reads the MCUs of a scan, one after the other.
pub(super) struct Scan<'a> {
    pub(super) frame: &'a Frame<'a>,
    /// The blocks of an MCU in their order.
    pub(super) slots: Vec<Slot<'a>>,
    reader: BitReader<'a>,
    /// Ends of the parts, from the one that is read on.
    ends: std::slice::Iter<'a, usize>,
    mcus_to_restart: usize,
    /// The last DC coefficient of each component.
    last_dc: [i16; 3],
}

/// A block of each MCU.
pub(super) struct Slot<'a> {
    pub(super) component: usize,
    /// Among the blocks of its component.
    pub(super) column: usize,
    pub(super) row: usize,
    dc_table: &'a Table,
    ac_table: &'a Table,
}

impl<'a> Scan<'a> {
    pub(super) fn new(frame: &'a Frame<'a>, data: &'a EntropyCoded) -> Option<Self> {
        let mut slots = vec![];
        for (number, component) in frame.components.iter().enumerate() {
            for row in 0..component.down {
                for column in 0..component.across {
                    slots.push(Slot {
                        component: number,
                        column,
                        row,
                        dc_table: frame.dc_tables[component.dc_table].as_ref()?,
                        ac_table: frame.ac_tables[component.ac_table].as_ref()?,
                    });
                }
            }
        }
        Some(Self {
            frame,
            slots,
            reader: BitReader::new(&data.bytes),
            ends: data.ends.iter(),
            mcus_to_restart: frame.restart_interval.unwrap_or(usize::MAX),
            last_dc: [0; 3],
        })
    }

    /// Reads the next MCU into blocks of zeros. `None` if the data is damaged.
    #[inline(always)]
    pub(super) fn read_mcu(&mut self, blocks: &mut [Block]) -> Option<()> {
        if self.mcus_to_restart == 0 {
            self.restart()?;
        }
        self.mcus_to_restart -= 1;
        // A copy, which stays in registers.
        let mut reader = self.reader;
        for (slot, block) in self.slots.iter().zip(blocks) {
            read_block(&mut reader, slot, &mut self.last_dc[slot.component], block)?;
        }
        self.reader = reader;
        Some(())
    }

    #[cold]
    fn restart(&mut self) -> Option<()> {
        let end = self.end_part()?;
        self.reader = self.reader.at(8 * end)?;
        self.mcus_to_restart = self.frame.restart_interval?;
        self.last_dc = [0; 3];
        Some(())
    }

    /// `None` if the data ended before its last MCU.
    pub(super) fn finish(mut self) -> Option<()> {
        self.end_part().map(drop)
    }

    /// Where the part ends; `None` if codes were read beyond it.
    fn end_part(&mut self) -> Option<usize> {
        let end = *self.ends.next()?;
        (self.reader.num_read() <= end * 8).then_some(end)
    }
}

/// Reads the coefficients of a block of zeros.
#[inline(always)]
fn read_block(
    reader: &mut BitReader<'_>,
    slot: &Slot<'_>,
    last_dc: &mut i16,
    block: &mut Block,
) -> Option<()> {
    reader.refill()?;
    let (_, [difference, _]) = reader.read(slot.dc_table)?;
    *last_dc = last_dc.wrapping_add(difference);
    block.0[0] = *last_dc;
    let mut last = 0;
    if read_coefficients(reader, slot.ac_table, &mut last, block)? {
        return Some(());
    }
    loop {
        reader.refill()?;
        if read_coefficients(reader, slot.ac_table, &mut last, block)?
            || read_coefficients(reader, slot.ac_table, &mut last, block)?
        {
            return Some(());
        }
    }
}

/// Reads one or two coefficients behind the last one. Says whether the block has ended.
#[inline(always)]
fn read_coefficients(
    reader: &mut BitReader<'_>,
    table: &Table,
    last: &mut usize,
    block: &mut Block,
) -> Option<bool> {
    let (codes, values) = reader.read(table)?;
    let [first, second] = codes.steps().map(|step| *last + step);
    // Without a second value both have one index, and the first must win.
    block.0[usize::from(ZIGZAG[second % ZIGZAG.len()])] = values[1];
    block.0[usize::from(ZIGZAG[first % ZIGZAG.len()])] = values[0];
    *last = second;
    if second < 63 {
        return Some(false);
    }
    if second >= END_OF_BLOCK && !(63..END_OF_BLOCK).contains(&first) {
        return Some(true);
    }
    end_full_block(reader, codes, [first, second])
}

/// The end of a block by its last coefficient. `None` if values follow that.
#[cold]
fn end_full_block(
    reader: &mut BitReader<'_>,
    codes: Codes,
    [first, second]: [usize; 2],
) -> Option<bool> {
    if first == 63 && second > first {
        // The second code is the next block's.
        *reader = reader.at(reader.num_read() - codes.second_length())?;
        return Some(true);
    }
    (second == 63).then_some(true)
}

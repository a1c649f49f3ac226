//! Huffman codes, and the bits that they are read from (ITU T.81, annexes C and F).

/// Bits of a lookup. Nearly all codes are shorter.
const LOOKUP_BITS: u32 = 10;

/// Zeros behind the data, so that a whole word can be read at its end.
pub(super) const PADDING: usize = 16;

/// The step to the end of a block: more than a block has coefficients.
pub(super) const END_OF_BLOCK: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dc,
    Ac,
}

/// The codes of one kind of coefficients.
pub(super) struct Table {
    kind: Kind,
    /// By the next bits.
    lookup: Box<[Codes; 1 << LOOKUP_BITS]>,
    /// All codes, for those that a lookup does not tell.
    by_length: Vec<CodesOfLength>,
}

struct CodesOfLength {
    length: u32,
    first: u32,
    /// Behind the last one, as 16 bits.
    end: u32,
    symbols: Vec<u8>,
}

/// A code, or two in a row, and their values.
///
/// Eight bytes, and no case that a loop must branch on: a mispredicted branch takes as long as some lookups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Codes {
    /// Bits of all codes and values. 0 if the lookup does not tell them.
    length: u8,
    /// How far a word is shifted to the right to end with the first value.
    shift: u8,
    /// From the last coefficient to the first value, and to the second: the same if there is none.
    steps: [u8; 2],
    /// Bits at the end of the shifted word that are added to the first value: its own, if the lookup has not all of them.
    num_missing: u8,
    second: i8,
    first: i16,
}

impl Codes {
    const UNKNOWN: Self = Self {
        length: 0,
        shift: 0,
        steps: [0; 2],
        num_missing: 0,
        second: 0,
        first: 0,
    };

    /// Whether a lookup that begins with this code can tell the next one.
    fn can_be_joined(self) -> bool {
        self != Self::UNKNOWN
            && self.num_missing == 0
            && usize::from(self.steps[0]) < END_OF_BLOCK
            && u32::from(self.length) < LOOKUP_BITS
    }

    /// `None` if the lookup has not all bits of the next code and its value.
    fn followed_by(self, next: Self) -> Option<Self> {
        let length = self.length + next.length;
        let is_told = next != Self::UNKNOWN && next.num_missing == 0;
        (is_told && u32::from(length) <= LOOKUP_BITS).then(|| Self {
            length,
            steps: [self.steps[0], self.steps[0] + next.steps[0]],
            // At most seven bits are left for it: only the same code could have one bit twice.
            second: next.first as i8,
            ..self
        })
    }

    pub(super) fn steps(self) -> [usize; 2] {
        self.steps.map(usize::from)
    }

    /// Bits of the second code and its value.
    pub(super) fn second_length(self) -> usize {
        usize::from(self.length + self.shift - 64)
    }
}

/// The meaning of a code.
struct Symbol {
    /// From the last coefficient to the value.
    step: u8,
    /// Bits of the value.
    size: u32,
}

impl Symbol {
    /// `None` for a symbol that files of 8 bits do not have.
    fn new(symbol: u8, kind: Kind) -> Option<Self> {
        let (run, size) = (symbol >> 4, symbol & 15);
        let (is_valid, step) = match kind {
            Kind::Dc => (run == 0 && size <= 11, 0),
            Kind::Ac if size == 0 && run < 15 => (true, END_OF_BLOCK as u8),
            Kind::Ac => (size <= 10, run + 1),
        };
        is_valid.then_some(Self {
            step,
            size: size.into(),
        })
    }

    /// With the first `num_bits` bits of the value: at least one, if it has any.
    fn codes(&self, code_length: u32, bits: u32, num_bits: u32) -> Codes {
        let is_whole = num_bits == self.size;
        // A value whose highest bit is 0 is negative (T.81, F.2.2.1).
        let is_negative = self.size > 0 && bits >> (num_bits - 1) == 0;
        let offset = if is_negative { (1 << self.size) - 1 } else { 0 };
        let length = (code_length + self.size) as u8;
        Codes {
            length,
            shift: 64 - length,
            steps: [self.step; 2],
            num_missing: if is_whole { 0 } else { self.size as u8 },
            second: 0,
            first: (if is_whole { bits as i16 } else { 0 }) - offset,
        }
    }
}

impl Table {
    /// From how many codes have each length of 1 to 16 bits, and then their symbols. `None` if these are no codes
    /// of a baseline file.
    pub(super) fn new(segment: &[u8], kind: Kind) -> Option<Self> {
        let (counts, mut symbols) = segment.split_at_checked(16)?;
        let mut table = Self {
            kind,
            lookup: Box::new([Codes::UNKNOWN; 1 << LOOKUP_BITS]),
            by_length: vec![],
        };
        let mut first = 0_u32;
        for (length, count) in (1..).zip(counts) {
            let (of_length, rest) = symbols.split_at_checked(usize::from(*count))?;
            symbols = rest;
            let end = first + u32::from(*count);
            if end > 1 << length {
                return None;
            }
            for (code, symbol) in (first..).zip(of_length) {
                table.add_to_lookup(code, length, &Symbol::new(*symbol, kind)?);
            }
            table.by_length.push(CodesOfLength {
                length,
                first,
                end: end << (16 - length),
                symbols: of_length.to_vec(),
            });
            first = end << 1;
        }
        Some(table)
    }

    /// Adds a code that a lookup tells with the sign of its value.
    fn add_to_lookup(&mut self, code: u32, length: u32, symbol: &Symbol) {
        let Some(num_behind) = LOOKUP_BITS.checked_sub(length) else {
            return;
        };
        let num_bits = num_behind.min(symbol.size);
        if num_bits == 0 && symbol.size > 0 {
            return;
        }
        let from_code = &mut self.lookup[(code << num_behind) as usize..];
        let parts = from_code.chunks_exact_mut(1 << (num_behind - num_bits));
        for (bits, part) in (0..1 << num_bits).zip(parts) {
            part.fill(symbol.codes(length, bits, num_bits));
        }
    }

    /// Lets a lookup tell two codes wherever it has the bits of both. This takes microseconds.
    pub(super) fn join(&mut self) {
        let single = self.lookup.clone();
        for (index, codes) in self.lookup.iter_mut().enumerate() {
            if codes.can_be_joined() {
                let next = single[(index << codes.length) % single.len()];
                *codes = codes.followed_by(next).unwrap_or(*codes);
            }
        }
    }

    /// The code at the start of a word, by its length. [`Codes::UNKNOWN`] if there is none.
    #[cold]
    fn find(&self, word: u64) -> Codes {
        let next = (word >> 48) as u32;
        let found = self.by_length.iter().find(|codes| next < codes.end);
        let codes = found.and_then(|codes| {
            let index = (next >> (16 - codes.length)).checked_sub(codes.first)?;
            let symbol = Symbol::new(*codes.symbols.get(index as usize)?, self.kind)?;
            let end = codes.length + symbol.size;
            let bits = word.rotate_left(end) & ((1 << symbol.size) - 1);
            Some(symbol.codes(codes.length, bits as u32, symbol.size))
        });
        codes.unwrap_or(Codes::UNKNOWN)
    }
}

/// Reads entropy-coded data from its highest bit on.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    /// With [`PADDING`].
    bytes: &'a [u8],
    position: usize,
    /// The next bits, from the highest on: `count` of them. Those below may be the following ones, or zeros.
    word: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            word: 0,
            count: 0,
        }
    }

    /// Bits from the start of the data to the next one.
    pub(super) fn num_read(&self) -> usize {
        self.position * 8 - self.count as usize
    }

    /// A reader of the same data from a bit on.
    #[cold]
    pub(super) fn at(self, bit: usize) -> Option<Self> {
        let mut reader = Self::new(self.bytes);
        reader.position = bit / 8;
        reader.refill()?;
        reader.word <<= bit % 8;
        reader.count -= (bit % 8) as u32;
        Some(reader)
    }

    /// Makes at least 56 bits ready. A DC code takes at most 27 with its value, an AC code 26. `None` behind the data.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> Option<()> {
        let next = self.bytes.get(self.position..)?.first_chunk()?;
        self.word |= u64::from_be_bytes(*next) >> self.count;
        self.position += (63 - self.count as usize) / 8;
        self.count |= 56;
        Some(())
    }

    /// The next code, or two of a joined table, and their values. `None` if there is no such code.
    #[inline(always)]
    pub(super) fn read(&mut self, table: &Table) -> Option<(Codes, [i16; 2])> {
        let mut codes = table.lookup[(self.word >> (64 - LOOKUP_BITS)) as usize];
        if codes.length == 0 {
            codes = table.find(self.word);
            if codes.length == 0 {
                return None;
            }
        }
        // The masks change nothing: they spare checks of the shifts.
        let mask = (1 << (codes.num_missing & 15)) - 1;
        let missing = (self.word >> (codes.shift & 63)) as i16 & mask;
        self.word <<= codes.length & 63;
        self.count -= u32::from(codes.length);
        Some((codes, [codes.first + missing, codes.second.into()]))
    }
}

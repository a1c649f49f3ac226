//! AMX's instructions for processors without them, so that every machine runs the path that uses them: the processor
//! stops at an instruction it does not know (SIGILL), and the handler computes what it stands for (Intel's Software
//! Developer's Manual, volume 2). Far too slow for anything but tests.
#![expect(
    unsafe_code,
    reason = "a signal handler reads and writes another function's registers and memory"
)]

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::cell::RefCell;
use std::sync::Once;
use std::{mem, ptr};

/// Lets every thread of this process use AMX.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = handle;
        // SAFETY: `sigaction` is a C structure of numbers, and zeros are a valid one. The handler lives as long as the
        // process.
        let installed = unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGILL, &raw const action, ptr::null_mut())
        };
        assert_eq!(installed, 0);
    });
}

extern "C" fn handle(signal: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives a handler of this kind the context of the stopped instruction.
    let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    let known = TILES.with(|tiles| execute(&mut tiles.borrow_mut(), registers));
    if known.is_none() {
        // The instruction runs once more, and ends the process as it does without this handler.
        // SAFETY: the call changes what a signal does, no memory.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

type Tile = [[u8; 64]; 16];

struct Tiles {
    bytes_per_row: [u16; 8],
    rows: [u8; 8],
    data: [Tile; 8],
}

const UNCONFIGURED: Tiles = Tiles {
    bytes_per_row: [0; 8],
    rows: [0; 8],
    data: [[[0; 64]; 16]; 8],
};

thread_local! {
    // Without a destructor and made when the thread starts: a handler may do next to nothing.
    static TILES: RefCell<Tiles> = const { RefCell::new(UNCONFIGURED) };
}

/// Carries out the instruction at the instruction pointer and goes behind it. `None`: it is none of AMX's.
fn execute(tiles: &mut Tiles, registers: &mut [i64; 23]) -> Option<()> {
    let pointer = registers[libc::REG_RIP as usize] as *const u8;
    // SAFETY: the processor has just read the instruction there. The five bytes of the shortest one are read.
    let [escape, inverted, selector, opcode, operands] =
        unsafe { pointer.cast::<[u8; 5]>().read() };
    if escape != 0xc4 || inverted & 31 != 2 {
        return None;
    }
    let (prefix, second) = (selector & 3, usize::from(!selector >> 3 & 7));
    let (mode, first, third) = (
        operands >> 6,
        usize::from(operands >> 3 & 7),
        usize::from(operands & 7),
    );
    let mut len = 5;
    match (opcode, prefix, mode) {
        (0x49, 0, 3) => *tiles = UNCONFIGURED,
        (0x49, 3, 3) => *tiles.in_use(first)? = [[0; 64]; 16],
        (0x5c, 2, 3) => tiles.multiply(first, third, second)?,
        (0x49, 0, _) => {
            let address = Address::read(pointer, registers);
            len = address.len;
            // SAFETY: the instruction reads 64 bytes from there.
            tiles.configure(unsafe { address.start.cast::<[u8; 64]>().read_unaligned() })?;
        }
        (0x4b, 2 | 3, _) => {
            let address = Address::read(pointer, registers);
            len = address.len;
            let (rows, bytes) = (tiles.rows[first], tiles.bytes_per_row[first]);
            for (i, row) in tiles.in_use(first)?[..usize::from(rows)]
                .iter_mut()
                .enumerate()
            {
                let memory = address.start.wrapping_offset(address.stride * i as isize);
                // SAFETY: the instruction reads or writes this row of the tile.
                unsafe {
                    match prefix {
                        3 => ptr::copy_nonoverlapping(memory, row.as_mut_ptr(), bytes.into()),
                        _ => ptr::copy_nonoverlapping(row.as_ptr(), memory, bytes.into()),
                    }
                }
            }
        }
        _ => return None,
    }
    registers[libc::REG_RIP as usize] += len;
    Some(())
}

impl Tiles {
    fn configure(&mut self, config: [u8; 64]) -> Option<()> {
        let [palette, start_row] = [config[0], config[1]];
        for tile in 0..8 {
            let low = 16 + 2 * tile;
            self.bytes_per_row[tile] = u16::from_le_bytes([config[low], config[low + 1]]);
            self.rows[tile] = config[48 + tile];
        }
        self.data = UNCONFIGURED.data;
        let fits = self.bytes_per_row.iter().all(|bytes| *bytes <= 64)
            && self.rows.iter().all(|rows| *rows <= 16);
        (palette == 1 && start_row == 0 && fits).then_some(())
    }

    /// `None` for a tile without rows, which the processor refuses as well.
    fn in_use(&mut self, tile: usize) -> Option<&mut Tile> {
        (self.rows[tile] > 0).then_some(&mut self.data[tile])
    }

    /// `tdpbf16ps`: sums `[rows, columns]` += left `[rows, pairs, 2]` · right `[pairs, columns, 2]`.
    fn multiply(&mut self, sums: usize, left: usize, right: usize) -> Option<()> {
        let (a, b) = (*self.in_use(left)?, *self.in_use(right)?);
        let (rows, columns) = (self.rows[sums], self.bytes_per_row[sums] / 4);
        let pairs = self.bytes_per_row[left] / 4;
        let fits = self.rows[left] == rows
            && u16::from(self.rows[right]) == pairs
            && self.bytes_per_row[right] / 4 == columns;
        let sums = self.in_use(sums)?;
        for (sums, a) in sums[..usize::from(rows)].iter_mut().zip(&a) {
            let sums = sums.as_chunks_mut::<4>().0;
            for (column, sum) in sums[..usize::from(columns)].iter_mut().enumerate() {
                let mut total = f32::from_le_bytes(*sum);
                for (pair, b) in b[..usize::from(pairs)].iter().enumerate() {
                    for half in 0..2 {
                        total += bf16(a, 2 * pair + half) * bf16(b, 2 * column + half);
                    }
                }
                *sum = total.to_le_bytes();
            }
        }
        fits.then_some(())
    }
}

fn bf16(row: &[u8; 64], i: usize) -> f32 {
    f32::from_le_bytes([0, 0, row[2 * i], row[2 * i + 1]])
}

/// The operand in memory.
struct Address {
    start: *mut u8,
    /// Bytes from one row to the next.
    stride: isize,
    /// Bytes of the whole instruction.
    len: i64,
}

impl Address {
    /// Of an instruction with a VEX prefix of three bytes.
    fn read(instruction: *const u8, registers: &[i64; 23]) -> Self {
        let byte = |i: usize| {
            // SAFETY: only bytes that the instruction has are read.
            unsafe { instruction.add(i).read() }
        };
        let (inverted, operands) = (byte(1), byte(4));
        let high = |bit: u8| usize::from(!inverted >> bit & 1) << 3;
        let mut len = 5;
        let (base, stride) = if operands & 7 == 4 {
            len = 6;
            let scaled = byte(5);
            let index = high(6) | usize::from(scaled >> 3 & 7);
            let base = high(5) | usize::from(scaled & 7);
            (base, register(registers, index) << (scaled >> 6))
        } else {
            (high(5) | usize::from(operands & 7), 0)
        };
        let displacement = match operands >> 6 {
            0 => 0,
            1 => i64::from(byte(len) as i8),
            _ => i64::from(i32::from_le_bytes([0, 1, 2, 3].map(|i| byte(len + i)))),
        };
        len += [0, 1, 4][usize::from(operands >> 6)];
        let start = register(registers, base) + displacement;
        Self {
            start: start as *mut u8,
            stride: stride as isize,
            len: len as i64,
        }
    }
}

/// A register by its number in an instruction.
fn register(registers: &[i64; 23], number: usize) -> i64 {
    let all = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    registers[all[number] as usize]
}

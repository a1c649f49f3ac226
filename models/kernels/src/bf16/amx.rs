//! A block of a product by Intel's AMX: four tiles of 16 x 16 sums. Assembly, since Rust's functions are unstable.

use super::operands::BLOCK;
use super::product::Sums;
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::OnceLock;

/// Whether the processor has tiles of bf16 and the system lets this process use them.
pub(super) fn is_permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| has_tiles() && ask() && multiplies_rightly())
}

fn has_tiles() -> bool {
    // Leaf 7: AMX-BF16 and AMX-TILE.
    __cpuid(0).eax >= 7
        && [22, 24]
            .iter()
            .all(|bit| __cpuid_count(7, 0).edx >> bit & 1 == 1)
}

/// Linux gives each process the large registers when it asks for them: `arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)`.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call without a function in Rust")]
fn ask() -> bool {
    let (request, tile_data) = (0x1023, 18);
    // SAFETY: the call takes two numbers and changes what the process may do, no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, request, tile_data) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn ask() -> bool {
    false
}

/// One block against its definition: an emulator or a hypervisor may offer tiles and compute something else.
pub(super) fn multiplies_rightly() -> bool {
    // Small whole numbers, exact in bf16 and in every sum: the upper half of their f32.
    let number = |i: usize| i as f32 % 7.0 - 3.0;
    let bf16 = |i: usize| (number(i).to_bits() >> 16) as u16;
    let rows: Vec<u16> = (0..BLOCK * BLOCK).map(bf16).collect();
    let element = |inner: usize, column: usize| 5 * inner + 3 * column;
    let pair = |i: usize| {
        let (inner, column) = (i / BLOCK * 2, i % BLOCK);
        u32::from(bf16(element(inner, column))) | u32::from(bf16(element(inner + 1, column))) << 16
    };
    let panel: Vec<u32> = (0..BLOCK / 2 * BLOCK).map(pair).collect();
    let mut sums = [[0.0; BLOCK]; BLOCK];
    {
        let _tiles = Tiles::configure();
        multiply(&rows, BLOCK, &panel, &mut sums);
    }
    let sum = |row: usize, column: usize| -> f32 {
        let products = (0..BLOCK).map(|i| number(row * BLOCK + i) * number(element(i, column)));
        products.sum()
    };
    let mut all = (0..BLOCK * BLOCK).map(|i| (i / BLOCK, i % BLOCK));
    all.all(|(row, column)| sums[row][column] == sum(row, column))
}

/// The tiles of this thread, in use until it is dropped.
pub(super) struct Tiles(());

#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// Eight tiles of 16 rows of 64 bytes.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    pub(super) fn configure() -> Self {
        let mut config = Config {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_per_row: [0; 16],
            rows: [0; 16],
        };
        config.bytes_per_row[..8].fill(64);
        config.rows[..8].fill(16);
        // SAFETY: only called where the processor has tiles and the system permits them. It reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for Tiles {
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    fn drop(&mut self) {
        // Threads that hold tiles cost the system 8 kB at each change of threads.
        // SAFETY: the tiles were configured on this thread: the type is made by `configure` and used in one function.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Sums of 32 rows, `pitch` apart, and of the pairs of 32 columns. The thread has configured its tiles.
#[expect(unsafe_code, reason = "instructions that not every processor has")]
pub(super) fn multiply(rows: &[u16], pitch: usize, panel: &[u32], sums: &mut Sums) {
    let inner = panel.len() / BLOCK * 2;
    assert!(inner > 0 && inner.is_multiple_of(BLOCK));
    assert!(rows.len() >= (BLOCK - 1) * pitch + inner);
    // SAFETY: 32 rows of `inner` numbers, `inner` / 2 rows of 32 pairs and 32 x 32 sums are read and written, as the
    // asserts say.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            // Each turn: 32 products of every sum.
            "2:",
            "tileloadd tmm4, [{upper} + {row_bytes}*1]",
            "tileloadd tmm5, [{lower} + {row_bytes}*1]",
            "tileloadd tmm6, [{panel} + {panel_bytes}*1]",
            "tileloadd tmm7, [{panel} + {panel_bytes}*1 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, 64",
            "add {lower}, 64",
            "add {panel}, 2048",
            "dec {turns}",
            "jnz 2b",
            "tilestored [{sums} + {panel_bytes}*1], tmm0",
            "tilestored [{sums} + {panel_bytes}*1 + 64], tmm1",
            "tilestored [{sums} + {panel_bytes}*1 + 2048], tmm2",
            "tilestored [{sums} + {panel_bytes}*1 + 2112], tmm3",
            upper = inout(reg) rows.as_ptr() => _,
            lower = inout(reg) rows.as_ptr().add(16 * pitch) => _,
            row_bytes = in(reg) 2 * pitch,
            panel = inout(reg) panel.as_ptr() => _,
            // Of a row of pairs as well as of a row of sums.
            panel_bytes = in(reg) 4 * BLOCK,
            turns = inout(reg) inner / BLOCK => _,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

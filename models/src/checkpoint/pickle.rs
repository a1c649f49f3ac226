//! Scan of a pickle's opcodes, before it is read: how many there are, and which Python objects they ask for.
//!
//! Opcodes and their arguments are those of CPython's `Lib/pickletools.py`. The scan has no stack and executes nothing.

use super::invalid;
use std::io::{self, BufRead, Read};

/// Most opcodes of a pickle. A tensor takes some 30, and each opcode may cost the reader some hundred bytes.
const MAX_OPCODES: usize = 200_000;
/// Longest argument that is kept: names of Python modules and classes are shorter.
const MAX_NAME: u64 = 1024;

/// Argument of an opcode.
enum Argument {
    /// This many bytes.
    Bytes(u64),
    /// Text up to a line break.
    Line,
    /// Bytes behind their length, which has this many bytes itself.
    Sized(usize),
}

/// The argument of each opcode but `STOP` and those that name a Python object.
fn argument(opcode: u8) -> Option<Argument> {
    Some(match opcode {
        b'(' | b'0' | b'1' | b'2' | b'N' | b'R' | b'b' | b'd' | b'l' | b't' | b's' | b'a' => {
            Argument::Bytes(0)
        }
        b')' | b']' | b'}' | b'e' | b'u' | b'Q' | b'o' => Argument::Bytes(0),
        0x81 | 0x85..=0x89 | 0x8f..=0x92 | 0x94 => Argument::Bytes(0),
        b'K' | b'h' | b'q' | 0x80 => Argument::Bytes(1),
        b'M' => Argument::Bytes(2),
        b'J' | b'j' | b'r' => Argument::Bytes(4),
        b'G' | 0x95 => Argument::Bytes(8),
        b'I' | b'L' | b'F' | b'V' | b'S' | b'g' | b'p' | b'P' => Argument::Line,
        b'U' | b'C' | 0x8a | 0x8c => Argument::Sized(1),
        b'T' | b'X' | b'B' | 0x8b => Argument::Sized(4),
        0x8d | 0x8e | 0x96 => Argument::Sized(8),
        _ => return None,
    })
}

/// Reads one pickle up to and with its `STOP`.
///
/// # Errors
/// It asks for a Python object that a dictionary of tensors does not need, has too many opcodes, or is none.
pub(super) fn check(reader: &mut impl BufRead) -> io::Result<()> {
    // The last two values that may be strings: `STACK_GLOBAL` takes its names from the stack.
    let mut strings = [String::new(), String::new()];
    for _ in 0..MAX_OPCODES {
        let [opcode] = bytes(reader)?;
        match opcode {
            b'.' => return Ok(()),
            // GLOBAL and INST: module and name, a line each.
            b'c' | b'i' => check_global(&line(reader)?, &line(reader)?)?,
            // STACK_GLOBAL
            0x93 => check_global(&strings[0], &strings[1])?,
            // EXT1, EXT2 and EXT4: objects by their number in a registry.
            0x82..=0x84 => return Err(invalid("it asks for Python's extension registry")),
            _ => {
                let argument = argument(opcode)
                    .ok_or_else(|| invalid(format!("{opcode:#04x} is no opcode of a pickle")))?;
                let text = match argument {
                    Argument::Bytes(size) => {
                        skip(reader, size)?;
                        "(from its memo)".to_owned()
                    }
                    Argument::Line => line(reader)?,
                    Argument::Sized(digits) => {
                        let mut size = [0; 8];
                        reader.read_exact(&mut size[..digits]).map_err(|_| cut())?;
                        text(reader, u64::from_le_bytes(size))?
                    }
                };
                // Not MEMOIZE and PUT, which may stand between a string and its use.
                if matches!(
                    opcode,
                    b'h' | b'j' | b'g' | b'U' | b'T' | b'X' | b'V' | b'S' | 0x8c | 0x8d
                ) {
                    strings.swap(0, 1);
                    strings[1] = text;
                }
            }
        }
    }
    Err(invalid(format!(
        "its pickle has more than {MAX_OPCODES} opcodes"
    )))
}

/// Refuses all but what `torch.save` needs for dictionaries of dense tensors and the settings and counts that
/// training scripts keep beside them. The reader makes none of these objects: their arguments stay values.
fn check_global(module: &str, name: &str) -> io::Result<()> {
    let is_known = match module {
        "collections" => ["OrderedDict", "defaultdict"].contains(&name),
        "torch._utils" => [
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_parameter",
        ]
        .contains(&name),
        "torch" => name.ends_with("Storage") || ["device", "Size"].contains(&name),
        "argparse" => name == "Namespace",
        "numpy.core.multiarray" | "numpy._core.multiarray" => name == "scalar",
        "numpy" => name == "dtype",
        "_codecs" => name == "encode",
        _ => false,
    };
    match is_known {
        true => Ok(()),
        false => Err(invalid(format!(
            "it asks for Python's `{module}.{name}`; nothing of it was executed"
        ))),
    }
}

fn bytes<const N: usize>(reader: &mut impl BufRead) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|_| cut())?;
    Ok(bytes)
}

/// A string of `size` bytes, or its beginning.
fn text(reader: &mut impl BufRead, size: u64) -> io::Result<String> {
    let kept = size.min(MAX_NAME);
    let mut bytes = vec![];
    reader.by_ref().take(kept).read_to_end(&mut bytes)?;
    skip(reader, size - kept)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line without its end, or its beginning.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = vec![];
    reader
        .by_ref()
        .take(MAX_NAME)
        .read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(cut());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn skip(reader: &mut impl BufRead, size: u64) -> io::Result<()> {
    match io::copy(&mut reader.by_ref().take(size), &mut io::sink())? == size {
        true => Ok(()),
        false => Err(cut()),
    }
}

fn cut() -> io::Error {
    invalid("its pickle ends early")
}

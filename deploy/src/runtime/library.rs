//! What a file that claims to be ONNX Runtime is, read without loading it.
//!
//! Why before loading? A truncated shared library kills the process when it is mapped.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err as fs;
use object::{Architecture, Object, ObjectSection, ObjectSegment, ObjectSymbol};

use super::wheels::MIN_API;
use crate::error::{Error, Result};

/// Bytes read to recognise a file.
const HEAD: usize = 64;

/// Checks type, bounds, machine, exports and version of a library; returns its version.
pub(crate) fn inspect(path: &Path) -> Result<String> {
    let missing = |source| Error::RuntimeMissing {
        path: path.to_owned(),
        source,
    };
    let meta = fs::metadata(path).map_err(missing)?;
    if !meta.is_file() {
        return Err(unfit(path, "a shared library", "not a regular file"));
    }
    let mut file = fs::File::open(path).map_err(missing)?;
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref()
        .take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(missing)?;
    if let Some(found) = other_kind(&head, meta.len()) {
        return Err(unfit(path, "a shared library", &found));
    }
    let wanted = elf_end(&mut file, &head, meta.len()).map_err(missing)?;
    check_end(path, wanted, meta.len())?;
    file.seek(SeekFrom::Start(0)).map_err(missing)?;
    inside(path, file, meta.len())
}

/// Bounds, machine, exports and version through the file's own tables.
fn inside(path: &Path, file: fs::File, bytes: u64) -> Result<String> {
    let cache = object::ReadCache::new(file);
    let damaged = |e: object::Error| {
        unfit(
            path,
            "a whole shared library",
            &format!("{bytes} bytes that do not parse ({e})"),
        )
    };
    let object = object::File::parse(&cache).map_err(damaged)?;
    let segments = object.segments().map(|s| s.file_range());
    let sections = object.sections().filter_map(|s| s.file_range());
    let end = segments
        .chain(sections)
        .map(|(at, len)| at.saturating_add(len))
        .max();
    check_end(path, end.unwrap_or(0), bytes)?;
    if object.architecture() != host() {
        let found = format!("a library for {:?}", object.architecture());
        return Err(unfit(path, &format!("a library for {:?}", host()), &found));
    }
    let mut names: Vec<String> = Vec::new();
    for export in object.exports().map_err(damaged)? {
        let export = export.map_err(damaged)?;
        if let object::NameOrOrdinal::Name(name) = export.name() {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    names.extend(
        object
            .dynamic_symbols()
            .filter(ObjectSymbol::is_definition)
            .filter_map(|s| {
                let name = s.name().ok()?;
                Some(name.to_owned())
            }),
    );
    if !names
        .iter()
        .any(|name| name.trim_start_matches('_') == "OrtGetApiBase")
    {
        return Err(unfit(
            path,
            "ONNX Runtime",
            "a shared library without `OrtGetApiBase`",
        ));
    }
    version(path, &names)
}

/// The version: written into the symbols by the Linux builds, else asked from the library itself.
fn version(path: &Path, symbols: &[String]) -> Result<String> {
    let written = symbols.iter().find_map(|name| name.strip_prefix("VERS_"));
    let version = match written {
        Some(version) => version.to_owned(),
        // The bounds are right: loading is safe now.
        None => ort::util::probe(path)
            .map(|minor| format!("1.{minor}"))
            .ok_or_else(|| {
                unfit(
                    path,
                    "ONNX Runtime 1.x",
                    "a library that does not load or tell its version",
                )
            })?,
    };
    match version
        .strip_prefix("1.")
        .and_then(|rest| rest.split('.').next()?.parse::<u32>().ok())
    {
        Some(minor) if minor >= MIN_API => Ok(version),
        _ => Err(unfit(
            path,
            &format!("ONNX Runtime 1.{MIN_API} or newer"),
            &format!("ONNX Runtime {version}"),
        )),
    }
}

/// The least size of a 64-bit ELF file: the end of its header tables. Zero for other formats.
fn elf_end(file: &mut fs::File, head: &[u8], bytes: u64) -> std::io::Result<u64> {
    if head.len() < HEAD || !head.starts_with(b"\x7fELF\x02\x01") {
        return Ok(0);
    }
    let (ph, sh) = (number(head, 0x20, 8), number(head, 0x28, 8));
    let (ph_size, ph_count) = (number(head, 0x36, 2), number(head, 0x38, 2));
    let (sh_size, sh_count) = (number(head, 0x3a, 2), number(head, 0x3c, 2));
    let mut end = ph
        .saturating_add(ph_size * ph_count)
        .max(sh.saturating_add(sh_size * sh_count));
    if ph > bytes {
        return Ok(end);
    }
    let mut table = Vec::new();
    file.seek(SeekFrom::Start(ph))?;
    file.by_ref()
        .take(ph_size * ph_count)
        .read_to_end(&mut table)?;
    for entry in table.chunks_exact(usize::try_from(ph_size.max(1)).unwrap_or(1)) {
        if entry.len() >= 0x28 {
            end = end.max(number(entry, 0x08, 8).saturating_add(number(entry, 0x20, 8)));
        }
    }
    Ok(end)
}

/// A little-endian number of `len` bytes at `at`.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len]
        .iter()
        .rev()
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn check_end(path: &Path, end: u64, bytes: u64) -> Result<()> {
    if end <= bytes {
        return Ok(());
    }
    let found = format!("{bytes} bytes: the file is truncated");
    Err(unfit(path, &format!("at least {end} bytes"), &found))
}

/// What the file is when it is no shared library at all.
fn other_kind(head: &[u8], bytes: u64) -> Option<String> {
    let library = [
        &b"\x7fELF"[..],
        b"MZ",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
    ];
    if library.iter().any(|magic| head.starts_with(magic)) {
        return None;
    }
    Some(if head.is_empty() {
        "an empty file".to_owned()
    } else if head.starts_with(b"version https://git-lfs") {
        "a git-LFS pointer: the file itself was not fetched".to_owned()
    } else if head.starts_with(b"PK") {
        "a zip archive (a wheel is given to `deploy runtime install --from`)".to_owned()
    } else if head
        .iter()
        .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
    {
        format!("a text file of {bytes} bytes")
    } else {
        format!("{bytes} bytes of another kind")
    })
}

fn host() -> Architecture {
    match std::env::consts::ARCH {
        "aarch64" => Architecture::Aarch64,
        "x86" => Architecture::I386,
        _ => Architecture::X86_64,
    }
}

fn unfit(path: &Path, expected: &str, found: &str) -> Error {
    Error::RuntimeUnfit {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

//! Shared libraries: checking a file without loading it, and loading it for good. Knows no library by name.
//!
//! A file is checked before it is loaded, since a truncated shared library kills the process when it is mapped.

// Not `fs_err`: what is made of these errors names the library already.
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{Architecture, Object, ObjectSection, ObjectSegment};

/// Bytes read to recognise a file.
const HEAD: usize = 64;

/// Why a file cannot be loaded.
#[derive(Debug)]
pub(crate) enum Defect {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is something else, or not whole.
    Unusable {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
}

impl Defect {
    pub(crate) fn unusable(expected: &str, found: &str) -> Self {
        Self::Unusable {
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

impl From<io::Error> for Defect {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Result of [`check_library`] and [`needed_libraries`].
pub(crate) type Result<T> = std::result::Result<T, Defect>;

/// Checks that the file is a shared library of this machine's kind, up to its last byte.
pub(crate) fn check_library(path: &Path) -> Result<()> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() {
        return Err(Defect::unusable("a shared library", "not a regular file"));
    }
    let bytes = meta.len();
    let mut file = fs::File::open(path)?;
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    if let Some(found) = describe_other_file(&head, bytes) {
        return Err(Defect::unusable("a shared library", &found));
    }
    // The parser would fail on a truncated file, too, but could not say how much is missing.
    check_size(elf_size(&mut file, &head, bytes)?, bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let cache = object::ReadCache::new(file);
    let object = object::File::parse(&cache).map_err(|e| damaged(&e, bytes))?;
    let segments = object.segments().map(|s| s.file_range());
    let sections = object.sections().filter_map(|s| s.file_range());
    let end = segments
        .chain(sections)
        .map(|(at, len)| at.saturating_add(len))
        .max();
    check_size(end.unwrap_or(0), bytes)?;
    if object.architecture() != host_architecture() {
        return Err(Defect::unusable(
            &format!("a library for {:?}", host_architecture()),
            &format!("a library for {:?}", object.architecture()),
        ));
    }
    Ok(())
}

/// The libraries that an ELF file asks the loader for (`DT_NEEDED`), by name; none for other formats.
pub(crate) fn needed_libraries(path: &Path) -> Result<Vec<String>> {
    let file = fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    let cache = object::ReadCache::new(file);
    let Ok(elf) = ElfFile64::<object::Endianness, _>::parse(&cache) else {
        return Ok(Vec::new());
    };
    let table = elf.elf_dynamic_table().map_err(|e| damaged(&e, bytes))?;
    let mut names = Vec::new();
    for entry in &table {
        if entry.tag == object::elf::DT_NEEDED {
            let name = table.string(entry).map_err(|e| damaged(&e, bytes))?;
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(names)
}

/// Loads a library for the life of the process. Whatever is linked to its name gets this file from now on.
#[expect(
    unsafe_code,
    reason = "loading runs the library's initialisers; there is no safe way"
)]
pub(crate) fn load(path: &Path) -> std::result::Result<&'static libloading::Library, String> {
    // SAFETY: a vendor's library that lies where the loader itself would take it from; that it is whole
    // was checked before. It is never unloaded, so that symbols stay valid.
    let library = unsafe { libloading::Library::new(path) }.map_err(|e| crate::error::chain(&e))?;
    Ok(Box::leak(Box::new(library)))
}

/// The defect of a library whose tables do not parse.
pub(crate) fn damaged(error: &object::Error, bytes: u64) -> Defect {
    Defect::unusable(
        "a whole shared library",
        &format!("{bytes} bytes that do not parse ({error})"),
    )
}

/// The least size of a 64-bit ELF file: the end of its tables and segments. Zero for other formats. Offsets are
/// those of `Elf64_Ehdr` and `Elf64_Phdr` in elf.h.
fn elf_size(file: &mut fs::File, head: &[u8], bytes: u64) -> io::Result<u64> {
    if head.len() < HEAD || !head.starts_with(b"\x7fELF\x02\x01") {
        return Ok(0);
    }
    let (ph, sh) = (little_endian(head, 0x20, 8), little_endian(head, 0x28, 8));
    let (ph_size, ph_count) = (little_endian(head, 0x36, 2), little_endian(head, 0x38, 2));
    let (sh_size, sh_count) = (little_endian(head, 0x3a, 2), little_endian(head, 0x3c, 2));
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
            end = end
                .max(little_endian(entry, 0x08, 8).saturating_add(little_endian(entry, 0x20, 8)));
        }
    }
    Ok(end)
}

/// A little-endian number of `len` bytes at `at`.
fn little_endian(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len]
        .iter()
        .rev()
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn check_size(end: u64, bytes: u64) -> Result<()> {
    if end <= bytes {
        return Ok(());
    }
    let found = format!("{bytes} bytes: the file is truncated");
    Err(Defect::unusable(&format!("at least {end} bytes"), &found))
}

/// Describes a file that is not a shared library.
fn describe_other_file(head: &[u8], bytes: u64) -> Option<String> {
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

fn host_architecture() -> Architecture {
    match std::env::consts::ARCH {
        "aarch64" => Architecture::Aarch64,
        "x86" => Architecture::I386,
        _ => Architecture::X86_64,
    }
}

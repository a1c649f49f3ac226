//! PyTorch checkpoints (`.pth`). Knows no network.
//!
//! The crate `pytorch-reader` reads the file; its pickle machine calls nothing. What the crate leaves unbounded is
//! refused here before it sees the file: pickles of many opcodes, compressed archives, tar archives.

use super::{MAX_BYTES, Stored, invalid, pickle};
use onnx::proto::DataType;
use pytorch_reader::{DType, PytorchReader};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// Where a tar archive has its magic number.
const TAR_MAGIC_AT: u64 = 257;

/// Pickles before the values of PyTorch's format up to 1.5: magic number, version, system, dictionary, storage keys.
const LEGACY_PICKLES: usize = 5;

/// The tensors of a file, by name; those of dictionaries in dictionaries have the names joined by dots.
pub(super) fn read(path: &Path) -> io::Result<Vec<(String, Stored)>> {
    check_container(File::open(path)?)?;
    let reader = PytorchReader::new(path).map_err(|error| invalid(error.to_string()))?;
    let tensors = reader.into_tensors().into_iter();
    Ok(tensors
        .map(|(name, tensor)| {
            let stored = Stored {
                name: name.clone(),
                shape: tensor.shape().to_vec(),
                elem_type: elem_type(tensor.dtype()),
                read: Box::new(move || tensor.read()),
            };
            (name, stored)
        })
        .collect())
}

fn elem_type(dtype: DType) -> DataType {
    match dtype {
        DType::F64 => DataType::Double,
        DType::F32 => DataType::Float,
        DType::F16 => DataType::Float16,
        DType::BF16 => DataType::Bfloat16,
        DType::I64 => DataType::Int64,
        DType::I32 => DataType::Int32,
        DType::I16 => DataType::Int16,
        DType::I8 => DataType::Int8,
        DType::U64 => DataType::Uint64,
        DType::U32 => DataType::Uint32,
        DType::U16 => DataType::Uint16,
        DType::U8 => DataType::Uint8,
        DType::Bool => DataType::Bool,
    }
}

/// Refuses what could cost more memory or time than its size suggests, or asks for code.
fn check_container(mut file: File) -> io::Result<()> {
    let mut header = vec![];
    (&mut file)
        .take(TAR_MAGIC_AT + 5)
        .read_to_end(&mut header)?;
    file.rewind()?;
    if header.starts_with(b"PK") {
        return check_zip(file);
    }
    // A sparse entry of a few bytes may claim any number of zeros.
    if header.get(TAR_MAGIC_AT as usize..) == Some(b"ustar") {
        return Err(invalid("it is a tar archive of PyTorch before 0.1.10"));
    }
    let mut reader = BufReader::new(file);
    for _ in 0..LEGACY_PICKLES {
        pickle::check(&mut reader)?;
        // A pickle alone, without tensors.
        if reader.fill_buf()?.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Checks an archive of PyTorch 1.6 and later: `data.pkl`, and an entry for the values of each tensor.
fn check_zip(file: File) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(file))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        // `torch.save` compresses nothing, so that no entry unpacks to more than the file has.
        if entry.compression() != CompressionMethod::Stored {
            return Err(invalid(format!("its entry `{name}` is compressed")));
        }
        if name.ends_with("constants.pkl") {
            return Err(invalid("it is a TorchScript archive, a program"));
        }
        if name.ends_with("data.pkl") {
            let mut reader = BufReader::new(entry.by_ref().take(MAX_BYTES));
            pickle::check(&mut reader)?;
        }
    }
    Ok(())
}

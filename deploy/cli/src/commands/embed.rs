//! `deploy embed` and `deploy search`: the features of images, and the nearest of them by the cosine of their angle.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, printer};
use deploy::{ClassifierBuilder, CutModel, Encoder, Preprocess};
use onnx::ModelFile;

use super::predict::image_files;
use super::score;
use crate::cli::{EmbedArgs, EncoderArgs, MachineArgs, SearchArgs};
use crate::cli_error::CliError;
use crate::parquet_table::{Kind, ParquetTable, Value};
use crate::source;

/// `deploy embed`.
pub(crate) fn embed(args: &EmbedArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let extension = args.out.extension().and_then(|name| name.to_str());
    let write = match extension {
        Some("npy") => write_npy,
        Some("parquet") => write_parquet,
        _ => {
            let message = format!(
                "`{}` is named neither as a file of NumPy nor of Parquet",
                args.out.display()
            );
            let hint = "give `--out` a name that ends in `.npy` or `.parquet`";
            return Err(CliError::with_hint(message, hint).into());
        }
    };
    let images = score::files(&args.images, printer)?;
    let encoder = open(&args.encoder, printer)?;
    let unreadable = write(args, &encoder, &images, printer)?;
    finish(unreadable, images.len())
}

/// Writes the features as one array, and the paths of its rows; returns how many images could not be read.
fn write_npy(
    args: &EmbedArgs,
    encoder: &Encoder,
    images: &[PathBuf],
    printer: &Printer,
) -> anyhow::Result<usize> {
    let (mut rows, mut paths) = (Vec::new(), String::new());
    let unreadable = features(encoder, images, printer, |path, features| {
        paths += &format!("{}\n", path.display());
        rows.extend(scaled(features, args.normalize));
    });
    let shape = [rows.len() / encoder.width(), encoder.width()];
    let names = args.out.with_extension("txt");
    deploy::files::write::atomically(&args.out, &npy(shape, &rows))?;
    deploy::files::write::atomically(&names, paths.as_bytes())?;
    printer.log(format!(
        "wrote [{}, {}] into `{}`, the paths into `{}`",
        shape[0],
        shape[1],
        args.out.display(),
        names.display()
    ));
    Ok(unreadable)
}

/// Writes the features row by row, with the paths; returns how many images could not be read.
fn write_parquet(
    args: &EmbedArgs,
    encoder: &Encoder,
    images: &[PathBuf],
    printer: &Printer,
) -> anyhow::Result<usize> {
    let columns = [
        ("path", Kind::Text),
        ("features", Kind::Numbers),
        ("backbone", Kind::Text),
    ];
    // Features of length 1 are others: no layer is to be trained on them in place of the backbone's.
    let origin = (!args.normalize).then(|| encoder.origin().to_string());
    let mut unreadable = 0;
    deploy::files::write::atomically_with(&args.out, |file| {
        let mut table = ParquetTable::new(file, &columns)?;
        let mut failed = None;
        unreadable = features(encoder, images, printer, |path, features| {
            let features = scaled(features, args.normalize);
            let path = path.to_string_lossy();
            let row = [
                Value::Text(Some(&path)),
                Value::Numbers(Some(&features)),
                Value::Text(origin.as_deref()),
            ];
            if let Err(error) = table.push(&row) {
                failed.get_or_insert(error);
            }
        });
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(table.finish()?),
        }
    })?;
    printer.log(format!(
        "wrote {} rows of {} features into `{}`",
        images.len() - unreadable,
        encoder.width(),
        args.out.display()
    ));
    Ok(unreadable)
}

fn scaled(features: Vec<f32>, to_unit: bool) -> Vec<f32> {
    match to_unit {
        true => Encoder::normalized(features),
        false => features,
    }
}

/// `deploy search`.
pub(crate) fn search(args: &SearchArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let images = image_files(std::slice::from_ref(&args.folder), printer)?;
    let encoder = open(&args.encoder, printer)?;
    let wanted = Encoder::normalized(encoder.features(&args.image)?);
    let mut found: Vec<(f32, &Path)> = Vec::new();
    let unreadable = features(&encoder, &images, printer, |path, features| {
        let products = Encoder::normalized(features).into_iter().zip(&wanted);
        let cosine: f64 = products.map(|(a, b)| f64::from(a) * f64::from(*b)).sum();
        found.push((cosine as f32, path));
    });
    // Stable: images that are as near stay in the order of their paths.
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (cosine, path) in found.iter().take(usize::from(args.top_k)) {
        printer::line(&format!("{cosine:.4}  {}", path.display()))?;
    }
    finish(unreadable, images.len())
}

/// Opens the encoder of a command line; finds, installs and loads its runtime.
fn open(args: &EncoderArgs, printer: &Printer) -> anyhow::Result<Encoder> {
    let path = source::model(args.model.as_deref(), &args.runs, printer)?;
    // An error of the file must come before anything is installed for it.
    let file = ModelFile::open(&path)?;
    CutModel::from_file(&file)?;
    encoder(&file, &args.machine, args.preprocess.as_ref(), printer)
}

/// The encoder of a file that can be one; finds, installs and loads its runtime.
pub(super) fn encoder(
    file: &ModelFile,
    machine: &MachineArgs,
    preprocess: Option<&Preprocess>,
    printer: &Printer,
) -> anyhow::Result<Encoder> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut settings = ClassifierBuilder::default()
        .provider(machine.provider)
        .allow_fallback(machine.allow_fallback)
        .parallel(machine.threads.map_or(cores, usize::from))
        .runtime(source::runtime_for(
            machine.provider,
            &machine.location,
            printer,
        )?);
    if let Some(cache) = &machine.location.cache {
        settings = settings.cache(cache);
    }
    if let Some(preprocess) = preprocess {
        settings = settings.preprocess(preprocess.clone());
    }
    let encoder = Encoder::from_file(file, settings)?;
    printer.log(format!(
        "features `{}` [N, {}]",
        encoder.values().join("`, `"),
        encoder.width()
    ));
    Ok(encoder)
}

/// Hands the features of each image to `take`; returns how many images could not be read.
fn features<'a>(
    encoder: &Encoder,
    images: &'a [PathBuf],
    printer: &Printer,
    mut take: impl FnMut(&'a Path, Vec<f32>),
) -> usize {
    let progress = printer.image_bar("computing features", images.len() as u64);
    let mut unreadable = 0;
    encoder.features_many(images, |index, features| {
        match features {
            Ok(features) => take(&images[index], features),
            Err(error) => {
                unreadable += 1;
                printer.warn(format!("left out `{}`: {error}", images[index].display()));
            }
        }
        progress.set_position(index as u64 + 1);
    });
    progress.finish_and_clear();
    unreadable
}

fn finish(unreadable: usize, images: usize) -> anyhow::Result<ExitStatus> {
    if unreadable > 0 {
        let message = format!("{unreadable} of {images} images have no features");
        return Err(CliError::new(message).into());
    }
    Ok(ExitStatus::Success)
}

/// A file of NumPy, format 1.0 (`numpy.lib.format`): numbers in single precision, row by row.
fn npy([rows, columns]: [usize; 2], numbers: &[f32]) -> Vec<u8> {
    /// Where the numbers begin must be a multiple of this.
    const ALIGNMENT: usize = 64;
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // Magic, two bytes of length, header, line break.
    let length = (MAGIC.len() + 2 + header.len() + 1).next_multiple_of(ALIGNMENT);
    let padding = length - (MAGIC.len() + 2 + header.len() + 1);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::npy;

    #[test]
    fn the_numbers_of_a_file_of_numpy_begin_at_a_multiple_of_64() {
        for columns in [1, 512, 100_000] {
            let bytes = npy([2, columns], &[1.5; 7]);
            let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            assert_eq!((10 + length) % 64, 0);
            assert_eq!(bytes.len(), 10 + length + 28);
            assert!(bytes[10..10 + length].ends_with(b"\n"));
            assert_eq!(bytes[10 + length..][..4], 1.5_f32.to_le_bytes());
        }
    }
}

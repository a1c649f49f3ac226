//! Preprocessing that the JSON files beside an exported model describe: `preprocessor_config.json` of transformers'
//! image processors, and `config.json` of timm.
//!
//! Knows no network: whether the result fits a model's input is the caller's to check.

mod fields;
#[cfg(test)]
mod tests;
mod timm;
mod transformers;

use crate::{Error, Preprocess, Result, text};
use fields::Fields;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// File names, in the order in which they are believed.
const NAMES: [&str; 3] = ["preprocessor_config.json", "processor_config.json", CONFIG];

/// timm's file. The one of transformers, with the same name, describes a network and no preprocessing.
const CONFIG: &str = "config.json";

/// What a file says of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The file.
    pub path: PathBuf,
    /// Steps that end in `layout(nchw, f32)`: the file does not know how the network was exported.
    pub preprocess: Preprocess,
    /// Licence of the weights.
    pub licence: Option<String>,
    /// Name of the weights on Hugging Face's hub.
    pub source: Option<String>,
}

/// Finds and reads the preprocessing of a model file: beside it, beside the file that it links to, and above a
/// folder `onnx`. `size` is height and width of the model's input, where they are fixed.
///
/// # Errors
/// A file cannot be read, or describes something that no step of [`Preprocess`] does.
pub fn find(model: &Path, size: Option<(usize, usize)>) -> Result<Option<Description>> {
    for folder in folders(model) {
        for name in NAMES {
            let path = folder.join(name);
            if path.is_file()
                && let Some(description) = read(&path, size)?
            {
                return Ok(Some(description));
            }
        }
    }
    Ok(None)
}

/// Folders in which the files of a model may lie.
fn folders(model: &Path) -> Vec<PathBuf> {
    let own = model.parent().map(Path::to_path_buf);
    let linked = fs_err::canonicalize(model)
        .ok()
        .and_then(|real| real.parent().map(Path::to_path_buf));
    let mut folders = Vec::new();
    for folder in [own, linked].into_iter().flatten() {
        // Where transformers.js and Hugging Face's hub keep exports: `onnx/model.onnx`.
        let is_onnx = folder.file_name().is_some_and(|name| name == "onnx");
        let above = folder.parent().filter(|_| is_onnx).map(Path::to_path_buf);
        folders.push(folder);
        folders.extend(above);
    }
    folders
}

/// Reads a file; `None` where it is about something else. `size` is height and width of the model's input: of timm's
/// two sizes it chooses the one for testing.
///
/// # Errors
/// The file cannot be read, is not JSON, or describes something that no step of [`Preprocess`] does.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("preprocessor_config.json");
/// std::fs::write(&path, r#"{"image_processor_type": "CLIPImageProcessor"}"#)?;
/// let description = classifold_data::preprocessor_config::read(&path, None)?;
/// let expected = "resize_short(224, bicubic, antialias)|center_crop(224, floor)|scale(1/255)|normalize(clip)";
/// assert_eq!(description.map(|found| found.preprocess), Some(expected.parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: &Path, size: Option<(usize, usize)>) -> Result<Option<Description>> {
    let json: Value = serde_json::from_str(&text::read(path)?)
        .map_err(|error| refused(path, format!("it is not JSON: {error}")))?;
    // A processor of several kinds of input, such as CLIP's of images and words, holds that of images.
    let processor = json.get("image_processor").unwrap_or(&json);
    let Some(fields) = processor.as_object() else {
        return Ok(None);
    };
    let fields = Fields { path, map: fields };
    let is_config = path.file_name().is_some_and(|name| name == CONFIG);
    let steps = if timm::is_own(&fields) {
        timm::steps(&fields, size)?
    } else if is_config || !transformers::is_own(&fields) {
        return Ok(None);
    } else {
        transformers::steps(&fields)?
    };
    let preprocess = steps.join("|").parse::<Preprocess>();
    let preprocess = preprocess.map_err(|error| refused(path, error))?;
    let text = |key| timm::config(&fields).text(key).map(str::to_owned);
    Ok(Some(Description {
        path: path.to_path_buf(),
        preprocess,
        licence: text("license"),
        source: text("hf_hub_id"),
    }))
}

/// The error of a file whose content cannot be used.
fn refused(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::with_hint(
        format!("`{}`: {reason}", path.display()),
        "give the preprocessing yourself, as text",
    )
}

//! Preprocessing of a backbone, by what is believed of all that describes its file: its card, its metadata, a JSON file
//! beside it, and what is known of its bytes, in this order. Knows no network.

use crate::preprocess::{Dtype, Order};
use crate::{Card, Preprocess, Result, catalog, preprocessor_config};
use std::path::Path;

/// A backbone's file and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct BackboneDescription<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'a str,
    /// Its card.
    pub card: Option<&'a Card>,
    /// All its metadata.
    pub metadata: &'a [(String, String)],
    /// Order of the axes and type of the numbers that it takes.
    pub layout: (Order, Dtype),
    /// Height and width of the images that it takes, where it fixes them.
    pub size: Option<(usize, usize)>,
}

/// The preprocessing of a backbone, and its source.
#[derive(Clone, Debug, PartialEq)]
pub struct BackbonePreprocess {
    /// Steps from an image to the network's input.
    pub preprocess: Preprocess,
    /// What they were decided by, such as `card of net.onnx`; it names no folder of this machine.
    pub source: String,
    /// Licence of the weights, if known.
    pub licence: Option<String>,
    /// Where the weights are from, if known.
    pub weights_source: Option<String>,
}

impl BackboneDescription<'_> {
    /// The preprocessing; `None` where nothing tells.
    ///
    /// # Errors
    /// A JSON file beside it cannot be read, or describes something that no step of [`Preprocess`] does.
    pub fn preprocess(&self) -> Result<Option<BackbonePreprocess>> {
        let name = file_name(self.path);
        if let Some(card) = self.card {
            return Ok(Some(BackbonePreprocess {
                preprocess: card.preprocess.clone(),
                source: format!("card of {name}"),
                licence: card.provenance.backbone_licence.clone(),
                weights_source: card.provenance.backbone_source.clone(),
            }));
        }
        let known = catalog::BACKBONES
            .iter()
            .find(|row| row.sha256 == self.sha256);
        // Named backbones have metadata, too; whose they are is known.
        if let (None, Some(own)) = (known, self.of_metadata()) {
            return Ok(Some(own));
        }
        if let Some(found) = preprocessor_config::find(self.path, self.size)? {
            let (order, dtype) = self.layout;
            return Ok(Some(BackbonePreprocess {
                // Only the network's file knows its layout.
                preprocess: found.preprocess.with_layout(order, dtype),
                source: format!("{} of {name}", file_name(&found.path)),
                licence: found.licence,
                weights_source: found.source,
            }));
        }
        let Some(known) = known else {
            return Ok(None);
        };
        Ok(Some(BackbonePreprocess {
            preprocess: known.preprocess.parse()?,
            source: format!("known for {}", known.name),
            licence: None,
            weights_source: None,
        }))
    }

    /// What `trainer import` wrote into the file.
    fn of_metadata(&self) -> Option<BackbonePreprocess> {
        let value = |key: &str| {
            let found = self.metadata.iter().find(|(own, _)| own == key);
            found.map(|(_, value)| value.clone())
        };
        Some(BackbonePreprocess {
            // Another program may mean something else by the word.
            preprocess: value("preprocess")?.parse().ok()?,
            source: format!("metadata of {}", file_name(self.path)),
            licence: value("licence"),
            weights_source: value("source"),
        })
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described<'a>(path: &'a Path, metadata: &'a [(String, String)]) -> BackboneDescription<'a> {
        BackboneDescription {
            path,
            sha256: "00",
            card: None,
            metadata,
            layout: (Order::Nchw, Dtype::F32),
            size: None,
        }
    }

    #[test]
    fn metadata_is_believed_before_a_file_beside_and_unknown_bytes_have_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        assert_eq!(described(&path, &[]).preprocess().unwrap(), None);
        let text = "decode(rgb, exif)|resize(8, 6, bilinear, antialias)|scale(1/255)";
        let config = r#"{"image_processor_type": "CLIPImageProcessor"}"#;
        fs_err::write(folder.path().join("preprocessor_config.json"), config).unwrap();
        let beside = described(&path, &[]).preprocess().unwrap().unwrap();
        assert_eq!(beside.source, "preprocessor_config.json of net.onnx");
        let metadata = [("preprocess", text), ("licence", "MIT")];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let own = described(&path, &metadata).preprocess().unwrap().unwrap();
        assert_eq!(own.preprocess, text.parse().unwrap());
        assert_eq!(
            (own.source.as_str(), own.licence.as_deref()),
            ("metadata of net.onnx", Some("MIT"))
        );
        let known = catalog::BACKBONES[0];
        let named = BackboneDescription {
            sha256: known.sha256,
            ..described(Path::new("no/net.onnx"), &metadata)
        };
        assert_eq!(
            named.preprocess().unwrap().unwrap().source,
            format!("known for {}", known.name)
        );
    }
}

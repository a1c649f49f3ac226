//! Output folder of `trainer inspect`: images and their list, `inspect.json`. It replaces what it wrote itself,
//! and nothing else. It knows no network.

use std::collections::{BTreeSet, HashSet};
use std::io::Cursor;
use std::path::{Component, Path, PathBuf};

use data::RgbImage;
use data::run_files::INSPECT_LIST;
use fs_err as fs;
use report::run_files::{InspectImage, InspectList};

use crate::error::{Error, Result};
use crate::output_files::{remove_if_any, save_json};

/// Images that are collected, and then written into a folder.
#[derive(Debug)]
pub struct OutputFolder {
    folder: PathBuf,
    images: Vec<(InspectImage, Vec<u8>)>,
}

impl OutputFolder {
    /// An output folder, which need not be there yet.
    pub fn new(folder: &Path) -> OutputFolder {
        OutputFolder {
            folder: folder.into(),
            images: vec![],
        }
    }

    /// Adds an image.
    pub fn add(&mut self, entry: InspectImage, image: &RgbImage) -> Result<()> {
        self.images.push((entry, png(image)?));
        Ok(())
    }

    /// Writes the images and their list, and removes what an earlier list names besides them;
    /// returns their entries.
    ///
    /// # Errors
    /// A file of that name is there and no earlier list names it, or the folder cannot be written.
    pub fn finish(self) -> Result<Vec<InspectImage>> {
        let earlier = self.earlier()?;
        let new: HashSet<&str> = self.images.iter().map(|(entry, _)| &*entry.file).collect();
        // All names are checked before the first file is written.
        for file in &new {
            let path = self.folder.join(file);
            if !earlier.contains(*file) && path.symlink_metadata().is_ok() {
                return Err(foreign(&path));
            }
        }
        for (entry, bytes) in &self.images {
            let path = self.folder.join(&entry.file);
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            data::write::atomically(&path, bytes)?;
        }
        for file in earlier.iter().filter(|file| !new.contains(file.as_str())) {
            remove_if_any(&self.folder.join(file))?;
        }
        let images: Vec<InspectImage> = self.images.into_iter().map(|(entry, _)| entry).collect();
        let list = InspectList { images };
        save_json(&self.folder.join(INSPECT_LIST), &list)?;
        Ok(list.images)
    }

    /// The images that an earlier list names: none outside the folder.
    fn earlier(&self) -> Result<BTreeSet<String>> {
        let path = self.folder.join(INSPECT_LIST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeSet::new());
            }
            Err(error) => return Err(error.into()),
        };
        let Ok(list) = serde_json::from_slice::<InspectList>(&text) else {
            return Err(foreign(&path));
        };
        let inside = |file: &String| {
            let mut parts = Path::new(file).components();
            file.ends_with(".png") && parts.all(|part| matches!(part, Component::Normal(_)))
        };
        let files = list.images.into_iter().map(|entry| entry.file);
        Ok(files.filter(inside).collect())
    }
}

/// The error for a file that another program wrote, where one is to be written.
fn foreign(path: &Path) -> Error {
    Error::refused_with_hint(
        format!(
            "`{}` exists and was not written by `trainer inspect`",
            path.display()
        ),
        "choose another folder with `--out`, or remove the file",
    )
}

/// A PNG file; of at most 256 colours, one byte per pixel.
fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let failed = |error: png::EncodingError| Error::Io(std::io::Error::other(error));
    let (width, height) = image.dimensions();
    let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), width, height);
    encoder.set_depth(png::BitDepth::Eight);
    let colours: BTreeSet<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
    if colours.len() > 256 {
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(image.as_raw()).map_err(failed)?;
        writer.finish().map_err(failed)?;
        return Ok(bytes);
    }
    // Kernels and feature maps have at most 256 colours: a third of the bytes.
    let colours: Vec<[u8; 3]> = colours.into_iter().collect();
    let index = |pixel: &image::Rgb<u8>| colours.binary_search(&pixel.0).unwrap_or(0) as u8;
    let indices: Vec<u8> = image.pixels().map(index).collect();
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(colours.concat());
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&indices).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use data::RgbImage;
    use fs_err as fs;
    use image::Rgb;

    use report::run_files::{InspectImage, InspectKind};

    use super::{OutputFolder, png};
    use crate::Error;

    fn entry(file: &str) -> InspectImage {
        InspectImage {
            title: "an image".into(),
            file: file.into(),
            kind: InspectKind::FeatureMap,
            node: None,
        }
    }

    fn write(folder: &std::path::Path, files: &[&str]) -> Result<Vec<InspectImage>, Error> {
        let mut output = OutputFolder::new(folder);
        for file in files {
            output.add(entry(file), &RgbImage::new(3, 2)).unwrap();
        }
        output.finish()
    }

    #[test]
    fn images_keep_their_pixels_whatever_their_number_of_colours() {
        let few = RgbImage::from_fn(9, 4, |x, y| Rgb([x as u8, 7, y as u8]));
        let many = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8, y as u8, 9]));
        for image in [few, many] {
            let back = image::load_from_memory(&png(&image).unwrap()).unwrap();
            assert_eq!(back.to_rgb8(), image);
        }
    }

    #[test]
    fn a_second_output_replaces_the_first_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |file| folder.path().join("inspect").join(file);
        write(&path(""), &["input.png", "maps/1.png", "maps/2.png"]).unwrap();
        fs::write(path("mine.png"), "mine").unwrap();
        let written = write(&path(""), &["input.png", "maps/1.png"]).unwrap();
        assert_eq!(written, [entry("input.png"), entry("maps/1.png")]);
        assert!(path("maps/1.png").is_file() && !path("maps/2.png").exists());
        let error = write(&path(""), &["new.png", "mine.png"]).unwrap_err();
        assert!(
            error.to_string().contains("mine.png` exists and"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("--out"), "{error}");
        assert_eq!(fs::read(path("mine.png")).unwrap(), b"mine");
        assert!(!path("new.png").exists() && path("maps/1.png").is_file());
    }

    #[test]
    fn a_list_removes_nothing_outside_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("inspect");
        fs::create_dir(&out).unwrap();
        let outside = folder.path().join("photo.png");
        fs::write(&outside, "photo").unwrap();
        let files = [r#""../photo.png""#.to_owned(), format!("{outside:?}")];
        for file in files {
            let image = format!(r#"{{"title": "", "file": {file}, "kind": "input"}}"#);
            let list = format!(r#"{{"images": [{image}]}}"#);
            fs::write(out.join("inspect.json"), list).unwrap();
            write(&out, &["input.png"]).unwrap();
            assert!(outside.is_file(), "{file}");
            fs::remove_file(out.join("input.png")).unwrap();
        }
        fs::write(out.join("inspect.json"), "not a list").unwrap();
        let error = write(&out, &["input.png"]).unwrap_err();
        assert!(error.to_string().contains("was not written by"), "{error}");
    }
}

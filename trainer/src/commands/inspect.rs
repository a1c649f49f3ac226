//! `trainer inspect`: kernels, feature maps and attribution of an exported network, as images in a folder.

mod pairs;

use std::path::{Path, PathBuf};

use console::numbers::short;
use console::table::{Column, Table};
use console::{ExitStatus, Printer};
use data::card::CLASSIFY;
use data::run_files;
use deploy::{Model, Verifier};
use onnx::ModelFile;
use report::run_files::{InspectImage, InspectKind};

use super::report::rewrite_page;
use crate::cli::InspectArgs;
use crate::error::Error;
use crate::inspect::attention::Maps;
use crate::inspect::inspected_model::{Attribution, InspectedModel, Inspection, Overrides};
use crate::inspect::occlusion::{Patch, occlusion};
use crate::inspect::output_folder::OutputFolder;
use crate::inspect::overlay::overlay;
use crate::inspect::tiles::{self, COLUMNS};
use crate::run_dir::RunDir;
use crate::{context, resolve, runtime};

/// Classes that an error lists.
const LISTED: usize = 8;

pub fn run(args: &InspectArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let (path, run, out) = locate(args, printer)?;
    // A file that cannot be inspected is refused before anything is installed for it.
    let file = ModelFile::open(&path).map_err(Error::from)?;
    let model = Model::from_file(&file).map_err(Error::from)?;
    let is_pair = !args.pair.is_empty();
    match is_pair {
        true => Verifier::check_file(&file).map_err(Error::from)?,
        false if model.compares_images() => return Err(without_pair(&path).into()),
        false => model.check_task(&path, CLASSIFY).map_err(Error::from)?,
    }
    let cache = data::cache::dir(args.machine.cache.as_deref())?;
    runtime::ensure(
        args.machine.runtime.clone(),
        deploy::Provider::Cpu,
        &cache,
        args.machine.offline,
        printer,
    )?;
    let threads = context::bound_threads(args.threads);
    let mut output = OutputFolder::new(&out);
    match is_pair {
        true => pairs::draw(&file, &args.pair, threads, &mut output, printer)?,
        false => draw(&file, &model, args, threads, &mut output, printer)?,
    }
    let images = output.finish()?;
    let mut table = Table::new([Column::LEFT]);
    for InspectImage { file, title, .. } in &images {
        table.row([file, title]);
    }
    if let (Some(run), None) = (&run, &args.out) {
        rewrite_page(run, &cache, printer);
    }
    printer.result(format!("wrote `{}`:\n{table}", out.display()))?;
    Ok(ExitStatus::Success)
}

/// The error of a verifier without two images.
fn without_pair(path: &Path) -> Error {
    Error::refused_with_hint(
        format!(
            "`{}` is a verifier, which compares two images",
            path.display()
        ),
        "name them with `--pair A B`",
    )
}

/// Draws what a classifier makes of each image.
fn draw(
    file: &ModelFile,
    model: &Model,
    args: &InspectArgs,
    threads: usize,
    output: &mut OutputFolder,
    printer: &Printer,
) -> Result<(), Error> {
    let overrides = Overrides {
        classes: (args.classes.as_deref())
            .map(data::class_names::read)
            .transpose()?,
        preprocess: args.preprocess.clone(),
    };
    let mut model = InspectedModel::open(file, model, overrides, args.simplified, threads)?;
    printer.log(format!("model `{}`", file.path().display()));
    if !model.left_out().is_empty() {
        let names = model.left_out().join("`, `");
        printer.log(format!("left out of the simplified pass: `{names}`"));
    }
    let class = args.class.as_deref().map(|name| class_index(&model, name));
    let class = class.transpose()?;
    let mut drawing = Drawing {
        output,
        occlusion: args.occlusion,
        simplified: args.simplified,
        printer,
    };
    let names = plain_names(&args.image);
    for (number, (image, name)) in args.image.iter().zip(&names).enumerate() {
        let inspection = model.inspect(image)?;
        if number == 0 {
            drawing.kernels(&model, &inspection)?;
        }
        let inspected = InspectedImage {
            model: &model,
            inspection: &inspection,
            title: &image.file_name().unwrap_or_default().to_string_lossy(),
            name,
            is_only: names.len() == 1,
            class: class.unwrap_or_else(|| inspection.predicted()),
        };
        drawing.image(&inspected)?;
    }
    Ok(())
}

/// The model file, its run if it is in one, and the folder for the images.
fn locate(
    args: &InspectArgs,
    printer: &Printer,
) -> Result<(PathBuf, Option<RunDir>, PathBuf), Error> {
    let named = args.file.as_deref().or(args.model.as_deref());
    let named = named.unwrap_or(Path::new(run_files::LATEST));
    // `latest` is a file where the system has no links.
    let is_file = named.is_file() && !data::runs::is_latest(named);
    let (model, run) = if is_file || named.extension().is_some_and(|e| e == "onnx") {
        let run = run_files::run_containing(named)
            .map(|folder| resolve::run(&args.runs, folder, printer))
            .transpose()?;
        (named.to_owned(), run)
    } else {
        let run = resolve::run(&args.runs, named, printer)?;
        if !run.model().is_file() {
            let folder = run.path().display();
            return Err(Error::Inspect {
                path: run.path().into(),
                reason: format!("it has no `model.onnx`; `trainer export {folder}` writes it"),
            });
        }
        (run.model(), Some(run))
    };
    let folder = run.as_ref().map_or(Path::new(""), RunDir::path);
    let default = || folder.join(run_files::INSPECT);
    let out = args.out.clone().unwrap_or_else(default);
    Ok((model, run, out))
}

fn class_index(model: &InspectedModel, name: &str) -> Result<usize, Error> {
    let classes = model.classifier().classes();
    let index = data::class_names::position(classes, name);
    index.ok_or_else(|| {
        let listed = classes[..classes.len().min(LISTED)].join(", ");
        let more = if classes.len() > LISTED { ", ..." } else { "" };
        Error::Setting {
            flag: "class",
            value: name.into(),
            reason: format!("the model knows {listed}{more}"),
        }
    })
}

/// A name for the output files of each image: the stem of its file, in plain characters, and none twice.
fn plain_names(images: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for image in images {
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        let plain = |c: char| if is_plain(c) { c } else { '-' };
        let stem: String = stem.chars().map(plain).collect();
        let mut numbered = (2..).map(|number| format!("{stem}-{number}"));
        let mut name = stem.clone();
        while names.contains(&name) {
            name = numbered.next().unwrap_or_default();
        }
        names.push(name);
    }
    names
}

/// One image of the command, inspected.
struct InspectedImage<'a> {
    model: &'a InspectedModel,
    inspection: &'a Inspection,
    /// Name of the image in titles.
    title: &'a str,
    /// Name of the image in the names of files.
    name: &'a str,
    /// Whether it is the only image.
    is_only: bool,
    /// The class whose evidence is shown.
    class: usize,
}

impl InspectedImage<'_> {
    fn class_name(&self, class: usize) -> &str {
        &self.model.classifier().classes()[class]
    }

    fn percent(&self, class: usize) -> f64 {
        100.0 * self.inspection.probabilities.get(class).unwrap_or(&0.0)
    }

    /// The image with the class whose evidence is shown, for titles.
    fn title_with_class(&self) -> String {
        let (class, percent) = (self.class_name(self.class), self.percent(self.class));
        format!("{} ({class}, {percent:.1} %)", self.title)
    }
}

/// Draws images into the output folder.
struct Drawing<'a> {
    output: &'a mut OutputFolder,
    occlusion: bool,
    simplified: bool,
    printer: &'a Printer,
}

impl Drawing<'_> {
    fn kernels(&mut self, model: &InspectedModel, inspection: &Inspection) -> Result<(), Error> {
        let weight = model.kernels(inspection)?;
        let conv = model.convs().first().map(|conv| conv.name.clone());
        let conv = conv.unwrap_or_default();
        let color = model.classifier().preprocess().color();
        let Some(kernels) = tiles::kernels(&weight, color) else {
            let shape = &weight.dims;
            self.printer.warn(format!(
                "no images of kernels: `{conv}` has weights of shape {shape:?}"
            ));
            return Ok(());
        };
        let (count, height, width) = (weight.dims[0], weight.dims[2], weight.dims[3]);
        let mut add = |file: &str, channel: &str, image| {
            let entry = InspectImage {
                title: format!(
                    "the {count} kernels of {height} x {width} of the first convolution{channel}, each in \
                     its own range over all channels"
                ),
                file: format!("kernels/{file}.png"),
                kind: InspectKind::Kernels,
                node: Some(conv.clone()),
            };
            self.output.add(entry, image)
        };
        if let Some(colour) = &kernels.colour {
            add("colour", " in colour", colour)?;
        }
        for (channel, image) in &kernels.channels {
            let name = match *channel {
                "r" => ", their red channel",
                "g" => ", their green channel",
                "b" => ", their blue channel",
                "alpha" => ", their alpha channel",
                _ => "",
            };
            add(&format!("channel_{channel}"), name, image)?;
        }
        Ok(())
    }

    /// Everything of one image.
    fn image(&mut self, inspected: &InspectedImage<'_>) -> Result<(), Error> {
        let image = &inspected.inspection.image;
        let (width, height) = image.rgb.dimensions();
        let title = inspected.title;
        let entry = InspectImage {
            title: format!("{title} as the network sees it, {width} x {height} pixels"),
            file: match inspected.is_only {
                true => "input.png".into(),
                false => format!("input-{}.png", inspected.name),
            },
            kind: InspectKind::Input,
            node: None,
        };
        self.output.add(entry, &image.rgb)?;
        let predicted = inspected.inspection.predicted();
        let (class, percent) = (
            inspected.class_name(predicted),
            inspected.percent(predicted),
        );
        self.printer
            .log(format!("`{title}`: {class}, {percent:.1} %"));
        self.attribution(inspected)?;
        if self.occlusion {
            self.occlusion(inspected)?;
        }
        self.feature_maps(inspected)
    }

    fn attribution(&mut self, inspected: &InspectedImage<'_>) -> Result<(), Error> {
        let attribution = inspected
            .model
            .attribution(inspected.inspection, inspected.class)?;
        let image = inspected.title_with_class();
        let (title, heat, value) = match attribution {
            None => {
                self.printer.warn(
                    "no activation map: no value is a feature map of 4 x 4 or more; try `--occlusion`",
                );
                return Ok(());
            }
            Some(Attribution::ClassMap {
                heat,
                value,
                bias,
                error,
            }) => {
                self.printer.log(format!(
                    "class activation map of {} x {}: its mean {} plus the bias {} is the score, {error:.0e} off",
                    heat.height,
                    heat.width,
                    short(heat.mean() as f32),
                    short(bias)
                ));
                let title = format!("class activation map of {image}: evidence for the class");
                (title, heat, value)
            }
            Some(Attribution::Eigen {
                heat,
                value,
                reason,
            }) => {
                self.printer.log(format!(
                    "no class activation map: {reason}; Eigen-CAM of `{value}`, {} x {}, is not specific to the class",
                    heat.height, heat.width
                ));
                let title = format!(
                    "Eigen-CAM of {image}: strength of the main pattern, whatever the class"
                );
                (title, heat, value)
            }
        };
        let entry = InspectImage {
            title: format!("{title}, 0 to {}", short(heat.peak().max(0.0))),
            file: format!("overlay-{}.png", inspected.name),
            kind: InspectKind::ActivationMap,
            node: Some(value),
        };
        let image = overlay(&inspected.inspection.image.rgb, &heat.positive());
        self.output.add(entry, &image)
    }

    fn occlusion(&mut self, inspected: &InspectedImage<'_>) -> Result<(), Error> {
        let image = &inspected.inspection.image;
        let patch = Patch::for_size(image.rgb.width(), image.rgb.height());
        let bar = self.printer.image_bar("hiding parts", 0);
        let progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let classifier = inspected.model.classifier();
        let heat = occlusion(classifier, image, inspected.class, patch, &progress);
        bar.finish_and_clear();
        let heat = heat?.positive();
        let Patch { size_px, stride_px } = patch;
        let entry = InspectImage {
            title: format!(
                "occlusion of {}: how far the probability falls under a gray square of {size_px} pixels, \
                 every {stride_px} pixels, 0 to {}",
                inspected.title_with_class(),
                short(heat.peak())
            ),
            file: format!("occlusion-{}.png", inspected.name),
            kind: InspectKind::Occlusion,
            node: None,
        };
        self.output.add(entry, &overlay(&image.rgb, &heat))
    }

    fn feature_maps(&mut self, inspected: &InspectedImage<'_>) -> Result<(), Error> {
        let folder = match inspected.is_only {
            true => "feature_maps".into(),
            false => format!("feature_maps/{}", inspected.name),
        };
        let layers = inspected.model.convs().len();
        let pass = match self.simplified {
            true => ", simplified pass",
            false => "",
        };
        let mut without_place = 0;
        for (layer, conv) in (1..).zip(inspected.model.convs()) {
            let maps = inspected.inspection.value(&conv.output);
            let Some(maps) = maps.and_then(Maps::from_tap) else {
                self.printer
                    .warn(format!("`{}` gives no maps [N, C, H, W]", conv.name));
                continue;
            };
            // Behind global pooling a channel is one number, and its image one flat tile.
            if (maps.height, maps.width) == (1, 1) {
                without_place += 1;
                continue;
            }
            let shown_channels = maps.channels.min(COLUMNS * COLUMNS);
            let entry = InspectImage {
                title: format!(
                    "convolution {layer} of {layers} of {}{pass}: {shown_channels} of {} channels of {} x \
                     {}, each in its own range",
                    inspected.title, maps.channels, maps.height, maps.width
                ),
                file: format!("{folder}/layer_{layer}.png"),
                kind: InspectKind::FeatureMap,
                node: Some(conv.name.clone()),
            };
            self.output.add(entry, &tiles::feature_maps(&maps))?;
        }
        if without_place > 0 {
            self.printer.log(format!(
                "no images of {without_place} of {layers} convolutions: their maps have 1 x 1 pixel"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::plain_names;

    #[test]
    fn files_of_images_have_plain_names_and_none_twice() {
        let images = [
            "a/bee.jpg",
            "b/bee.png",
            "c/a b#1.jpg",
            "bee-2.jpg",
            "d/bee.jpg",
        ];
        let names = plain_names(&images.map(Into::into));
        assert_eq!(names, ["bee", "bee-2", "a-b-1", "bee-2-2", "bee-3"]);
    }
}

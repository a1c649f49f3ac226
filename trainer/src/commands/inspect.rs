//! `trainer inspect`: what an exported network sees of a picture, as pictures in a folder.

use std::path::{Path, PathBuf};

use console::table::{Column, Table};
use console::{ExitStatus, Printer};
use deploy::Model;

use super::report;
use crate::cli::InspectArgs;
use crate::error::Error;
use crate::inspect::album::{Album, Entry, Kind};
use crate::inspect::attention::Maps;
use crate::inspect::occlusion::{Patch, occlusion};
use crate::inspect::overlay::{overlay, short};
use crate::inspect::subject::{Described, Look, Subject, View};
use crate::inspect::tiles::{self, COLUMNS};
use crate::run_dir::RunDir;
use crate::{context, runtime};

/// Classes that an error lists.
const LISTED: usize = 8;

/// Draws it all.
pub fn run(args: &InspectArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let (path, run, out) = place(args)?;
    // What is wrong with the file is said before anything is installed for it.
    let model = Model::open(&path).map_err(Error::from)?;
    let cache = data::cache::dir(args.machine.cache.as_deref())?;
    runtime::ensure(
        args.machine.runtime.clone(),
        &cache,
        args.machine.offline,
        printer,
    )?;
    let described = Described {
        classes: (args.classes.as_deref())
            .map(data::class_names::read)
            .transpose()?,
        preprocess: args.preprocess.clone(),
    };
    let threads = context::bound_threads(args.threads);
    let mut subject = Subject::open(&path, &model, described, args.simplified, threads)?;
    printer.log(format!("model `{}`", path.display()));
    if !subject.left_out().is_empty() {
        let names = subject.left_out().join("`, `");
        printer.log(format!("left out of the simplified pass: `{names}`"));
    }
    let chosen = args.class.as_deref().map(|name| class(&subject, name));
    let chosen = chosen.transpose()?;
    let mut drawing = Drawing {
        album: Album::new(&out),
        occlusion: args.occlusion,
        simplified: args.simplified,
        printer,
    };
    let names = names(&args.image);
    for (number, (image, name)) in args.image.iter().zip(&names).enumerate() {
        let view = subject.look(image)?;
        if number == 0 {
            drawing.kernels(&subject, &view)?;
        }
        let class = chosen.unwrap_or_else(|| view.predicted());
        let title = image.file_name().unwrap_or_default().to_string_lossy();
        let shown = Shown {
            title: &title,
            name,
            alone: names.len() == 1,
            class,
        };
        drawing.picture(&subject, &view, &shown)?;
    }
    let entries = drawing.album.finish()?;
    let mut table = Table::new([Column::LEFT]);
    for Entry { file, title, .. } in &entries {
        table.row([file, title]);
    }
    if let (Some(run), None) = (&run, &args.out) {
        report::renew(run, &cache, printer);
    }
    printer.result(format!("wrote `{}`:\n{table}", out.display()))?;
    Ok(ExitStatus::Success)
}

/// The model, its run if it is in one, and the folder for the pictures.
fn place(args: &InspectArgs) -> Result<(PathBuf, Option<RunDir>, PathBuf), Error> {
    let given = &args.model;
    let (model, run) = if given.is_file() || given.extension().is_some_and(|e| e == "onnx") {
        let run = data::run_files::run_containing(given)
            .map(|folder| RunDir::open(&args.runs, folder))
            .transpose()?;
        (given.clone(), run)
    } else {
        let run = RunDir::open(&args.runs, given)?;
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
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| folder.join(data::run_files::INSPECT));
    Ok((model, run, out))
}

fn class(subject: &Subject, name: &str) -> Result<usize, Error> {
    let classes = subject.classifier().classes();
    classes
        .iter()
        .position(|class| class == name)
        .ok_or_else(|| {
            let known = classes
                .iter()
                .take(LISTED)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            let more = if classes.len() > LISTED { ", ..." } else { "" };
            Error::Setting {
                flag: "class",
                value: name.into(),
                reason: format!("the model knows {known}{more}"),
            }
        })
}

/// A name for the files of each image: that of its file, plain, and none twice.
fn names(images: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for image in images {
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        let plain = |c: char| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        };
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

/// A picture as it is called.
struct Shown<'a> {
    /// In titles.
    title: &'a str,
    /// In the names of files.
    name: &'a str,
    /// Whether it is the only one.
    alone: bool,
    /// The class whose evidence is shown.
    class: usize,
}

/// The pictures so far.
struct Drawing<'a> {
    album: Album,
    occlusion: bool,
    simplified: bool,
    printer: &'a Printer,
}

impl Drawing<'_> {
    fn kernels(&mut self, subject: &Subject, view: &View) -> Result<(), Error> {
        let weight = subject.kernels(view)?;
        let conv = subject.convs().first().map(|conv| conv.name.clone());
        let conv = conv.unwrap_or_default();
        let color = subject.classifier().preprocess().color();
        let Some(kernels) = tiles::kernels(&weight, color) else {
            let shape = &weight.dims;
            self.printer.warn(format!(
                "no pictures of kernels: `{conv}` has weights of shape {shape:?}"
            ));
            return Ok(());
        };
        let (count, height, width) = (weight.dims[0], weight.dims[2], weight.dims[3]);
        let rule = "each in its own range over all channels";
        let mut add = |file: &str, what: &str, picture| {
            let entry = Entry {
                title: format!(
                    "the {count} kernels of {height} x {width} of the first convolution{what}, {rule}"
                ),
                file: format!("kernels/{file}.png"),
                kind: Kind::Kernels,
                node: Some(conv.clone()),
            };
            self.album.add(entry, picture)
        };
        if let Some(colour) = &kernels.colour {
            add("colour", " in colour", colour)?;
        }
        for (channel, picture) in &kernels.channels {
            let what = match *channel {
                "r" => ", their red channel",
                "g" => ", their green channel",
                "b" => ", their blue channel",
                _ => "",
            };
            add(&format!("channel_{channel}"), what, picture)?;
        }
        Ok(())
    }

    /// Everything of one picture.
    fn picture(&mut self, subject: &Subject, view: &View, shown: &Shown<'_>) -> Result<(), Error> {
        let (width, height) = view.picture.dimensions();
        let file = match shown.alone {
            true => "input.png".into(),
            false => format!("input-{}.png", shown.name),
        };
        self.add(
            format!(
                "{} as the network sees it, {width} x {height} pixels",
                shown.title
            ),
            file,
            Kind::Input,
            None,
            &view.picture,
        )?;
        let class = &subject.classifier().classes()[shown.class];
        let of = |class: usize| 100.0 * view.probabilities.get(class).unwrap_or(&0.0);
        let about = format!("{} ({class}, {:.1} %)", shown.title, of(shown.class));
        let predicted = view.predicted();
        self.printer.log(format!(
            "`{}`: {}, {:.1} %",
            shown.title,
            subject.classifier().classes()[predicted],
            of(predicted)
        ));
        self.attention(subject, view, shown, &about)?;
        if self.occlusion {
            self.hide(subject, view, shown, &about)?;
        }
        self.feature_maps(subject, view, shown)
    }

    fn attention(
        &mut self,
        subject: &Subject,
        view: &View,
        shown: &Shown<'_>,
        about: &str,
    ) -> Result<(), Error> {
        let file = format!("overlay-{}.png", shown.name);
        match subject.attention(view, shown.class)? {
            None => self.printer.warn(
                "no activation map: no value is a feature map of 4 x 4 places or more; try \
                 `--occlusion`",
            ),
            Some(Look::ClassMap {
                heat,
                value,
                bias,
                off,
            }) => {
                let (mean, peak) = (heat.mean(), heat.peak().max(0.0));
                self.printer.log(format!(
                    "class activation map of {} x {} places: its mean {} and the bias {} give the \
                     score, {off:.0e} off",
                    heat.height,
                    heat.width,
                    short(mean as f32),
                    short(bias)
                ));
                let title = format!(
                    "class activation map of {about}: evidence for the class, 0 to {}",
                    short(peak)
                );
                let picture = overlay(&view.picture, &heat.positive());
                self.add(title, file, Kind::ActivationMap, Some(value), &picture)?;
            }
            Some(Look::Eigen { heat, value, why }) => {
                self.printer.log(format!(
                    "no class activation map: {why}; Eigen-CAM of `{value}`, {} x {} places, knows \
                     no class",
                    heat.height, heat.width
                ));
                let title = format!(
                    "Eigen-CAM of {about}: strength of the main pattern, whatever the class, 0 to {}",
                    short(heat.peak().max(0.0))
                );
                let picture = overlay(&view.picture, &heat.positive());
                self.add(title, file, Kind::ActivationMap, Some(value), &picture)?;
            }
        }
        Ok(())
    }

    fn hide(
        &mut self,
        subject: &Subject,
        view: &View,
        shown: &Shown<'_>,
        about: &str,
    ) -> Result<(), Error> {
        let patch = Patch::of(view.picture.width(), view.picture.height());
        let bar = self.printer.image_bar("hiding parts", 0);
        let progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let classifier = subject.classifier();
        let heat = occlusion(classifier, &view.picture, shown.class, patch, &progress);
        bar.finish_and_clear();
        let heat = heat?.positive();
        let Patch { size_px, stride_px } = patch;
        let title = format!(
            "occlusion of {about}: how far the probability falls under a gray square of {size_px} \
             pixels, every {stride_px} pixels, 0 to {}",
            short(heat.peak())
        );
        let file = format!("occlusion-{}.png", shown.name);
        self.add(
            title,
            file,
            Kind::Occlusion,
            None,
            &overlay(&view.picture, &heat),
        )
    }

    fn feature_maps(
        &mut self,
        subject: &Subject,
        view: &View,
        shown: &Shown<'_>,
    ) -> Result<(), Error> {
        let folder = match shown.alone {
            true => "feature_maps".into(),
            false => format!("feature_maps/{}", shown.name),
        };
        let layers = subject.convs().len();
        let pass = if self.simplified {
            ", simplified pass"
        } else {
            ""
        };
        for (layer, conv) in (1..).zip(subject.convs()) {
            let Some(maps) = view.value(&conv.output).and_then(Maps::of) else {
                self.printer
                    .warn(format!("`{}` gives no maps [N, C, H, W]", conv.name));
                continue;
            };
            let shown_channels = maps.channels.min(COLUMNS * COLUMNS);
            let title = format!(
                "convolution {layer} of {layers} of {}{pass}: {shown_channels} of {} channels of {} x \
                 {}, each in its own range",
                shown.title, maps.channels, maps.height, maps.width
            );
            let file = format!("{folder}/layer_{layer}.png");
            let node = Some(conv.name.clone());
            self.add(
                title,
                file,
                Kind::FeatureMap,
                node,
                &tiles::feature_maps(&maps),
            )?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        title: String,
        file: String,
        kind: Kind,
        node: Option<String>,
        picture: &data::RgbImage,
    ) -> Result<(), Error> {
        let entry = Entry {
            title,
            file,
            kind,
            node,
        };
        self.album.add(entry, picture)
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn files_of_pictures_have_plain_names_and_none_twice() {
        let images = [
            "a/bee.jpg",
            "b/bee.png",
            "c/a b#1.jpg",
            "bee-2.jpg",
            "d/bee.jpg",
        ];
        let names = names(&images.map(Into::into));
        assert_eq!(names, ["bee", "bee-2", "a-b-1", "bee-2-2", "bee-3"]);
    }
}

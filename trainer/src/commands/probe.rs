//! `trainer probe`: which backbone suits a data set, by held-out scores and time.

use std::ffi::OsStr;
use std::path::Path;

use console::chart::{self, Axis, Chart, Mark, Plot, Scaling};
use console::table::{Column, Table};
use console::{ExitStatus, Printer, numbers};
use deploy::Provider;

use crate::cli::ProbeArgs;
use crate::context::{TrainingContext, bound_threads};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::output_files::file_name;
use crate::probe::{self, Probe, Probed};
use crate::recipe::{Recipe, Views};
use crate::{recipe, resolve};

/// Width of a PNG chart, in pixels.
const PNG_WIDTH: u32 = 1600;

pub fn run(args: &ProbeArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    check_extension(&args.out)?;
    let context = TrainingContext {
        cache: data::cache::dir(args.machine.cache.as_deref())?,
        runtime: args.machine.runtime.clone(),
        offline: args.machine.offline,
        provider: Provider::Cpu,
        threads: bound_threads(args.threads),
        printer,
        interrupt: Interrupt::default(),
    };
    let names = match args.backbone.as_slice() {
        [] => resolve::cached_backbones(&context.cache),
        typed => typed.to_vec(),
    };
    if names.is_empty() {
        return Err(Error::refused_with_hint(
            "there is no backbone to probe: the cache has none with a name",
            "name some, such as `--backbone resnet18,FILE.onnx`",
        )
        .into());
    }
    let recipe = Recipe {
        data: recipe::data_name(&args.data, &context.cache)?,
        views: Some(Views::ORIGINAL),
        seed: args.seed,
        folds: Some(args.folds),
        threads: args.threads,
        feature_cache: args.feature_cache,
        ..Recipe::default()
    };
    let probe = probe::probe(&names, &recipe, &context)?;
    save_chart(&args.out, &chart(&probe).into())?;
    if let Some(target) = &args.json {
        printer.json(target, &probe)?;
    }
    printer.result(text(&probe))?;
    printer.log(format!("chart: {}", args.out.display()));
    Ok(ExitStatus::Success)
}

fn check_extension(out: &Path) -> Result<()> {
    match out.extension().and_then(OsStr::to_str) {
        Some("svg" | "png") => Ok(()),
        _ => Err(Error::refused(format!(
            "`--out {}`: a chart is a `.svg` or a `.png` file",
            out.display()
        ))),
    }
}

fn save_chart(out: &Path, chart: &Chart) -> anyhow::Result<()> {
    let svg = chart.file();
    let bytes = match out.extension().and_then(OsStr::to_str) {
        Some("png") => chart::png(&svg, PNG_WIDTH)?,
        _ => svg.into_bytes(),
    };
    Ok(data::write::atomically(out, &bytes)?)
}

fn text(probe: &Probe) -> String {
    let mut table = Table::new([
        Column::LEFT,
        Column::RIGHT,
        Column::LEFT,
        Column::RIGHT,
        Column::LEFT,
        Column::RIGHT,
        Column::RIGHT,
        Column::RIGHT,
        Column::LEFT,
    ]);
    table.row([
        "backbone", "accuracy", "95 %", "log loss", "95 %", "ms/image", "MB", "features", "licence",
    ]);
    for (backbone, label) in probe.backbones.iter().zip(labels(&probe.backbones)) {
        table.row(row(backbone, label));
    }
    format!(
        "{} folds of {} training and validation images; time on one thread of this machine\n{table}\n{}",
        probe.folds, probe.count, probe.reason
    )
}

/// Short names for people: of a file, its name without its folder, unless two files share it.
fn labels(backbones: &[Probed]) -> Vec<String> {
    let short = |backbone: &Probed| file_name(Path::new(&backbone.name));
    let all: Vec<String> = backbones.iter().map(short).collect();
    let label = |(backbone, short): (&Probed, &String)| {
        let is_unique = all.iter().filter(|other| *other == short).count() == 1;
        if is_unique { short } else { &backbone.name }.clone()
    };
    backbones.iter().zip(&all).map(label).collect()
}

fn row(backbone: &Probed, label: String) -> [String; 9] {
    let Probed {
        accuracy,
        loss,
        milliseconds,
        bytes,
        features,
        licence,
        ..
    } = backbone;
    let [low, high] = loss.interval;
    [
        label,
        numbers::percent(accuracy.mean, 2),
        numbers::percents(accuracy.interval),
        format!("{:.4}", loss.mean),
        format!("{low:.4} to {high:.4}"),
        format!("{milliseconds:.1}"),
        format!("{:.1}", *bytes as f64 / 1e6),
        features.to_string(),
        licence.clone().unwrap_or_else(|| "not known".into()),
    ]
}

/// Accuracy against time, with intervals.
fn chart(probe: &Probe) -> Plot {
    let labelled = probe.backbones.iter().zip(labels(&probe.backbones));
    let marks = labelled.enumerate().map(|(series, (backbone, name))| {
        let accuracy = backbone.accuracy;
        Mark::Points {
            name,
            series,
            points: vec![(
                [backbone.milliseconds, 100.0 * accuracy.mean],
                accuracy.interval.map(|share| 100.0 * share),
            )],
        }
    });
    let times = probe.backbones.iter().map(|backbone| backbone.milliseconds);
    let accuracies = probe.backbones.iter();
    let accuracies = accuracies.flat_map(|backbone| backbone.accuracy.interval);
    Plot {
        title: format!("Accuracy of {} held-out images against time", probe.count),
        x: Axis::new("ms an image, one thread")
            .scaled(Scaling::Log)
            .around(times),
        y: Axis::new("accuracy (%)").around(accuracies.map(|share| 100.0 * share)),
        marks: marks.collect(),
        ..Plot::default()
    }
}

#[cfg(test)]
mod tests {
    use report::run_files::MeanInterval;

    use super::*;

    #[test]
    fn files_of_one_name_keep_their_folders() {
        let score = MeanInterval {
            mean: 0.5,
            interval: [0.4, 0.6],
        };
        let probed = |name: &str| Probed {
            name: name.into(),
            sha256: String::new(),
            accuracy: score,
            loss: score,
            milliseconds: 1.0,
            bytes: 1_500_000,
            features: 8,
            licence: None,
            losses: vec![],
        };
        let backbones = ["a/model.onnx", "b/model.onnx", "c/vit.onnx", "resnet18"].map(probed);
        let expected = ["a/model.onnx", "b/model.onnx", "vit.onnx", "resnet18"];
        assert_eq!(labels(&backbones), expected);
        assert_eq!(
            row(&backbones[3], "resnet18".into()).join(" | "),
            "resnet18 | 50.00 % | 40.0 to 60.0 % | 0.5000 | 0.4000 to 0.6000 | 1.0 | 1.5 | 8 | not known"
        );
    }
}

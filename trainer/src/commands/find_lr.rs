//! `trainer find-lr`: the learning rate range test, its curve and its suggestion. It creates no run.

use console::chart::{Axis, Chart, Mark, Plot, Scaling};
use console::{ExitStatus, Printer};
use fs_err as fs;

use super::{fit, plot};
use crate::cli::FindLrArgs;
use crate::context::{TrainingContext, bound_threads};
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::preprocessing::InputPreprocess;
use crate::recipe::{AUTO, Settings};
use crate::train::{RangeStep, RangeTest, TrainOptions, range_test};
use crate::training_set::TrainingSet;
use crate::{backbone, command_line, dataset, device};

/// Name of the chart's files.
const CHART: &str = "find-lr";
/// Width of the PNG file, in pixels.
const PNG_WIDTH: u32 = 1600;
/// Flags of this command alone, each with a value.
const OWN_FLAGS: [&str; 3] = ["--steps", "--out", "--json"];
/// The chart ends at so many times the initial loss: a loss that diverges would leave nothing to see of the rest.
const HIGHEST: f64 = 1.6;

pub fn run(args: &FindLrArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let mut settings = Settings::for_range_test(&args.settings, args.config.as_deref())?;
    let machine = settings.machine.clone();
    let context = TrainingContext {
        cache: data::cache::dir(machine.cache.as_deref())?,
        runtime: machine.runtime,
        offline: machine.offline,
        provider: settings.recipe.provider.0,
        threads: bound_threads(settings.recipe.threads),
        printer,
        // Ctrl-C ends the process: there is nothing to save.
        interrupt: Interrupt::default(),
    };
    if settings.recipe.backbone.as_deref() == Some(AUTO) {
        fit::choose_backbone(&mut settings, &context)?;
    }
    let recipe = settings.recipe.resolve(&context.cache)?;
    device::announce(&recipe, printer)?;
    let (dataset, _) = dataset::open_for_training(&recipe, None, &context)?;
    let audit = dataset::audit(&dataset, printer);
    let preprocess = InputPreprocess::decide(&recipe, &context)?;
    let steps = &preprocess.preprocess;
    let num_classes = dataset.classes.len();
    let model = Model::build(&recipe, preprocess.images(), num_classes, &context)?;
    backbone::prove_on(&dataset, &model.network, steps, printer)?;
    let data = TrainingSet::open(&dataset, &audit, &model.network, steps, &recipe, &context)?;

    let bar = printer.turn_bar("steps", u64::from(args.steps));
    let test = range_test(
        model,
        &data,
        &TrainOptions::from(&recipe),
        args.steps as usize,
        &context.interrupt,
        &mut |done| bar.set_position(done as u64),
    );
    bar.finish_and_clear();
    let test = test?;

    fs::create_dir_all(&args.out)?;
    plot::save(&args.out, CHART, &chart(&test), PNG_WIDTH)?;
    if let Some(target) = &args.json {
        printer.json(target, &test)?;
    }
    printer.result(text(&test))?;
    let path = args.out.join(CHART);
    printer.log(format!("chart: {0}.svg, {0}.png", path.display()));
    let Some(lr) = test.suggestion else {
        return Ok(ExitStatus::CheckFailed);
    };
    let next = command_line::other_command("fit", &OWN_FLAGS, &["--lr", &two_figures(lr)]);
    printer.log(format!("next: {next}"));
    Ok(ExitStatus::Success)
}

fn text(test: &RangeTest) -> String {
    let by_loss = |a: &&RangeStep, b: &&RangeStep| a.smoothed.total_cmp(&b.smoothed);
    let Some(least) = test.steps.iter().min_by(by_loss) else {
        return "the loss of the first step is not finite: nothing is suggested".into();
    };
    let end = match test.diverged_at {
        Some(lr) => format!("diverged at {}", two_figures(lr)),
        None => "has not diverged".into(),
    };
    let suggestion = match test.suggestion {
        Some(lr) => format!(
            "suggestion: --lr {}, where the loss falls fastest",
            two_figures(lr)
        ),
        None => "the loss does not fall at any rate: nothing is suggested; more steps (`--steps`) or larger batches \
                 make it less noisy"
            .into(),
    };
    format!(
        "loss: {:.4} at first, {:.4} at least (at {}), {end}\n{suggestion}",
        test.initial_loss,
        least.smoothed,
        two_figures(least.lr)
    )
}

fn two_figures(lr: f64) -> String {
    format!("{lr:.1e}")
}

fn chart(test: &RangeTest) -> Chart {
    let curve = |value: &dyn Fn(&RangeStep) -> f64| -> Vec<[f64; 2]> {
        let steps = test.steps.iter().map(|step| [step.lr, value(step)]);
        steps
            .take_while(|point| point[1] <= HIGHEST * test.initial_loss)
            .collect()
    };
    let (raw, smoothed) = (curve(&|step| step.loss), curve(&|step| step.smoothed));
    let values: Vec<f64> = raw.iter().chain(&smoothed).map(|point| point[1]).collect();
    let mut marks = vec![
        Mark::Curve {
            name: "loss of a step".into(),
            series: 5,
            is_dashed: false,
            points: raw,
        },
        Mark::Curve {
            name: "smoothed".into(),
            series: 0,
            is_dashed: false,
            points: smoothed,
        },
    ];
    if let Some(lr) = test.suggestion {
        marks.push(Mark::Vertical {
            name: format!("suggestion: {}", two_figures(lr)),
            x: lr,
        });
    }
    let rates = test.steps.iter().map(|step| step.lr);
    Plot {
        title: "Training loss by learning rate".into(),
        x: Axis::new("learning rate")
            .scaled(Scaling::Log)
            .around(rates),
        y: Axis::new("training loss (nats)").around(values.into_iter()),
        marks,
        ..Plot::default()
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(lr: f64, loss: f64) -> RangeStep {
        RangeStep {
            lr,
            loss,
            smoothed: loss,
        }
    }

    fn found() -> RangeTest {
        RangeTest {
            steps: vec![step(1e-7, 0.7), step(1e-3, 0.25), step(0.1, 40.0)],
            initial_loss: 0.7,
            diverged_at: Some(0.1),
            suggestion: Some(3.16e-4),
        }
    }

    #[test]
    fn the_text_has_the_losses_and_the_suggestion_to_type() {
        insta::assert_snapshot!(text(&found()), @r"
        loss: 0.7000 at first, 0.2500 at least (at 1.0e-3), diverged at 1.0e-1
        suggestion: --lr 3.2e-4, where the loss falls fastest
        ");
        let flat = RangeTest {
            steps: vec![step(1e-7, 0.7)],
            initial_loss: 0.7,
            diverged_at: None,
            suggestion: None,
        };
        insta::assert_snapshot!(text(&flat), @r"
        loss: 0.7000 at first, 0.7000 at least (at 1.0e-7), has not diverged
        the loss does not fall at any rate: nothing is suggested; more steps (`--steps`) or larger batches make it less noisy
        ");
        let empty = RangeTest {
            steps: vec![],
            ..flat
        };
        assert!(text(&empty).contains("not finite"));
        // An empty chart is drawn, too.
        assert!(chart(&empty).file().contains("</svg>"));
    }

    #[test]
    fn the_chart_marks_the_suggestion_and_leaves_out_a_loss_that_diverged() {
        let svg = chart(&found()).file();
        assert!(
            svg.contains("suggestion: 3.2e-4") && svg.contains("learning rate"),
            "{svg}"
        );
        assert!(!svg.contains(">40<"), "{svg}");
    }
}

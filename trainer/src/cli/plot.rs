//! The flags of `trainer plot`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use report::ChartKind;

/// The flags of `trainer plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// The runs, by folder or name; several are drawn over each other
    #[arg(required = true, value_name = "RUN")]
    pub run: Vec<PathBuf>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Charts to draw, such as loss,roc [default: all that the runs have data for]
    #[arg(long, value_parser = chart_kinds(), value_delimiter = ',', value_name = "KIND")]
    pub kind: Vec<ChartKind>,
    /// Folder of the files [default: RUN/plots; of several runs: plots]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Width of the PNG files, in pixels
    #[arg(long, default_value_t = 1600, value_parser = clap::value_parser!(u32).range(100..=8000))]
    pub width: u32,
}

fn chart_kinds() -> impl TypedValueParser<Value = ChartKind> {
    let values = ChartKind::ALL.map(|(_, name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<ChartKind>())
}

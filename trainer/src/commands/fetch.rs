//! `trainer fetch`: a public data set or weights into the cache folder.

use console::{ExitStatus, Printer};
use data::catalog;
use data::fetch::{self, FetchOptions};

use crate::cli::{FetchArgs, Fetchable};

pub fn run(args: &FetchArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = data::cache::dir(args.cache.as_deref())?;
    let name = match args.what {
        Fetchable::Hymenoptera => catalog::HYMENOPTERA,
        Fetchable::Resnet18 => catalog::RESNET18,
    };
    let bar = printer.byte_bar(name);
    let options = FetchOptions {
        cache,
        from: args.from.clone(),
        sha256: args.sha256.clone(),
        progress: &|done, total| {
            bar.set_length(total.unwrap_or(done));
            bar.set_position(done);
        },
    };
    let fetched = match args.what {
        Fetchable::Hymenoptera => fetch::hymenoptera(&options),
        Fetchable::Resnet18 => fetch::resnet18(&options),
    };
    bar.finish_and_clear();
    let path = fetched?;
    printer.result(format!("{}", path.display()))?;
    printer.log(match args.what {
        Fetchable::Hymenoptera => "next: trainer fit --data hymenoptera",
        Fetchable::Resnet18 => "next: trainer fit --backbone resnet18",
    });
    Ok(ExitStatus::Success)
}

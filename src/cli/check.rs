//! `surgcam check`.

use super::context::Context;
use super::{Machine, Overrides};
use crate::error::{Error, Result};
use crate::report::printer;

#[derive(clap::Args)]
pub struct Arguments {
    /// Experiments to check; all in experiments/ if left out
    experiments: Vec<String>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Resolves every recipe of every cell. Data folders need not be there.
pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = Context::new(arguments.experiments.first().map(String::as_str), &arguments.overrides, &Machine::default())?;
    let mut names = arguments.experiments.clone();
    if names.is_empty() {
        names = context.experiment_files()?.iter().map(|path| path.display().to_string()).collect();
    }
    let mut wrong = 0;
    for name in &names {
        match check(&context, name) {
            Ok(cells) => printer::data(&format!("{name}: {cells} cells, no mistake found")),
            Err(error) => {
                wrong += 1;
                printer::error(&error);
            }
        }
    }
    if wrong > 0 {
        return Err(Error::usage(format!("{wrong} of {} experiments have a mistake", names.len())));
    }
    Ok(())
}

fn check(context: &Context, name: &str) -> Result<usize> {
    let experiment = context.experiment(name)?;
    for cell in &experiment.cells {
        let model = experiment.model(cell, &cell.model)?;
        for data in [Some(&model.value.data), model.value.validation.as_ref()].into_iter().flatten() {
            experiment.data(cell, data)?;
        }
        if let Some(extraction) = &cell.extraction {
            experiment.extraction(cell, extraction)?;
        }
        experiment.heads(cell)?;
    }
    Ok(experiment.cells.len())
}

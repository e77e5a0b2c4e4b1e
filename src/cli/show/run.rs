//! `surgcam show run`.

use serde_json::json;

use crate::cli::asked_for;
use crate::cli::context::Context;
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

/// Prints a run: what it was asked to do, what it did, and with which recipes.
pub fn show_run(id: &str) -> Result<()> {
    let store = Context::plain()?.store()?;
    let run = store.run(id)?;
    let line = |name: &str, value: String| printer::line(&format!("{name:<11} {value}"));
    line("run", run.id.clone())?;
    line("experiment", run.experiment.clone())?;
    line("command", run.command_line())?;
    line("state", run.state.name().to_string())?;
    line("started", format!("{} on {}, surgcam {}", run.started, run.host, run.surgcam))?;
    line("seconds", format!("{:.1}", run.seconds))?;
    line(
        "stages",
        format!("{} run, {} cached, {} failed", run.executed.len(), run.cached, run.failures()),
    )?;
    for executed in &run.executed {
        printer::line(&format!(
            "  ran     {}  {:>8.1} s  {}",
            executed.key.short(),
            executed.seconds,
            executed.stage
        ))?;
    }
    for failed in &run.failed {
        // The problem's hint is on a line of its own.
        printer::lines(&format!("  FAILED  {}: {}", escape::line(&failed.stage), failed.problem))?;
    }
    let snapshot = store.plan_snapshot(&run.plan)?;
    for recipe in &snapshot.recipes {
        let text = |key: &str| recipe[key].as_str().unwrap_or_default().to_string();
        printer::line(&format!("[{}.{}]", text("section"), text("name")))?;
        for (key, value) in
            recipe["values"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
        {
            let origin = recipe["origins"][key].as_str().unwrap_or("built-in");
            if origin != "built-in" {
                printer::line(&format!("  {key} = {value}  # {origin}"))?;
            }
        }
    }
    Ok(())
}

/// Prints the run's own file for other programs. `asked` has the experiment and the overrides of
/// its command, or is null where the command was not about one experiment.
pub fn print_json(id: &str) -> Result<()> {
    let run = Context::plain()?.store()?.run(id)?;
    let asked = asked_for(&run.command);
    let unprintable =
        |error: serde_json::Error| Error::failure(format!("cannot print the run: {error}"));
    let mut text = serde_json::to_value(&run).map_err(unprintable)?;
    text["asked"] = match asked {
        Some(asked) => json!({"experiment": asked.experiment, "set": asked.overrides.set}),
        None => json!(null),
    };
    printer::lines(&serde_json::to_string_pretty(&text).map_err(unprintable)?)
}

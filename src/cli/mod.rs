//! The command line: one thin file a command.

mod check;
mod context;
mod doctor;
mod export;
mod plan;
mod run;
mod show;
mod table;
mod view;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::error::{Class, Result};
use crate::report::printer;

/// Declarative experiments on gradient-based localised feature extraction for surgical vision.
///
/// EXPERIMENT is a TOML file, or the name of one in experiments/.
#[derive(Parser)]
#[command(name = "surgcam", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 all done; 1 a stage failed; 2 the recipe or the command line is wrong, nothing ran; 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Run what of an experiment is not in the store yet, and print its tables
    Run(run::Arguments),
    /// List an experiment's stages: cached, or to run and why
    Plan(plan::Arguments),
    /// Print an experiment's tables from the store, running nothing
    Table(table::Arguments),
    /// Write localizations, crops or features as files for other programs
    Export(export::Arguments),
    /// Draw one frame with a heat map and its boxes
    View(view::Arguments),
    /// Show a resolved recipe and where each value came from
    Show(show::Arguments),
    /// Check every recipe and experiment without running anything
    Check(check::Arguments),
    /// Tell what this machine has: libtorch, devices, store, disk
    Doctor(doctor::Arguments),
}

/// What every command that reads recipes takes.
#[derive(Args, Clone, Default)]
struct Overrides {
    /// Override a recipe's value, as in model.epochs=2 or data.endovis18.root=/data (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// What every command that runs stages takes.
#[derive(Args, Clone, Default)]
struct Machine {
    /// auto, cpu or cuda:N
    #[arg(long)]
    device: Option<String>,
    /// Stages side by side that need no device
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Threads of a stage on the CPU
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Runs the command line and gives the exit code.
pub fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("SURGCAM_LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.class() != Class::Interrupted {
                printer::error(&error);
            }
            ExitCode::from(error.class().exit_code())
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run(arguments) => run::execute(&arguments),
        Command::Plan(arguments) => plan::execute(&arguments),
        Command::Table(arguments) => table::execute(&arguments),
        Command::Export(arguments) => export::execute(&arguments),
        Command::View(arguments) => view::execute(&arguments),
        Command::Show(arguments) => show::execute(&arguments),
        Command::Check(arguments) => check::execute(&arguments),
        Command::Doctor(arguments) => doctor::execute(&arguments),
    }
}

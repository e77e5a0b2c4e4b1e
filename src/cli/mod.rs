//! The command line: a thin file for each command, and a folder with one for each subcommand where
//! a command has several. `context`, `execution`, `opened_run` and `transient` are what commands
//! share, and `ending` is what the last job of a cluster does.

mod attach;
mod bench;
mod cancel;
mod candidates;
mod caption;
mod check;
mod completions;
mod context;
mod data;
mod diff;
mod doctor;
mod ending;
mod execution;
mod export;
mod graph;
mod help;
mod init;
mod job;
mod logs;
mod make;
mod man;
mod opened_run;
mod plan;
mod plot;
mod report;
mod run;
mod runs;
mod schema;
mod show;
mod store;
mod submit;
mod table;
mod transient;
mod view;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::{ArgValueCompleter, CompleteEnv};

use crate::report::printer;
use context::Context;
use surgcam_engine::error::{Class, Result};
use surgcam_engine::machine;

/// Declarative experiments on gradient-based localised feature extraction for surgical vision.
///
/// EXPERIMENT is a TOML file, or the name of one in experiments/.
#[derive(Parser)]
#[command(name = "surgcam", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success; 1 a stage failed; 2 a recipe or the command line \
                          is wrong and nothing ran; 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Run the stages of an experiment that are not in the store yet, and print its tables
    Run(run::Arguments),
    /// List an experiment's stages: cached, or to be run and why
    Plan(plan::Arguments),
    /// Make the named stages of an experiment only; their inputs must be in the store
    Make(make::Arguments),
    /// Show the progress of a run that was handed to a cluster, until it ends
    Attach(attach::Arguments),
    /// End a run that was handed to a cluster
    Cancel(cancel::Arguments),
    /// Do the work of one job of a cluster
    #[command(hide = true)]
    Job(job::Arguments),
    /// Draw an experiment's stages as Mermaid, DOT or SVG
    Graph(graph::Arguments),
    /// Print an experiment's tables from the store without running anything
    Table(table::Arguments),
    /// Write results/NAME/report.html (tables, figures, pictures) without running anything
    Report(report::Arguments),
    /// Draw one figure of an experiment without running anything
    Plot(plot::Arguments),
    /// Write localizations, boxes, crops, features or captioners as files for other programs
    Export(export::Arguments),
    /// Describe pictures: a caption, an interaction graph and the time for each
    Caption(caption::Arguments),
    /// Draw one frame with a heat map and its boxes
    View(view::Arguments),
    /// Show a run, or a recipe and where each of its values came from
    Show(show::Arguments),
    /// List the runs, newest first
    Runs(runs::Arguments),
    /// Compare the recipes, digests and metrics of two runs
    Diff(diff::Arguments),
    /// Show what happened to a stage and what its worker wrote
    Logs(logs::Arguments),
    /// Inspect and maintain the store: ls, size, verify, gc, why, push, pull
    Store(store::Arguments),
    /// Make a project folder of your own, with all recipes and experiments
    Init(init::Arguments),
    /// Check every recipe and experiment without running anything
    Check(check::Arguments),
    /// Check a data set's folder before anything is trained on it
    Data(data::Arguments),
    /// Show what this machine has: libtorch, devices, store
    Doctor(doctor::Arguments),
    /// Measure what extraction and the orchestrator cost on this machine
    Bench(bench::Arguments),
    /// Print the JSON Schema of recipes and experiments, for editors
    Schema(schema::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print the man page, or write the man pages of all commands
    Man(man::Arguments),
}

/// The options of every command that reads recipes.
#[derive(Args, Clone, Default)]
struct Overrides {
    /// Override a value of a recipe, as in model.epochs=2 or data.endovis18.root=/data (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// The options of every command that starts workers.
#[derive(Args, Clone, Default)]
struct WorkerOptions {
    /// Devices: auto, cpu, cuda:N, several (cuda:0,cuda:1) or all; each runs one stage at a time
    #[arg(long, visible_alias = "devices")]
    device: Option<String>,
    /// How many stages that need no device run at once; by default one for each core, at most 8
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Threads of a stage on the CPU; by default all cores
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// The arguments of every command that is about an experiment.
#[derive(Args, Clone)]
struct ExperimentArguments {
    /// The experiment: a file, or the name of one in experiments/
    #[arg(add = ArgValueCompleter::new(candidates::experiments))]
    experiment: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    workers: WorkerOptions,
}

impl ExperimentArguments {
    fn context(&self) -> Result<Context> {
        Context::new(Some(&self.experiment), &self.overrides, &self.workers)
    }
}

/// Runs the command line and gives the exit code.
pub fn main() -> ExitCode {
    // Where a shell asks for completions, the process ends here.
    CompleteEnv::with_factory(Cli::command).var(completions::VARIABLE).complete();
    machine::fail_writes_beyond_a_limit();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SURGCAM_LOG")
                .unwrap_or_else(|_| "warn".into()),
        )
        .with_ansi(false)
        .with_writer(|| printer::Diagnostics)
        .init();
    let outcome = match parse() {
        Ok(cli) => execute(cli.command),
        // The message quotes the command line, which may contain any file name.
        Err(mistake) if mistake.use_stderr() => {
            printer::messages(mistake.render().to_string().trim_end());
            return ExitCode::from(Class::Usage.exit_code());
        }
        // Help and the version contain only text of this program, so their colours are kept.
        Err(asked) => printer::written(asked.print()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.class() != Class::Interrupted {
                printer::error(&error);
            }
            ExitCode::from(error.class().exit_code())
        }
    }
}

fn parse() -> clap::error::Result<Cli> {
    let matches = help::with_groups(Cli::command()).try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

/// What an earlier command line asked for: its experiment and its overrides. `None` where it was
/// not about one experiment, or where another version of the program had other options.
fn asked_for(command_line: &[String]) -> Option<ExperimentArguments> {
    match Cli::try_parse_from(command_line).ok()?.command {
        Command::Run(arguments) => Some(arguments.asked),
        Command::Make(arguments) => Some(arguments.asked),
        Command::Export(arguments) => Some(arguments.asked),
        Command::View(arguments) => Some(arguments.asked),
        _ => None,
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run(arguments) => run::execute(&arguments),
        Command::Plan(arguments) => plan::execute(&arguments),
        Command::Make(arguments) => make::execute(&arguments),
        Command::Attach(arguments) => attach::execute(&arguments),
        Command::Cancel(arguments) => cancel::execute(&arguments),
        Command::Job(arguments) => job::execute(&arguments),
        Command::Table(arguments) => table::execute(&arguments),
        Command::Report(arguments) => report::execute(&arguments),
        Command::Plot(arguments) => plot::execute(&arguments),
        Command::Export(arguments) => export::execute(&arguments),
        Command::Caption(arguments) => caption::execute(&arguments),
        Command::View(arguments) => view::execute(&arguments),
        Command::Show(arguments) => show::execute(&arguments),
        Command::Init(arguments) => init::execute(&arguments),
        Command::Check(arguments) => check::execute(&arguments),
        Command::Data(arguments) => data::execute(&arguments),
        Command::Doctor(arguments) => doctor::execute(&arguments),
        Command::Graph(arguments) => graph::execute(&arguments),
        Command::Runs(arguments) => runs::execute(&arguments),
        Command::Diff(arguments) => diff::execute(&arguments),
        Command::Logs(arguments) => logs::execute(&arguments),
        Command::Store(arguments) => store::execute(&arguments),
        Command::Bench(arguments) => bench::execute(&arguments),
        Command::Schema(arguments) => schema::execute(&arguments),
        Command::Completions(arguments) => completions::execute(&arguments),
        Command::Man(arguments) => man::execute(&arguments, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(line: &str) -> bool {
        Cli::try_parse_from(std::iter::once("surgcam").chain(line.split(' '))).is_ok()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_run_is_shown_by_its_id_alone_and_a_recipe_by_the_word() {
        for line in [
            "show latest",
            "show 20260131",
            "show run latest",
            "show recipe gc-d",
            "show recipe gc-d --set model.epochs=2",
        ] {
            assert!(is_accepted(line), "{line}");
        }
        for line in ["show", "show latest latest", "show latest recipe gc-d", "show recipe"] {
            assert!(!is_accepted(line), "{line}");
        }
    }

    #[test]
    fn an_earlier_command_line_tells_its_experiment_and_overrides() {
        let asked = |line: &str| {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            asked_for(&words).map(|asked| (asked.experiment, asked.overrides.set))
        };
        let expected = |experiment: &str, set: &[&str]| -> Option<(String, Vec<String>)> {
            Some((experiment.to_string(), set.iter().map(ToString::to_string).collect()))
        };
        assert_eq!(asked("surgcam run paper --set a.b=1"), expected("paper", &["a.b=1"]));
        assert_eq!(asked("/bin/surgcam make paper one --jobs 2"), expected("paper", &[]));
        assert_eq!(asked("surgcam runs"), None);
        assert_eq!(asked("surgcam run paper --an-option-of-the-past"), None);
    }

    #[test]
    fn options_of_an_experiment_may_stand_on_both_sides_of_it() {
        assert!(is_accepted("run --set a.b=1 paper --devices cpu --jobs 2"));
        assert!(is_accepted("export features --threads 1 paper --out x"));
        assert!(
            is_accepted("run --executor slurm paper") && !is_accepted("run --executor pbs paper")
        );
        assert!(is_accepted("make --json paper one two --jobs 2") && !is_accepted("make paper"));
    }
}

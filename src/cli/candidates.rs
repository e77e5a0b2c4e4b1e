//! What a shell completes: the experiments, recipes, stages and runs that are there at that moment.
//!
//! Completing writes nothing and starts nothing. What cannot be read is not completed, and nobody
//! is told, because a message would be printed into the line that somebody types.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};

use super::context::Context;
use surgcam_engine::store::Store;
use surgcam_engine::store::runs::Run;
use surgcam_pipeline::build;
use surgcam_pipeline::goal::Goal;
use surgcam_recipe::library::Library;

/// How many of the newest runs are completed, and searched for names of stages.
const NEWEST: usize = 30;

/// Names of experiments in experiments/, and TOML files.
pub fn experiments(current: &OsStr) -> Vec<CompletionCandidate> {
    let files = Context::plain().and_then(|context| context.experiment_files()).unwrap_or_default();
    let names = files.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()));
    let mut found = beginning(current, names);
    found.extend(PathCompleter::any().filter(is_toml_file).complete(current));
    found
}

fn is_toml_file(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension == "toml")
}

/// Names of recipes; with their sections once a dot is typed, as in `model.gc-d`.
pub fn recipes(current: &OsStr) -> Vec<CompletionCandidate> {
    let has_section = current.to_string_lossy().contains('.');
    let library =
        Context::plain().and_then(|context| Library::load(&context.project.join("recipes")));
    let Ok(library) = library else { return Vec::new() };
    // Recipes of several sections may share a name.
    let mut names = BTreeSet::new();
    for (section, name, _) in library.recipes() {
        names.insert(if has_section {
            format!("{}.{name}", section.name())
        } else {
            name.to_string()
        });
    }
    beginning(current, names)
}

/// Ids of the newest runs, each with its experiment where the shell shows it, and `latest`.
pub fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = beginning(current, ["latest".to_string()]);
    for run in newest_runs() {
        let candidates = beginning(current, [run.id]).into_iter();
        found.extend(candidates.map(|id| id.help(Some(run.experiment.clone().into()))));
    }
    found
}

/// Names of stages that the newest runs planned.
pub fn past_stages(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(store) = store_if_there() else { return Vec::new() };
    let mut names = BTreeSet::new();
    for run in newest_runs() {
        let snapshot = store.plan_snapshot(&run.plan);
        names.extend(snapshot.into_iter().flat_map(|plan| plan.stages).map(|stage| stage.name));
    }
    beginning(current, names)
}

/// Names of the stages of the experiment that the command line names before them.
pub fn stages(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    // The words that are typed come behind the program's own and `--`.
    let words: Vec<String> = words.skip_while(|word| word != "make").skip(1).collect();
    beginning(current, stages_of(&words).unwrap_or_default())
}

fn stages_of(words: &[String]) -> Option<Vec<String>> {
    let context = Context::plain().ok()?;
    let store = store_if_there()?;
    let experiment = words.iter().find_map(|word| context.experiment(word).ok())?;
    // Without a machine there are no speed stages. Asking for one would start a worker.
    let built =
        build::build(&experiment, &context.project, &store, &Goal::of(&experiment), None).ok()?;
    Some(built.plan.stages.into_iter().map(|stage| stage.name).collect())
}

fn newest_runs() -> Vec<Run> {
    let Some(store) = store_if_there() else { return Vec::new() };
    store.runs().flatten().take(NEWEST).collect()
}

/// The project's store, if it has one already.
fn store_if_there() -> Option<Store> {
    let context = Context::plain().ok()?;
    if context.has_store() { context.store().ok() } else { None }
}

/// The names that begin with what is typed. Names with control characters are left out, because a
/// terminal would act on them.
fn beginning(current: &OsStr, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    // Bash gives the word as it was typed, with its quotes, and inserts a completion as it is. The
    // other shells remove and add quotes themselves.
    let is_bash = std::env::var_os("_CLAP_COMPLETE_COMP_TYPE").is_some();
    let (typed, is_quoted) = unquoted(&current.to_string_lossy());
    names
        .into_iter()
        .filter(|name| name.starts_with(&typed) && !name.contains(char::is_control))
        .map(|name| if is_bash && !is_quoted { name.replace(' ', "\\ ") } else { name })
        .map(CompletionCandidate::new)
        .collect()
}

/// A word without its backslashes, and whether it is quoted: then it began with a quotation mark,
/// and its spaces have no backslashes.
fn unquoted(word: &str) -> (String, bool) {
    let spaces = word.matches(' ').count();
    (word.replace('\\', ""), spaces > word.matches("\\ ").count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_completed_with_and_without_quotes() {
        assert_eq!(unquoted("train\\ gc"), ("train gc".to_string(), false));
        assert_eq!(unquoted("train gc"), ("train gc".to_string(), true));
        let names = ["train gc-a", "train gc-b", "train\u{7}", "pack"].map(String::from);
        let found = beginning(OsStr::new("train\\ gc"), names);
        let values: Vec<&OsStr> = found.iter().map(CompletionCandidate::get_value).collect();
        assert_eq!(values, ["train gc-a", "train gc-b"]);
    }
}

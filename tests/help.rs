//! What the program says: the help of every command and typical errors, as snapshots.
//!
//! A change of a snapshot is a change of what users read. Accept it with `INSTA_UPDATE=always`.

use surgcam_testkit as common;

use common::experiments::{small_with, sweep};
use common::{Place, Said};

/// Runs the program as on a terminal of 100 columns, without colours.
fn run(place: &Place, arguments: &[&str]) -> Said {
    let mut command = place.surgcam(arguments);
    // Without a terminal, clap takes its width from this variable.
    command.env("COLUMNS", "100").env_remove("CLICOLOR_FORCE");
    command.output().unwrap().into()
}

/// The commands that a help text lists, without `help` itself. What stands below other headings
/// than those of options and arguments are commands.
fn listed_commands(help: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_below_commands = false;
    // Above its usage, a help text describes its command.
    for line in help.lines().skip_while(|line| !line.starts_with("Usage:")) {
        if let Some(heading) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            is_below_commands = !["Options", "Arguments"].contains(&heading);
        }
        // Deeper lines are continued descriptions.
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '));
        names.extend(name.filter(|_| is_below_commands).and_then(|rest| rest.split(' ').next()));
    }
    names.into_iter().filter(|name| *name != "help").map(String::from).collect()
}

/// Appends the help of a command and of all commands below it.
fn collect_help(place: &Place, command: &[&str], texts: &mut Vec<String>) {
    let said = run(place, &[command, &["--help"]].concat());
    assert_eq!(said.code, Some(0), "{command:?}: {}", said.err);
    texts.push(format!(
        "$ surgcam {}\n\n{}",
        [command, &["--help"]].concat().join(" "),
        said.out.trim_end()
    ));
    for name in listed_commands(&said.out) {
        collect_help(place, &[command, &[name.as_str()]].concat(), texts);
    }
}

#[test]
fn help_of_every_command() {
    let mut texts = Vec::new();
    collect_help(&Place::new(), &[], &mut texts);
    assert!(texts.len() > 25, "commands are found in the help: {}", texts.len());
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn typical_errors() {
    let place = Place::new();
    let good = sweep(&place, "good", "", "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]");
    let unknown_model = sweep(
        &place,
        "unknown-model",
        "",
        "[matrix]\nmodel = [\"tyni\"]\nextraction = [\"sl-fe\"]",
    );
    let unknown_key =
        small_with(&place, "unknown-key.toml", "[model.other]\nextends = \"tiny\"\nepoch = 3\n");
    let commands: [&[&str]; 12] = [
        &["rnu", "quickstart"],
        &["run", "--job", "2", "quickstart"],
        &["plan", "quikstart"],
        &["plan", &unknown_model],
        &["check", &unknown_key],
        &["show", "recipe", "gc-dd"],
        &["plan", &good, "--set", "model.epochs"],
        &["plan", &good, "--set", "model.epochs=many"],
        &["plan", &good, "--set", "model.epoch=2"],
        &["plan", &good, "--set", "model.tyni.epochs=2"],
        &["store", "ls", "--kind", "trian"],
        &["diff", "latest", "latest"],
    ];
    let folder = place.folder.path().display().to_string();
    let mut texts = Vec::new();
    for arguments in commands {
        let said = run(&place, arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}{}", said.out, said.err);
        let text = format!("$ surgcam {}\n\n{}", arguments.join(" "), said.err.trim_end());
        texts.push(
            text.replace(&folder, "FOLDER")
                .replace(common::project_folder().to_str().unwrap(), "PROJECT"),
        );
    }
    insta::assert_snapshot!(texts.join("\n\n"));
}

//! The help of `surgcam` itself: its commands in groups, by what people do with them. clap lists
//! the commands of a program one after another.

use clap::builder::Styles;

/// What people do, and the commands for it, in the order of the help.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Begin", &["init", "data", "check", "doctor"]),
    ("Run experiments", &["run", "plan", "graph", "make", "attach", "cancel"]),
    ("Look at results", &["table", "report", "plot", "view", "export", "caption"]),
    ("Look at runs and recipes", &["runs", "show", "diff", "logs"]),
    ("Maintain the store, measure this machine", &["store", "bench"]),
    ("Set up shells and editors", &["completions", "man", "schema", "help"]),
];

/// The heading of commands that [`GROUPS`] does not name.
const OTHERS: &str = "Other commands";

/// A command's name, and what the help says about it.
type Described = (String, String);

/// The command with this help.
pub fn with_groups(command: clap::Command) -> clap::Command {
    let styles = Styles::styled();
    let (heading, literal) = (styles.get_header(), styles.get_literal());
    let all = described(&command);
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line =
        |(name, about): Described| format!("  {literal}{name:<width$}{literal:#}  {about}\n");
    let section = |(title, commands): (&str, Vec<Described>)| {
        let lines: String = commands.into_iter().map(line).collect();
        format!("{heading}{title}:{heading:#}\n{lines}\n")
    };
    let sections: String = grouped(all).into_iter().map(section).collect();
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{sections}\
         {heading}Options:{heading:#}\n{{options}}{{after-help}}"
    ))
}

fn described(command: &clap::Command) -> Vec<Described> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    let described = visible.map(|command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        (command.get_name().to_string(), about)
    });
    // clap adds this one itself, and only when it parses.
    let help = ("help".into(), "Print this message or the help of the given subcommand(s)".into());
    described.chain([help]).collect()
}

/// The commands of each group that has any.
fn grouped(mut all: Vec<Described>) -> Vec<(&'static str, Vec<Described>)> {
    let mut groups = Vec::new();
    for (title, names) in GROUPS {
        let places = names.iter().filter_map(|wanted| {
            let place = all.iter().position(|(name, _)| name == wanted)?;
            Some(all.remove(place))
        });
        groups.push((title, places.collect()));
    }
    groups.push((OTHERS, all));
    groups.retain(|(_, commands): &(_, Vec<Described>)| !commands.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_group() {
        let groups = grouped(described(&Cli::command()));
        let others = groups.iter().find(|(title, _)| *title == OTHERS);
        assert_eq!(others, None, "src/cli/help.rs names the groups");
    }

    #[test]
    fn the_help_has_the_commands_below_their_groups() {
        let help = with_groups(Cli::command()).render_help().to_string();
        let run = help.find("\nRun experiments:\n  run ").expect("a group with its first command");
        assert!(help[run..].contains("\n  plan "), "{help}");
        assert!(help.contains("\nOptions:\n  -h, --help"), "{help}");
    }
}

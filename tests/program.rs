//! The program as a user meets it, where no stage is made: overrides, checks, schema. Its help is
//! in tests/help.rs.

use surgcam_testkit as common;

use std::fs;

use common::Place;
use common::experiments::{small, small_with};

#[test]
fn overrides_come_from_surgcam_toml_variables_and_the_command_line_in_rising_order() {
    let place = Place::new();
    let shown = |variable: Option<&str>, arguments: &[&str]| {
        let mut command = place.surgcam(&[&["show", "recipe", "gc-d"], arguments].concat());
        if let Some(value) = variable {
            command.env("SURGCAM_SET__MODEL__EPOCHS", value);
        }
        let said: common::Said = command.output().unwrap().into();
        said.out.lines().find(|line| line.starts_with("epochs")).unwrap().to_string()
    };
    assert!(shown(None, &[]).contains("= 200") && shown(None, &[]).contains("gc.toml"));
    assert!(
        shown(Some("7"), &[]).contains("= 7")
            && shown(Some("7"), &[]).contains("# SURGCAM_SET__MODEL__EPOCHS")
    );
    let both = shown(Some("7"), &["--set", "model.gc-d.epochs=9"]);
    assert!(both.contains("= 9") && both.contains("# --set"), "{both}");
}

#[test]
fn surgcam_itself_does_not_load_libtorch() {
    let output = std::process::Command::new("ldd").arg(env!("CARGO_BIN_EXE_surgcam")).output();
    let Ok(output) = output else {
        eprintln!("skipped: ldd is not on this machine");
        return;
    };
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(libraries.contains("libc.so") && !libraries.contains("torch"), "{libraries}");
}

#[test]
fn every_shipped_experiment_is_free_of_mistakes() {
    let said = Place::new().run(&["check"], 0);
    assert_eq!(
        said.out.lines().filter(|line| line.contains("no mistake found")).count(),
        said.out.lines().count()
    );
    assert!(said.out.contains("paper.toml") && said.out.contains("quickstart.toml"));
}

#[test]
fn a_split_that_was_never_published_is_asked_for() {
    let place = Place::new();
    let text = "[experiment]\nname = 'first'\ntables = ['classification']\n\
                [matrix]\nmodel = ['cholec80-first-40']\n";
    let file = place.write("first.toml", text);
    let said = place.run(&["plan", file.to_str().unwrap()], 2);
    assert!(said.err.contains("data.cholec80-first-40 names no sequence"), "{}", said.err);
    assert!(said.err.contains("was never published"), "{}", said.err);
}

#[test]
fn a_new_project_is_complete_and_uses_its_own_recipes() {
    let place = Place::new();
    let project = place.path("a project");
    let said = place.run(&["init", project.to_str().unwrap()], 0);
    assert!(
        said.err.ends_with(&format!("cd '{}' && surgcam run quickstart\n", project.display())),
        "{}",
        said.err
    );
    // Every setting is in force, and a recipe differs from the one that the program was built with.
    let settings = fs::read_to_string(project.join("surgcam.toml")).unwrap();
    let line = |line: &str| {
        line.strip_prefix('#')
            .filter(|setting| !setting.starts_with(' '))
            .unwrap_or(line)
            .to_string()
            + "\n"
    };
    fs::write(project.join("surgcam.toml"), settings.lines().map(line).collect::<String>())
        .unwrap();
    let recipe = project.join("recipes/models/gc.toml");
    fs::write(
        &recipe,
        fs::read_to_string(&recipe).unwrap().replace("epochs = 200", "epochs = 201"),
    )
    .unwrap();
    let inside = |arguments: &[&str]| -> common::Said {
        let said: common::Said = place
            .surgcam(arguments)
            .current_dir(project.join("experiments"))
            .output()
            .unwrap()
            .into();
        assert_eq!(said.code, Some(0), "{}", said.err);
        said
    };
    let checked = inside(&["check"]).out;
    assert!(
        checked.lines().count() > 4
            && checked.lines().all(|line| line.starts_with(project.to_str().unwrap())),
        "{checked}"
    );
    assert!(inside(&["show", "recipe", "gc-d"]).out.contains("= 201"));
    let said = place.run(&["init", project.to_str().unwrap()], 2);
    assert!(said.err.contains("not empty") && said.err.contains("hint: "), "{}", said.err);
    assert!(
        fs::read_to_string(&recipe).unwrap().contains("epochs = 201"),
        "nothing was written over"
    );
}

#[test]
fn check_lists_every_mistake_of_an_experiment_and_of_recipes_that_nothing_uses() {
    let place = Place::new();
    let typos = "[data.mixed]\nadapter = \"mix\"\nparts = [\"drawn\", \"drwan\"]\n\
                 [data.odd]\nextends = \"drawn\"\nadapter = \"endovis81\"\n\
                 [model.tuned]\nextends = \"tiny\"\nfine_tune_from = \"tyni\"\n\
                 [model.lost]\nextends = \"gc-z\"\n";
    let file = small_with(&place, "typos.toml", typos);
    let said = place.run(&["check", &file], 2);
    let expected = [
        "did you mean `drawn`?",
        "adapter recipe `endovis81`",
        "did you mean `tiny`?",
        "no model recipe `gc-z`",
        "4 mistakes",
    ];
    for expected in expected {
        assert!(said.err.contains(expected), "{expected}: {}", said.err);
    }
    assert!(
        !said.out.contains("typos.toml") && said.out.contains("recipes, no mistake found"),
        "{}",
        said.out
    );
    let unreadable = place.write("unreadable.toml", "[modle.x]\n");
    let said = place.run(&["check", unreadable.to_str().unwrap(), &small(&place, "")], 2);
    assert!(
        said.err.contains("did you mean `model`?") && said.err.contains("1 mistake was found"),
        "{}",
        said.err
    );
    assert!(said.out.contains("small.toml: 2 cells, no mistake found"), "{}", said.out);
}

#[test]
fn names_of_files_and_arguments_do_not_act_on_the_terminal() {
    let place = Place::new();
    let text = fs::read_to_string(small(&place, "")).unwrap();
    let odd = place.write("odd\u{1b}[31m.toml", &text);
    let said = place.run(&["check", odd.to_str().unwrap()], 0);
    assert!(
        said.out.contains("odd\\u001b[31m.toml: 2 cells, no mistake found")
            && !said.out.contains('\u{1b}'),
        "{:?}",
        said.out
    );
    let broken = place.write("broken\u{1b}[31m.toml", "[modle.x]\n");
    let said = place.run(&["check", broken.to_str().unwrap()], 2);
    assert!(
        said.err.contains("broken\\u001b[31m.toml:1") && !said.err.contains('\u{1b}'),
        "{:?}",
        said.err
    );
    // Nor do they forge a line of their own.
    let said = place.run(&["show", "recipe", "\u{1b}[31mred\nerror: none"], 2);
    assert!(
        said.err.contains("`\\u001b[31mred\\nerror: none`") && said.err.lines().count() == 2,
        "{:?}",
        said.err
    );
    let said = place.run(&["\u{1b}[31mrnu"], 2);
    assert!(said.err.starts_with("error: ") && !said.err.contains('\u{1b}'), "{:?}", said.err);
}

#[test]
fn the_schema_for_editors_is_the_one_that_is_shipped() {
    let place = Place::new();
    let schema = place.run(&["schema"], 0).out;
    let shipped = common::project_folder().join("docs/recipe.schema.json");
    assert_eq!(
        std::fs::read_to_string(shipped).unwrap(),
        schema,
        "make it again: make recipe-reference"
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell], 0).out.contains("surgcam"));
    }
    assert!(place.run(&["man"], 0).out.contains(".SH SUBCOMMANDS"));
}

#[test]
fn a_shell_completes_commands_experiments_and_recipes_that_are_there() {
    let place = Place::new();
    let completed = |words: &[&str]| -> Vec<String> {
        let mut command = place.surgcam(&[&["--", "surgcam"], words].concat());
        command
            .env("SURGCAM_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
            .env("_CLAP_IFS", "\n");
        let said: common::Said = command.output().unwrap().into();
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out.lines().map(String::from).collect()
    };
    assert_eq!(completed(&["sto"]), ["store"]);
    assert_eq!(completed(&["run", "quick"]), ["quickstart"]);
    assert_eq!(completed(&["show", "recipe", "gc-b"]), ["gc-b"]);
    assert_eq!(completed(&["show", "recipe", "model.gc-b"]), ["model.gc-b"]);
    assert_eq!(completed(&["show", "run", "la"]), ["latest"]);
    assert!(!place.path("store").exists(), "completing makes no store");
}

//! Real captions arrive at their rows.

use surgcam_testkit as common;

use common::objects::objects;
use common::{Place, real_frames};
use surgcam_frames::language::tokens::tokenize;

/// The two real frames through the program: their captions arrive at their rows.
#[test]
fn real_captions_are_joined_to_their_frames() {
    let Some(real) = real_frames() else { return };
    let place = Place::new();
    let text = format!(
        "[experiment]\nname = \"real\"\ntables = [\"extraction\"]\nspeed = false\n\
         heads = [\"caption-small\"]\n\
         [data.real]\nextends = \"endovis18\"\nroot = {:?}\ntrain = [2]\nvalidation = [1]\n\
         image_size = [64, 80]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"real\"\nepochs = 1\nbatch_size = 1\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n[set]\nhead.epochs = 2\n",
        real.join("endovis18")
    );
    let file = place.write("real.toml", &text);
    place.run(&["run", file.to_str().unwrap()], 0);
    let rows = place.table("real", "extraction");
    let (header, row) = rows.split_once('\n').unwrap();
    let column = header.split(',').position(|name| name == "BLEU-4").unwrap();
    assert!(!row.split(',').nth(column).unwrap().is_empty(), "{rows}");
    // What the captioner is judged by are the captions that the files have of these very frames.
    let written = |file: &str| -> Vec<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(real.join("endovis18/captions").join(file)).unwrap())
            .unwrap()
    };
    let entries = [written("captions_train.json"), written("captions_val.json")].concat();
    let (_, _, said) = objects(&place)
        .into_iter()
        .find(|(kind, name, _)| kind == "caption" && name == "captions.jsonl")
        .unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.lines().count() > 0);
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let part = |name: &str| line[name].as_str().unwrap().to_string();
        let (folder, file) = (format!("{}/", part("sequence")), format!("/{}_", part("frame")));
        let of_frame = |entry: &&serde_json::Value| {
            let id_path = entry["id_path"].as_str().unwrap();
            id_path.starts_with(&folder) && id_path.contains(&file)
        };
        let caption =
            |entry: &serde_json::Value| tokenize(entry["caption"].as_str().unwrap()).join(" ");
        let expected: Vec<String> = entries.iter().filter(of_frame).map(caption).collect();
        assert!(expected.contains(&part("reference")), "{line} {expected:?}");
    }
}

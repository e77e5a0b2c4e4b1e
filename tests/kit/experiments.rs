//! Small experiments on drawn scenes: seconds, not minutes.

use super::{Place, write_weights};

const DATA: &str = r#"
[data.drawn]
extends = "sample-endovis18"
train = [2]
validation = [1]
frames_per_sequence = 6
picture_size = [64, 80]
image_size = [64, 80]

[model.tiny]
backbone = "resnet10"
data = "drawn"
epochs = 1
batch_size = 3
"#;

fn experiment(place: &Place, name: &str, settings: &str, rest: &str) -> String {
    let text = format!(
        "[experiment]\nname = \"{name}\"\nspeed_frames = 2\nspeed_warm_up = 1\n{settings}\n\
         {DATA}\n{rest}\n"
    );
    place.write(&format!("{name}.toml"), &text).to_str().unwrap().to_string()
}

/// One model, two modes, all tables.
pub fn small(place: &Place, more: &str) -> String {
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]\n\
        \"extraction.roi_threshold\" = [0.3]";
    experiment(place, "small", "", &format!("{matrix}\n{more}"))
}

/// The small one under another name, with more behind it.
pub fn small_with(place: &Place, name: &str, more: &str) -> String {
    let text = std::fs::read_to_string(small(place, "")).unwrap();
    place.write(name, &format!("{text}\n{more}\n")).to_str().unwrap().to_string()
}

/// The matrix is the caller's; no speed stages.
pub fn sweep(place: &Place, name: &str, settings: &str, matrix: &str) -> String {
    experiment(place, name, &format!("speed = false\n{settings}"), matrix)
}

/// Every kind of stage: models that are trained, fine-tuned and given, all modes.
pub fn every_kind(place: &Place, epochs: usize) -> String {
    let weights = place.path("given.safetensors");
    write_weights(&weights, [1, 1, 1, 1], false, 11, 3);
    let rest = format!(
        "[model.tuned]\nextends = \"tiny\"\nfine_tune_from = \"tiny\"\nseed = 7\n\
         [model.given]\nbackbone = \"resnet10\"\ndata = \"drawn\"\ntrain = \"none\"\n\
         weights = {weights:?}\n\
         [matrix]\nmodel = [\"tiny\", \"tuned\", \"given\"]\n\
         extraction = [\"ln-fe\", \"l-fe\", \"sl-fe\"]\n\
         [set]\nmodel.tiny.epochs = {epochs}\n"
    );
    // Heads of one cell: six epochs of each kind, and the control of the features that they see.
    let heads = "heads = [\"probe\", \"tiny-caption\", \"tiny-interaction\"]\n\
        heads_for = { model = \"tiny\", extraction = \"sl-fe\" }\n";
    experiment(place, "every-kind", heads, &format!("{HEADS}{rest}"))
}

/// Heads of seconds.
const HEADS: &str = r#"
[head.tiny-caption]
extends = "caption-small"
width = 16
layers = 1
feed_forward = 16
memory_slots = 2
epochs = 6
batch_size = 3
beam = 2

[head.tiny-interaction]
extends = "interaction-small"
width = 16
epochs = 6
batch_size = 3
"#;

/// One model, captions and graphs of its features; speed is measured where it is asked for.
pub fn with_heads(place: &Place, name: &str, settings: &str, rest: &str) -> String {
    experiment(place, name, settings, &format!("{HEADS}{rest}"))
}

//! Drawing what a model sees in a frame.

use surgcam_testkit as common;

use common::{Place, project_folder, real_frames};

#[test]
fn a_view_is_drawn_of_the_real_frames() {
    let Some(real) = real_frames() else { return };
    let place = Place::new();
    let out = place.path("view.png");
    let text = format!(
        "[experiment]\nname = \"real\"\n[data.cholec]\nadapter = \"cholec80\"\nroot = \"{}\"\n\
         train = [3]\nvalidation = [3]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"cholec\"\nepochs = 1\nbatch_size = 5\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n",
        real.join("cholec80").display()
    );
    let file = place.write("real.toml", &text);
    let said = place.run(
        &[
            "view",
            file.to_str().unwrap(),
            "--frame",
            "video03/000060",
            "--out",
            out.to_str().unwrap(),
        ],
        0,
    );
    assert!(said.err.contains("3 true ones"), "{}", said.err);
    let drawn = image::open(&out).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (2 * 640 + 8, 512));
    assert!(project_folder().join("recipes").is_dir());
}

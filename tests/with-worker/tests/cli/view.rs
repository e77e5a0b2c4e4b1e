//! Drawing what a model sees in a frame.

use surgcam_testkit as common;

use common::experiments::small;
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
            "--size",
            "640",
            "--out",
            out.to_str().unwrap(),
        ],
        0,
    );
    assert!(said.err.contains("3 true"), "{}", said.err);
    let drawn = image::open(&out).unwrap();
    assert_eq!(drawn.width(), 2 * 640 + 3 * 12);
    assert!(project_folder().join("recipes").is_dir());
}

#[test]
fn sheets_are_drawn_in_every_form_and_of_classes_that_are_not_present() {
    let place = Place::new();
    let file = small(&place, "");
    let draw = |out: &str, more: &[&str]| {
        let path = place.path(out);
        let arguments = [&["view", &file, "--out", path.to_str().unwrap()], more].concat();
        let said = place.run(&arguments, 0);
        (std::fs::read(&path).unwrap(), said.err)
    };
    let (svg, _) = draw("classes.svg", &["--sheet", "classes"]);
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("data:image/png;base64,"));
    let pictures = svg.matches("<image ").count();
    // One of them is not present in the frame, whichever they are.
    for class in 0..pictures {
        let (_, said) = draw("class.png", &["--class", &class.to_string(), "--size", "100"]);
        assert!(said.contains("heat map of "), "{said}");
    }
    assert!(draw("modes.pdf", &["--sheet", "modes"]).0.starts_with(b"%PDF"));
    let modes = String::from_utf8(draw("modes.svg", &["--sheet", "modes"]).0).unwrap();
    assert!(modes.contains(">cells hotter than T_ROI</text>"), "{modes}");
    let (_, said) = draw("thresholds.png", &["--sheet", "thresholds"]);
    assert!(said.contains("T_ROI 0.9"), "{said}");
    let (png, _) = draw("frames.png", &["--sheet", "frames", "--overlay", "authors"]);
    assert!(png.starts_with(b"\x89PNG"));
    let jpeg = draw("frame.jpg", &["--size", "320"]).0;
    assert!(jpeg.starts_with(&[0xFF, 0xD8]));
    let said = place.run(&["view", &file, "--out", "frame.bmp"], 2);
    assert!(said.err.contains(".png, .jpg, .svg or .pdf"), "{}", said.err);
    assert!(!place.path("frame.bmp").exists());
    place.run(&["view", &file, "--size", "100000"], 2);
    place.run(&["view", &file, "--class", "no such class"], 2);
}

#[test]
fn figures_lie_beside_the_report_in_every_form_and_are_plotted_one_at_a_time() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    for name in ["training-map", "training-loss", "timeline"] {
        for extension in ["svg", "pdf", "png"] {
            let path = place.path("results/small/figures").join(format!("{name}.{extension}"));
            assert!(path.is_file(), "{}", path.display());
        }
    }
    let path = place.path("figure.pdf");
    place.run(&["plot", &file, "training-map", "--output", path.to_str().unwrap()], 0);
    assert!(std::fs::read(&path).unwrap().starts_with(b"%PDF"));
    let path = place.path("figure.jpeg");
    place.run(&["plot", &file, "training-map", "--output", path.to_str().unwrap()], 0);
    assert!(std::fs::read(&path).unwrap().starts_with(&[0xFF, 0xD8]));
    let said = place.run(&["plot", &file, "training-map", "--output", "figure.gif"], 2);
    assert!(said.err.contains(".png, .jpg, .svg or .pdf"), "{}", said.err);
    let said = place.run(&["plot", &file, "miou-over-threshold"], 2);
    assert!(said.err.contains("several values of T_ROI"), "{}", said.err);
    assert!(said.err.contains("training-map"), "it says which there are: {}", said.err);
    // Where the system does not let a process forget its peak, it is unknown.
    let record = place.run_record("small");
    let peak = record["executed"][0]["peak_memory"]["resident_bytes"].as_u64();
    assert!(peak.is_none_or(|bytes| bytes > 10 << 20), "{peak:?}");
}

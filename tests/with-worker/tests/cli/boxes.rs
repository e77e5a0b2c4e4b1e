//! True boxes in files, and what localization is scored on.

use surgcam_testkit as common;

use common::Place;

/// Three frames of one Cholec80 video, trained and validated on; boxes are `rows`.
fn with_boxes(place: &Place, rows: &str) -> String {
    let root = place.path("data");
    let frames = root.join("frames/video03");
    std::fs::create_dir_all(&frames).unwrap();
    for number in 0..3 {
        common::picture(number).save(frames.join(format!("{number:06}.png"))).unwrap();
    }
    place.write(
        "data/tool_annotations/video03-tool.txt",
        "Frame\tGrasper\tHook\n0\t1\t0\n25\t0\t1\n50\t1\t1\n",
    );
    place.write("data/boxes/video03.csv", &format!("frame,tool,x1,y1,x2,y2\n{rows}"));
    let text = format!(
        "[experiment]\nname = \"boxes\"\nspeed = false\n\
         tables = [\"localization\", \"extraction\"]\n\
         [data.mine]\nadapter = \"cholec80\"\nroot = {root:?}\ntrain = [3]\nvalidation = [3]\n\
         image_size = [64, 80]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"mine\"\nepochs = 1\nbatch_size = 2\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"ground-truth-boxes\", \"sl-fe\"]\n"
    );
    place.write("boxes.toml", &text).to_str().unwrap().to_string()
}

/// How many frames the localisation was scored on.
fn scored_frames(place: &Place) -> String {
    let table = place.table("boxes", "localization");
    let column =
        table.lines().next().unwrap().split(',').position(|name| name == "frames").unwrap();
    table.lines().nth(1).unwrap().split(',').nth(column).unwrap().to_string()
}

#[test]
fn a_box_that_cannot_be_used_is_named_by_its_line_and_can_be_skipped() {
    for (bad, problem) in
        [("1,laser,5,5,40,40\n", "laser"), ("1,hook,5,x,40,40\n", "`x` is not a coordinate")]
    {
        let place = Place::new();
        let file = with_boxes(&place, &format!("0,grasper,5,5,40,40\n{bad}2,hook,8,8,30,30\n"));
        let said = place.run(&["run", &file], 1);
        assert!(said.err.contains("video03.csv:3") && said.err.contains(problem), "{}", said.err);
        place.run(&["run", &file, "--set", "data.on_bad_frame=skip"], 0);
        assert_eq!(
            (place.run_record("boxes")["skipped_frames"].as_i64(), scored_frames(&place).as_str()),
            (Some(1), "2")
        );
    }
}

#[test]
fn boxes_reach_a_little_over_the_picture_and_a_frame_without_pixels_is_scored_nowhere() {
    let place = Place::new();
    let file = with_boxes(&place, "0,grasper,-4,-3,84,40\n1,hook,79,63,80,64\n");
    place.run(&["run", &file], 0);
    assert_eq!(scored_frames(&place), "3");

    let place = Place::new();
    let file = with_boxes(&place, "0,grasper,5,5,40,40\n");
    let path = place.path("data/frames/video03/000002.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    place.run(&["run", &file, "--set", "data.on_bad_frame=skip"], 0);
    assert_eq!(scored_frames(&place), "2");
}

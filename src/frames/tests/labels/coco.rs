//! COCO files: what is wrong in them is named by the entry, and real frames written so come back.

use serde_json::{Value, json};

use super::table::videos;
use super::*;
use crate::common::{golden_folder, real_frames};
use surgcam_frames::vision::geometry::Box2;

/// The file of the three frames.
pub(super) fn instances() -> String {
    let images = (0..3).map(|frame| {
        let name = format!("v02_{frame:06}.png");
        json!({"id": frame + 7, "file_name": name, "width": 80, "height": 64})
    });
    let objects = OBJECTS
        .iter()
        .enumerate()
        .flat_map(|(frame, objects)| objects.iter().map(move |object| (frame, object)));
    let annotations = objects.map(|(frame, (name, [x1, y1, x2, y2]))| {
        let category = if *name == "hook" { 1 } else { 2 };
        json!({
            "image_id": frame + 7,
            "category_id": category,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": [[1, 2, 3]],
        })
    });
    let categories = json!([{"id": 1, "name": "Hook"}, {"id": 2, "name": "grasper"}]);
    let (images, annotations): (Value, Value) = (images.collect(), annotations.collect());
    json!({"images": images, "annotations": annotations, "categories": categories}).to_string()
}

/// What is said where a part of the file is another.
fn failure_of(part: &str, other: &str) -> String {
    let data = Data::new(Layout::Coco);
    data.replace("instances.json", part, other);
    data.failure()
}

#[test]
fn what_is_wrong_is_named_by_its_entry() {
    for (part, other, said) in [
        ("[5,5,4,4]", "[5,5,-4,4]", "instances.json: annotations[1]: `bbox` is [5,5,-4,4]"),
        ("[5,5,4,4]", "[5,5,4]", "instances.json: annotations[1]: `bbox` is [5,5,4]"),
        (
            "[5,5,4,4]",
            "[5,5,94,4]",
            "instances.json: annotations[1]: the box 5,5,99,9 of `hook` runs off the picture",
        ),
        ("\"Hook\"", "\"hok\"", "instances.json: annotations[1]: `hok` is not a class"),
        ("\"Hook\"", "\"hok\"", "did you mean `hook`?"),
        ("\"Hook\"", "3", "instances.json: categories[0]: the category has no `name`"),
        (
            "\"category_id\":1",
            "\"category_id\":9",
            "instances.json: annotations[1]: no category has the id 9",
        ),
        (
            "\"image_id\":8",
            "\"image_id\":99",
            "instances.json: annotations[1]: no image has the id 99",
        ),
        (
            "v02_000001.png",
            "one.png",
            "instances.json: images[1]: the file_name `one.png` does not fit \
             `v{sequence:02}_{frame:06}.png`",
        ),
        (
            "v02_000001.png",
            "../v02_000001.png",
            "instances.json: images[1]: the path `../v02_000001.png` leaves",
        ),
        (
            "v02_000001.png",
            "v02_000002.png",
            "sequence 2 has a second image with the frame number 2",
        ),
        ("v02_000001.png", "v02_000009.png", "instances.json: images[1] has no picture"),
        ("\"height\":64", "\"height\":65", "the label counts in a picture of 80x65 pixels, but "),
        ("\"id\":8", "\"id\":7", "instances.json: images[1]: a second image has the id 7"),
        ("{", "[", "instances.json:1: cannot understand the COCO file"),
    ] {
        let failure = failure_of(part, other);
        assert!(failure.contains(said), "{other}\n{failure}");
    }
}

#[test]
fn images_that_cannot_be_told_apart_are_not_frames_without_instruments() {
    let data = Data::new(Layout::Coco);
    data.write("instances.json", instances().replacen("\"id\":8", "\"id\":7", 1));
    let index = data.index(OnBadFrame::Skip).unwrap();
    let names: Vec<&str> = index.frames.iter().map(|frame| frame.name.as_str()).collect();
    assert_eq!(names, ["000002"]);
    let problems: Vec<&str> =
        index.summary.skipped.iter().map(|skipped| skipped.problem.as_str()).collect();
    assert!(
        problems.iter().any(|problem| problem.starts_with("the image has the same id as ")),
        "{problems:?}"
    );

    let image = |id: u32| json!({"id": id, "file_name": "any.png", "video_id": 2, "frame_id": id});
    let images = json!({"images": [image(0), image(1)], "annotations": [], "categories": []});
    data.write("instances.json", images.to_string());
    let failure = data.failure();
    assert!(
        failure.contains("instances.json: images[1]: the picture images/any.png is listed twice"),
        "{failure}"
    );
}

#[test]
fn an_image_may_have_its_numbers_apart_from_its_name_and_files_add_up() {
    let data = Data::new(Layout::Coco);
    let second = data.folder.path().join("images/any.png");
    picture(5).save(second).unwrap();
    let image = json!({"id": "a", "file_name": "any.png", "video_id": 2, "frame_id": 30});
    data.write(
        "instances_val.json",
        json!({"images": [image], "annotations": [], "categories": []}).to_string(),
    );
    let index = data.index(OnBadFrame::Fail).unwrap();
    let names: Vec<&str> = index.frames.iter().map(|frame| frame.name.as_str()).collect();
    assert_eq!(names, ["000000", "000001", "000002", "000030"]);
    assert_eq!(index.frames[3].boxes, Some(Vec::new()));
    let files = source(Layout::Coco, &[2], &[2]).source_files(data.folder.path()).unwrap();
    assert!(files.contains(&PathBuf::from("images/any.png")) && files.len() == 6, "{files:?}");
}

/// Both forms are of tests/golden/coco_labels.py. The boxes that pycocotools wrote lie on quarters of
/// a pixel, and those of the table were rounded by that script.
#[test]
fn a_file_that_pycocotools_wrote_says_the_same_as_tables_of_the_same_labels() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["instances.json", "frames.csv", "boxes.csv"] {
        std::fs::copy(golden_folder().join("coco_labels").join(name), root.join(name)).unwrap();
    }
    let rows = std::fs::read_to_string(root.join("frames.csv")).unwrap();
    for row in rows.lines().skip(1) {
        let (name, _) = row.split_once(',').unwrap();
        let path = root.join("frames").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture(1).save(path).unwrap();
    }
    let of = |layout: Layout, frames: &str| {
        let frames = Pattern::parse(frames).unwrap();
        let source = SourceLayout { frames, ..source(layout, &[1, 2], &[7]) };
        index::build(&source, root, &classes(), OnBadFrame::Fail).unwrap()
    };
    let expected = of(Layout::Table, "frames");
    let found = of(Layout::Coco, "frames/video{sequence:02}/{frame:06}.png");
    let boxes = expected.frames.iter().flat_map(|frame| frame.boxes.iter().flatten());
    assert_eq!((expected.frames.len(), boxes.count()), (28, 57));
    assert_eq!((found.frames, found.pictures), (expected.frames, expected.pictures));
    assert_eq!(found.summary, expected.summary);
    assert!(found.corrected_boxes.is_empty(), "{:?}", found.corrected_boxes);
}

#[test]
fn real_frames_written_as_coco_give_the_same_index() {
    let Some(real) = real_frames() else { return };
    let videos = videos("jpg", &[1, 2, 3, 4, 5, 6], &[7]);
    let root = real.join("m2cai16");
    let expected = index::build(&videos, &root, &classes(), OnBadFrame::Fail).unwrap();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (id, (frame, picture)) in expected.frames.iter().zip(&expected.pictures).enumerate() {
        let [width, height] = frame.box_space;
        let name = picture.strip_prefix("frames").unwrap();
        images.push(json!({"id": id, "file_name": name, "width": width, "height": height}));
        for labelled in frame.boxes.iter().flatten() {
            let Box2 { x1, y1, x2, y2 } = labelled.bounds;
            let bbox = [x1, y1, x2 - x1, y2 - y1];
            annotations.push(json!({"image_id": id, "category_id": labelled.class, "bbox": bbox}));
        }
    }
    let names = classes().space.classes;
    let categories: Value =
        names.iter().enumerate().map(|(id, name)| json!({"id": id, "name": name})).collect();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root.join("frames"), folder.path().join("frames")).unwrap();
    let file =
        json!({"images": images, "annotations": annotations, "categories": categories}).to_string();
    std::fs::write(folder.path().join("instances.json"), file).unwrap();
    let coco =
        SourceLayout { layout: Layout::Coco, labels: patterns(&["instances.json"]), ..videos };
    let found = index::build(&coco, folder.path(), &classes(), OnBadFrame::Fail).unwrap();
    assert_eq!((found.frames, found.pictures), (expected.frames, expected.pictures));
}

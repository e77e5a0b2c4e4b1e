//! What is taken from a detector's files, and what is refused with its place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::dataset::frame::Frame;
use crate::dataset::labels::LabelSpace;

/// Two videos of two frames each, whose pictures have 40x20 pixels.
struct Data {
    folder: tempfile::TempDir,
    frames: Vec<Frame>,
    pictures: Vec<PathBuf>,
}

impl Data {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut frames, mut pictures) = (Vec::new(), Vec::new());
        for (video, number) in [(3, 1), (3, 2), (4, 2), (4, 7)] {
            let picture = PathBuf::from(format!("frames/video{video:02}/{number:06}.png"));
            let path = folder.path().join(&picture);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::RgbImage::new(40, 20).save(path).unwrap();
            pictures.push(picture);
            frames.push(Frame {
                sequence: format!("video{video:02}"),
                name: format!("{number:06}"),
                train: false,
                validation: true,
                labels: vec![1],
                boxes: None,
                box_space: [0, 0],
                detected: Vec::new(),
            });
        }
        Data { folder, frames, pictures }
    }

    /// What is read of files of these names and texts, of which the first has the boxes.
    fn read(
        &self,
        files: &[(&str, &str)],
        score_threshold: f64,
    ) -> Result<Vec<(usize, DetectedBox)>> {
        let paths: Vec<PathBuf> =
            files.iter().map(|(name, _)| self.folder.path().join(name)).collect();
        for (path, (_, text)) in paths.iter().zip(files) {
            std::fs::write(path, text).unwrap();
        }
        let known = KnownFrames {
            frames: &self.frames,
            pictures: &self.pictures,
            root: self.folder.path(),
        };
        let files = DetectionFiles {
            boxes: &paths[0],
            format: DetectionFormat::of(&paths[0]).unwrap(),
            annotations: paths.get(1).map(PathBuf::as_path),
            score_threshold,
        };
        read(&files, &known, &classes(), [10, 80])
    }
}

fn classes() -> ClassMap {
    let names = [("hook", "hook"), ("grasper", "grasper"), ("tissue", "tissue")];
    ClassMap {
        space: LabelSpace { classes: vec!["hook".into(), "tissue".into()] },
        names: BTreeMap::from(names.map(|(name, class)| (name.to_string(), class.to_string()))),
    }
}

/// Row, class, corners and score.
fn plain(found: Vec<(usize, DetectedBox)>) -> Vec<(usize, usize, [i64; 4], f32)> {
    found
        .into_iter()
        .map(|(row, found)| (row, found.class, found.scored.bounds.into(), found.scored.confidence))
        .collect()
}

#[test]
fn a_table_names_frames_by_paths_or_by_their_ends_or_by_numbers() {
    let data = Data::new();
    // Of a class that the label space lacks, and of a low score: both are left out.
    let by_path = "path,class,x1,y1,x2,y2,score\n\
                   frames/video04/000002.png,Hook,10,4,20,20,0.75\n\
                   000007.png,hook,0,0,40,20,0.5\n\
                   video03/000002.png,grasper,1,2,3,4,0.9\n\
                   video03/000001.png,tissue,-1,0,8,10.7,0.5\n\
                   video03/000001.png,hook,1,2,3,4,0.25\n";
    let expected = vec![
        (0, 1, [0, 0, 16, 5], 0.5),
        (2, 0, [20, 2, 40, 10], 0.75),
        (3, 0, [0, 0, 80, 10], 0.5),
    ];
    assert_eq!(plain(data.read(&[("boxes.csv", by_path)], 0.5).unwrap()), expected);
    let by_numbers = "sequence\tframe\tclass\tx1\ty1\tx2\ty2\n4\t2\thook\t10\t4\t20\t20\n";
    let found = plain(data.read(&[("boxes.tsv", by_numbers)], 0.5).unwrap());
    assert_eq!(found, [(2, 0, [20, 2, 40, 10], 1.0)]);
}

const ANNOTATIONS: &str = r#"{"images": [{"id": 5, "file_name": "video04/000002.png"}],
    "annotations": [], "categories": [{"id": 1, "name": "Hook"}]}"#;

#[test]
fn coco_results_and_whole_coco_files_give_the_same_boxes() {
    let data = Data::new();
    let entry = r#"{"image_id": 5, "category_id": 1, "bbox": [10, 4, 10, 16], "score": 0.75}"#;
    let expected = vec![(2, 0, [20, 2, 40, 10], 0.75)];
    let results = format!("[{entry}]");
    let found = data.read(&[("r.json", &results), ("a.json", ANNOTATIONS)], 0.5).unwrap();
    assert_eq!(plain(found), expected);
    let whole = ANNOTATIONS.replace("\"annotations\": []", &format!("\"annotations\": [{entry}]"));
    assert_eq!(plain(data.read(&[("whole.json", &whole)], 0.5).unwrap()), expected);
}

#[test]
fn every_problem_is_told_with_its_line() {
    let data = Data::new();
    let head = "path,class,x1,y1,x2,y2,score\n";
    for (row, expected) in [
        (
            "video05/000001.png,hook,1,2,3,4,1",
            "boxes.csv:2: there is a box of `video05/000001.png`",
        ),
        ("000002.png,hook,1,2,3,4,1", "is the end of several pictures' paths"),
        ("../000001.png,hook,1,2,3,4,1", "leaves the data set's folder"),
        ("000001.png,laser,1,2,3,4,1", "boxes.csv:2: `laser` is not a class that the recipe maps"),
        ("000001.png,hook,50,2,60,4,1", "boxes.csv:2: the box 50,2,60,4 of `hook` lies outside"),
        ("000001.png,hook,3,2,1,4,1", "is inverted"),
        ("000001.png,hook,1,2,nan,4,1", "`nan` is not a coordinate"),
        ("000001.png,hook,1,2,3,4,1.5", "boxes.csv:2: the score 1.5 is not from 0 to 1"),
        ("000001.png,hook,1,2,3,4,nan", "the score NaN is not from 0 to 1"),
        ("000001.png,hook,1,2,3,4,x", "`x` is not a score"),
        ("000001.png,hook,1,2,3,4", "the line has 6 columns, 7 are expected"),
    ] {
        let error = data.read(&[("boxes.csv", &format!("{head}{row}\n"))], 0.5).unwrap_err();
        assert!(error.to_string().contains(expected), "{row}: {error}");
    }
    for (head, expected) in [
        ("path,class,x1,y1,x2,y2,class", "boxes.csv:1: the header has the column `class` twice"),
        ("path,class,x1,y1,x2", "boxes.csv:1: the header has no column `y2`"),
        ("class,x1,y1,x2,y2", "neither a column `path` nor the columns `sequence` and `frame`"),
        ("sequence,class,x1,y1,x2,y2", "no column `frame`"),
    ] {
        let error = data.read(&[("boxes.csv", head)], 0.5).unwrap_err().to_string();
        assert!(error.contains(expected), "{head}: {error}");
    }
    let results = |entry: &str| format!("[{entry}]");
    for (entry, expected) in [
        (
            r#"{"image_id": 6, "category_id": 1, "bbox": [0, 0, 1, 1]}"#,
            "r.json: results[0]: no image has the id 6",
        ),
        (r#"{"image_id": 5, "category_id": 2, "bbox": [0, 0, 1, 1]}"#, "no category has the id 2"),
        (
            r#"{"image_id": 5, "category_id": 1, "bbox": [0, 0, 1]}"#,
            "r.json: results[0]: `bbox` is [0,0,1]",
        ),
        (
            r#"{"image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1], "score": "high"}"#,
            "`score` is \"high\"",
        ),
        ("{\"image_id\": 5,\n", "r.json:"),
    ] {
        let error = data
            .read(&[("r.json", &results(entry)), ("a.json", ANNOTATIONS)], 0.5)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{entry}: {error}");
    }
    let alone = data.read(&[("r.json", "[]")], 0.5).unwrap_err().to_string();
    assert!(
        alone.contains("r.json: a list of COCO results") && alone.contains("box_annotations"),
        "{alone}"
    );
}

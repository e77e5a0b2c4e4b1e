//! A plain table of frames says the same as another layout's files, and what is wrong in it is
//! named by its line.

use std::fmt::Write as _;
use std::fs::read_to_string;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::common::real_frames;

/// Where Cholec80's adapter looks, and pictures of another format.
pub(super) fn videos(ending: &str, train: &[u32], validation: &[u32]) -> SourceLayout {
    let mut source = source(Layout::Cholec80, train, validation);
    source.frames =
        Pattern::parse(&format!("frames/video{{sequence:02}}/{{frame:06}}.{ending}")).unwrap();
    source.interactions = patterns(&["interactions/video{sequence:02}.csv"]);
    source
}

/// The same sequences, in tables.
fn tables(videos: &SourceLayout) -> SourceLayout {
    SourceLayout {
        interactions: videos.interactions.clone(),
        ..source(Layout::Table, &videos.train, &videos.validation)
    }
}

/// One row of a Cholec80 tool file.
struct ToolRow<'a> {
    /// Below the root.
    path: String,
    /// 0 or 1 for each tool.
    labels: Vec<&'a str>,
}

/// The names of the tools, and the rows whose frames are in the folder.
fn tool_rows<'a>(
    text: &'a str,
    source: &SourceLayout,
    video: u32,
) -> (Vec<&'a str>, Vec<ToolRow<'a>>) {
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap()[1..].to_vec();
    let numbered = lines.map(|fields| (fields[0].parse::<u32>().unwrap(), fields));
    let rows = numbered.filter(|(number, _)| number.is_multiple_of(25)).map(|(number, fields)| {
        ToolRow { path: source.frames.fill(video, number / 25), labels: fields[1..].to_vec() }
    });
    (header, rows.collect())
}

/// The tables that say what a Cholec80 folder says: frames with a column a class, frames with a
/// list and a split, boxes.
fn written_as_tables(root: &Path, source: &SourceLayout) -> [String; 3] {
    let (mut columns, mut lists) = (String::new(), String::from("path,group,split,labels\n"));
    let mut boxes = String::from("path,class,x1,y1,x2,y2\n");
    for video in source.sequences() {
        let text = read_to_string(root.join(format!("tool_annotations/video{video:02}-tool.txt")))
            .unwrap();
        let (tools, rows) = tool_rows(&text, source, video);
        if columns.is_empty() {
            columns = format!("path,group,{}\n", tools.join(","));
        }
        let split = if source.train.contains(&video) { "train" } else { "validation" };
        for ToolRow { path, labels } in rows {
            let marked: Vec<&str> = tools
                .iter()
                .zip(&labels)
                .filter(|(_, label)| **label == "1")
                .map(|(tool, _)| *tool)
                .collect();
            writeln!(columns, "{path},video{video:02},{}", labels.join(",")).unwrap();
            writeln!(lists, "{path},video{video:02},{split},{}", marked.join(";")).unwrap();
        }
        for line in
            read_to_string(root.join(format!("boxes/video{video:02}.csv"))).unwrap().lines().skip(1)
        {
            let (frame, rest) = line.split_once(',').unwrap();
            writeln!(boxes, "{},{rest}", source.frames.fill(video, frame.parse().unwrap()))
                .unwrap();
        }
    }
    [columns, lists, boxes]
}

/// A Cholec80 folder gives the same index through its own adapter as through either form of the
/// table.
fn expect_the_same_index(root: &Path, videos: &SourceLayout) {
    let of = |source: &SourceLayout, root: &Path| {
        index::build(source, root, &classes(), OnBadFrame::Fail).unwrap()
    };
    let expected = of(videos, root);
    let [columns, lists, boxes] = written_as_tables(root, videos);
    for frames in [columns, lists] {
        let folder = tempfile::tempdir().unwrap();
        symlink(root.join("frames"), folder.path().join("frames")).unwrap();
        symlink(root.join("interactions"), folder.path().join("interactions")).unwrap();
        std::fs::write(folder.path().join("frames.csv"), frames).unwrap();
        std::fs::write(folder.path().join("boxes.csv"), &boxes).unwrap();
        let found = of(&tables(videos), folder.path());
        assert_eq!(found.frames, expected.frames);
        assert_eq!(found.pictures, expected.pictures);
        assert_eq!(found.annotations, expected.annotations);
        assert_eq!(found.summary, expected.summary);
    }
}

#[test]
fn the_same_frames_through_cholec80s_layout_and_through_a_table_give_the_same_index() {
    let data = Data::new(Layout::Cholec80);
    let root = data.folder.path();
    data.write(
        "tool_annotations/video03-tool.txt",
        "Frame\tGrasper\tHook\n25\t0\t0\n30\t1\t1\n50\t1\t0\n",
    );
    symlink(root.join("frames/video02"), root.join("frames/video03")).unwrap();
    data.write(
        "boxes/video02.csv",
        "frame,tool,x1,y1,x2,y2\n0,hook,1,2,30,40\n000000,grasper,0,0,80,64\n2,hook,5,5,9,9\n",
    );
    data.write("boxes/video03.csv", "frame,tool,x1,y1,x2,y2\n");
    data.write("interactions/video02.csv", "frame,tool,interaction\n0,grasper,Grasping\n");
    expect_the_same_index(root, &videos("png", &[2], &[3]));
}

#[test]
fn a_real_data_set_written_as_a_table_gives_the_same_index() {
    let Some(real) = real_frames() else { return };
    expect_the_same_index(&real.join("m2cai16"), &videos("jpg", &[1, 2, 3, 4, 5, 6], &[7]));
}

/// What is said of a table of three frames where one of its files is another.
fn failure_of(file: &str, text: &str) -> String {
    let data = Data::new(Layout::Table);
    data.write(file, text);
    data.failure()
}

#[test]
fn what_is_wrong_in_a_table_of_frames_is_named_by_its_line() {
    for (text, said) in [
        (
            "path,labels\nv/0.png,hook\n",
            "frames.csv:1: the header has no column `group` (it has path, labels)",
        ),
        ("path,group\nv/0.png,video02\n", "frames.csv:1: the header has neither a column `labels`"),
        ("path,group,labels,Labels\n", "frames.csv:1: the header has the column `Labels` twice"),
        ("path,group,graspr\nv/0.png,video02,1\n", "frames.csv:1: `graspr` is not a class"),
        (
            "path,group,labels\nv/0.png,video02,hook;graspr\n",
            "frames.csv:2: `graspr` is not a class",
        ),
        ("path,group,labels\nv/0.png,video02,graspr\n", "did you mean `grasper`?"),
        ("path,group,hook\nv/0.png,video02,yes\n", "frames.csv:2: `yes` is not a label"),
        (
            "path,group,labels\nv/0.png,video02\n",
            "frames.csv:2: the line has 2 columns, 3 are expected",
        ),
        (
            "path,group,labels\n../v/0.png,video02,hook\n",
            "frames.csv:2: the path `../v/0.png` leaves the data set's folder",
        ),
        (
            "path,group,labels\n/v/0.png,video02,hook\n",
            "frames.csv:2: the path `/v/0.png` leaves the data set's folder",
        ),
        ("path,group,labels\nv/7.png,video02,hook\n", "frames.csv:2 has no picture"),
        (
            "path,group,labels\nv/0.png,video02,\n./v/0.png,video02,\n",
            "frames.csv:3: the picture v/0.png is listed twice (first at ",
        ),
        (
            "path,group,labels\nv/0.png,left,hook\n",
            "frames.csv:2: the group `left` ends in no number",
        ),
        (
            "path,group,labels\nv/0.png,a02,\nv/1.png,b2,\n",
            "frames.csv:3: the groups `a02` and `b2` have the same number 2",
        ),
        ("path,group,labels\nv/0.png,video03,hook\n", "frames.csv:1: video02 has no frames"),
        (
            "path,group,frame,labels\nv/0.png,video02,x,hook\n",
            "frames.csv:2: `x` is not a frame number",
        ),
        (
            "path,group,frame,labels\nv/0.png,2,1,\nv/1.png,2,1,\n",
            "frames.csv:3: the group has a second frame with the number 1",
        ),
        (
            "path,group,split,labels\nv/0.png,video02,trian,hook\n",
            "frames.csv:2: `trian` is not a split; did you mean `train`?",
        ),
    ] {
        let failure = failure_of("frames.csv", text);
        assert!(failure.contains(said), "{text}\n{failure}");
    }
}

#[test]
fn what_is_wrong_in_a_table_of_boxes_is_named_by_its_line() {
    for (text, said) in [
        ("path,class,x1,y1,x2\n", "boxes.csv:1: the header has no column `y2`"),
        (
            "path,class,x1,y1,x2,y2\nv/9.png,hook,1,2,3,4\n",
            "boxes.csv:2: there is a box of v/9.png, which the table of frames does not list",
        ),
        ("path,class,x1,y1,x2,y2\nv/0.png,laser,1,2,3,4\n", "boxes.csv:2: `laser` is not a class"),
        ("path,class,x1,y1,x2,y2\nv/0.png,hook,1,2,x,4\n", "boxes.csv:2: `x` is not a coordinate"),
        (
            "path,class,x1,y1,x2,y2\nv/0.png,hook,1,2,90,9\n",
            "boxes.csv:2: the box 1,2,90,9 of `hook` runs off the picture",
        ),
        (
            "path,class,x1,y1,x2,y2\nv/0.png,hook,1,2,3\n",
            "boxes.csv:2: the line has 5 columns, 6 are expected",
        ),
    ] {
        let failure = failure_of("boxes.csv", text);
        assert!(failure.contains(said), "{text}\n{failure}");
    }
}

#[test]
fn a_split_in_the_table_decides_within_the_recipes_lists_and_never_against_them() {
    let data = Data::new(Layout::Table);
    data.write(
        "frames.csv",
        "path,group,split,labels\nv/0.png,2,train,hook\nv/1.png,2,validation,\nv/2.png,2,,hook\n",
    );
    let frames = data.index(OnBadFrame::Fail).unwrap().frames;
    let splits: Vec<(&str, bool, bool)> =
        frames.iter().map(|frame| (frame.name.as_str(), frame.train, frame.validation)).collect();
    assert_eq!(splits, [("000000", true, false), ("000001", false, true)]);

    let train_alone = source(Layout::Table, &[2], &[]);
    let error = index::build(&train_alone, data.folder.path(), &classes(), OnBadFrame::Fail)
        .err()
        .unwrap()
        .to_string();
    let said = "frames.csv:3: the frame's split is `validation`, but the recipe has video02 in \
                `train` alone";
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_table_may_have_other_columns_and_its_paths_may_count_from_a_folder() {
    let data = Data::new(Layout::Table);
    let mut source = source(Layout::Table, &[2], &[]);
    source.frames = Pattern::parse("v").unwrap();
    for text in [
        ",group,Hook,path,frame\n0,video02,1,0.png,70\n1,video09,1,elsewhere.png,0\n",
        "labels,group,seconds,path,frame\n\"hook, hook\",video02,2.8,0.png,70\n",
    ] {
        data.write("frames.csv", text);
        let index =
            index::build(&source, data.folder.path(), &classes(), OnBadFrame::Fail).unwrap();
        let hook = classes().space.index_of("hook").unwrap();
        let tissue = classes().space.tissue();
        let [frame] = &index.frames[..] else { panic!("{:?}", index.frames) };
        assert_eq!(
            (frame.sequence.as_str(), frame.name.as_str(), frame.labels.as_slice()),
            ("video02", "000070", &[hook, tissue][..])
        );
        assert_eq!(
            (index.pictures.as_slice(), frame.boxes.is_none()),
            (&[PathBuf::from("v/0.png")][..], true)
        );
    }
}

#[test]
fn groups_with_folders_of_their_own_may_have_pictures_of_the_same_name() {
    let data = Data::new(Layout::Table);
    for group in ["video02", "video03"] {
        symlink(data.folder.path().join("v"), data.folder.path().join(group)).unwrap();
    }
    data.write("frames.csv", "path,group,labels\n0.png,video02,hook\n0.png,video03,grasper\n");
    let mut source = source(Layout::Table, &[2], &[3]);
    source.frames = Pattern::parse("video{sequence:02}").unwrap();
    let build = || index::build(&source, data.folder.path(), &classes(), OnBadFrame::Fail);
    assert_eq!(build().unwrap().pictures, ["video02/0.png", "video03/0.png"].map(PathBuf::from));

    data.write("boxes.csv", "path,group,class,x1,y1,x2,y2\n0.png,video03,grasper,1,2,3,4\n");
    let boxes: Vec<usize> =
        build().unwrap().frames.iter().map(|frame| frame.boxes.as_ref().unwrap().len()).collect();
    assert_eq!(boxes, [0, 1]);
    data.write("boxes.csv", "path,class,x1,y1,x2,y2\n0.png,grasper,1,2,3,4\n");
    let error = build().err().unwrap().to_string();
    assert!(
        error.contains("boxes.csv:2: the path 0.png is listed for 2 groups")
            && error.contains("the column `group`"),
        "{error}"
    );
    data.write("boxes.csv", "path,group,class,x1,y1,x2,y2\n0.png,video07,grasper,1,2,3,4\n");
    let error = build().err().unwrap().to_string();
    assert!(
        error.contains("boxes.csv:2: there is a box of 0.png in the group `video07`"),
        "{error}"
    );

    source.frames = Pattern::parse("v").unwrap();
    let error = index::build(&source, data.folder.path(), &classes(), OnBadFrame::Fail)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("frames.csv:3: the picture v/0.png is listed twice"), "{error}");
}

#[test]
fn the_digest_of_the_data_covers_the_tables_and_the_pictures_that_they_list() {
    let data = Data::new(Layout::Table);
    data.write("boxes.csv", "path,class,x1,y1,x2,y2\n");
    data.write("v/9.png", "in no table");
    let files = source(Layout::Table, &[2], &[2]).source_files(data.folder.path()).unwrap();
    assert_eq!(
        files,
        ["boxes.csv", "frames.csv", "v/0.png", "v/1.png", "v/2.png"].map(PathBuf::from)
    );
}

#[test]
fn a_parquet_table_is_refused_with_what_to_do() {
    let data = Data::new(Layout::Table);
    data.write("frames.parquet", "PAR1");
    let mut source = source(Layout::Table, &[2], &[2]);
    source.labels = patterns(&["frames.parquet"]);
    let error = index::build(&source, data.folder.path(), &classes(), OnBadFrame::Fail)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("frames.parquet: Parquet tables cannot be read") && error.contains("CSV"),
        "{error}"
    );
}

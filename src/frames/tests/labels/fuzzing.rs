//! Mutated label files and pictures: whatever they say, an index is made of them or an error is
//! told.

use super::*;
use crate::common::fuzzing::in_limited_process;
use surgcam_frames::dataset::check::{Report, check, propose};
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::picture as pictures;

/// Whatever stands in `file`, an index is made of it or an error is told, and its boxes lie in
/// their pictures.
fn fuzz(test: &str, layout: Layout, file: &str, seeds: &[String]) {
    let data = Data::new(layout);
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.clone().into_bytes()).collect();
    in_limited_process(&format!("fuzzing::{test}"), &seeds, |input| {
        data.write(file, input);
        for on_bad_frame in [OnBadFrame::Fail, OnBadFrame::Skip] {
            let Ok(index) = data.index(on_bad_frame) else { continue };
            assert_eq!(index.frames.len(), index.annotations.len());
            for frame in &index.frames {
                let [width, height] = frame.box_space.map(i64::from);
                for labelled in frame.boxes.iter().flatten() {
                    let Box2 { x1, y1, x2, y2 } = labelled.bounds;
                    assert!(
                        0 <= x1 && x1 <= x2 && x2 <= width && 0 <= y1 && y1 <= y2 && y2 <= height,
                        "{labelled:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn fuzz_endovis18_tool_files() {
    let seed = format!(
        "{}000 1 0 0 0 0 1 0 0\n001 0 0 0 0 0 0 0 1\nframe002 0 1 0 0 0 0 0 0\n",
        common::ENDOVIS18_HEADER
    );
    fuzz(
        "fuzz_endovis18_tool_files",
        Layout::EndoVis18,
        "annotation_tool/train_dataset/seq_2.txt",
        &[seed],
    );
}

#[test]
fn fuzz_endovis18_box_lines() {
    let seed = [
        box_line(0, "1, 2, 300, 400"),
        box_line(1, "5, 193, 247, 344"),
        box_line(2, "-3, 0, 1290, 1024"),
    ]
    .concat();
    fuzz("fuzz_endovis18_box_lines", Layout::EndoVis18, "gt_bbox/seq_2.txt", &[seed]);
}

#[test]
fn fuzz_endovis18_xml() {
    let objects =
        [object("kidney", ["0", "0", "1280", "1024"]), object("suction", ["5", "5", "9.5", "9"])]
            .concat();
    let seed = format!("<annotation><caption>A suction</caption>\n{objects}</annotation>\n");
    let header = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!DOCTYPE x [<!ENTITY a \"&b;&b;\">]>{seed}"
    );
    fuzz("fuzz_endovis18_xml", Layout::EndoVis18, "seq_2/xml/frame001.xml", &[seed, header]);
}

#[test]
fn fuzz_captions() {
    let entry = |frame: u32| {
        format!(
            "{{\"id_path\": \"seq_2/features/frame{frame:03}_features.npy\", \
             \"caption\": \"A  suction\"}}"
        )
    };
    let seed = format!("[{},\n{}]", entry(0), entry(2));
    fuzz("fuzz_captions", Layout::EndoVis18, "captions.json", &[seed]);
}

#[test]
fn fuzz_interactions() {
    let seed = "sequence,frame,tool,interaction\n2,0,suction,Idle\n\
                seq_2,frame001,bipolar_forceps,Suction\n2,2,\"stapler\",Staple\n";
    fuzz("fuzz_interactions", Layout::EndoVis18, "interactions.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_cholec80_tool_files() {
    let seed = "Frame\tGrasper\tHook\n0\t1\t0\n25\t0\t1\n30\t0\t1\n50\t1\t1\n";
    fuzz(
        "fuzz_cholec80_tool_files",
        Layout::Cholec80,
        "tool_annotations/video02-tool.txt",
        &[seed.to_string()],
    );
}

#[test]
fn fuzz_cholec80_boxes() {
    let seed = "frame,tool,x1,y1,x2,y2\n000000,hook,1,2,30,40\n0,grasper,-3,-2,82.5,64\n\
                2,SpecimenBag,5,5,5,5\n";
    fuzz("fuzz_cholec80_boxes", Layout::Cholec80, "boxes/video02.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_table_of_names() {
    let seed = "path,group,split,frame,labels\nv/0.png,video02,train,0,hook;grasper\n\
                v/1.png,video02,validation,1,\n./v/2.png,video02,,7,hook\n";
    fuzz("fuzz_table_of_names", Layout::Table, "frames.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_table_of_classes() {
    let seed = "path,group,hook,grasper\nv/0.png,video02,1,0\n\"v/1.png\",video02,0,0\n\
                v/2.png,video02,1,1\n";
    fuzz("fuzz_table_of_classes", Layout::Table, "frames.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_table_of_boxes() {
    let seed = "path,class,x1,y1,x2,y2\nv/0.png,hook,1,2,30,40\nv/0.png,grasper,-3,-2,82.5,64\n\
                ./v/2.png,SpecimenBag,5,5,5,5\n";
    fuzz("fuzz_table_of_boxes", Layout::Table, "boxes.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_voc() {
    let seed = voc::annotation(OBJECTS[2])
        .replace("</annotation>", "<size><width>80</width><height>64</height></size></annotation>");
    let header = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!DOCTYPE x [<!ENTITY a \"&b;&b;\">]>{seed}"
    );
    fuzz("fuzz_voc", Layout::Voc, "Annotations/v02_000001.xml", &[seed, header]);
}

#[test]
fn fuzz_voc_image_sets() {
    fuzz(
        "fuzz_voc_image_sets",
        Layout::Voc,
        "ImageSets/Main/train.txt",
        &["v02_000000\nv02_000001 1\n\nv02_000002 -1\n".to_string()],
    );
}

#[test]
fn fuzz_coco() {
    let fractions = coco::instances().replace("[5,5,4,4]", "[4.5, -0.25, 4e0, 4.75]");
    fuzz("fuzz_coco", Layout::Coco, "instances.json", &[coco::instances(), fractions]);
}

#[test]
fn fuzz_cholect50() {
    let strange = cholect50::video().replace("[7,2,", "[-1,-1,").replace("0.0625", "-1");
    fuzz("fuzz_cholect50", Layout::CholecT50, "labels/VID02.json", &[cholect50::video(), strange]);
}

#[test]
fn fuzz_yolo() {
    fuzz("fuzz_yolo", Layout::Yolo, "labels/v02_000001.txt", &[yolo::lines(OBJECTS[2])]);
}

#[test]
fn fuzz_yolo_classes() {
    fuzz(
        "fuzz_yolo_classes",
        Layout::Yolo,
        "classes.txt",
        &["hook\n\nSpecimenBag\r\ngrasper\n".to_string()],
    );
}

#[test]
fn fuzz_pictures() {
    let encoded = |format: image::ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture(1).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let seeds = [encoded(image::ImageFormat::Png), encoded(image::ImageFormat::Jpeg)];
    let data = Data::new(Layout::EndoVis18);
    in_limited_process("fuzzing::fuzz_pictures", &seeds, |input| {
        let path = data.write("picture", input);
        let size = pictures::dimensions(&path);
        if let Ok(decoded) = pictures::read(&path) {
            assert_eq!(size.unwrap(), [decoded.width(), decoded.height()]);
        }
    });
}

/// Whatever stands in `file`, the check of the folder ends, and each problem has its place: with
/// the usual recipe, and with the one that is proposed for the folder.
fn fuzz_check(test: &str, layout: Layout, file: &str, seeds: &[String]) {
    let data = Data::new(layout);
    let root = data.folder.path();
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.clone().into_bytes()).collect();
    let assert_placed = |report: &Report| {
        let without = report.problems.iter().find(|problem| problem.place.is_empty());
        assert!(without.is_none(), "{without:?}");
    };
    in_limited_process(&format!("fuzzing::{test}"), &seeds, |input| {
        data.write(file, input);
        assert_placed(&check(&source(layout, &[2], &[3]), root, &classes()).report);
        if let Ok(proposal) = propose(root, None) {
            assert_placed(&check(&proposal.source, root, &proposal.classes).report);
        }
    });
}

#[test]
fn fuzz_check_of_cholec80() {
    fuzz_check(
        "fuzz_check_of_cholec80",
        Layout::Cholec80,
        "tool_annotations/video02-tool.txt",
        &["Frame\tGrasper\tHook\n0\t1\t0\n25\t0\t1\n50\t1\t1\n".to_string()],
    );
}

#[test]
fn fuzz_check_of_endovis18() {
    let seed = format!("{}000 1 0 0 0 0 1 0 0\n001 0 0 0 0 0 0 0 1\n", common::ENDOVIS18_HEADER);
    let file = "annotation_tool/train_dataset/seq_2.txt";
    fuzz_check("fuzz_check_of_endovis18", Layout::EndoVis18, file, &[seed]);
}

#[test]
fn fuzz_check_of_a_table() {
    let seed =
        "path,group,split,frame,hook\nv/0.png,video02,train,0,1\nv/1.png,video03,validation,1,0\n";
    fuzz_check("fuzz_check_of_a_table", Layout::Table, "frames.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_check_of_voc() {
    let seed = voc::annotation(OBJECTS[2]);
    fuzz_check("fuzz_check_of_voc", Layout::Voc, "Annotations/v02_000000.xml", &[seed]);
}

#[test]
fn fuzz_check_of_coco() {
    fuzz_check("fuzz_check_of_coco", Layout::Coco, "instances.json", &[coco::instances()]);
}

#[test]
fn fuzz_check_of_yolo() {
    let seeds = [yolo::lines(OBJECTS[2])];
    fuzz_check("fuzz_check_of_yolo", Layout::Yolo, "labels/v02_000000.txt", &seeds);
}

//! The experiment of docs/contract.md as it stands, on a folder made for it; its exports against
//! the golden values, end to end from PNG pictures.

use surgcam_testkit as common;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use common::{Place, golden_folder, write_endovis18, write_weights};
use safetensors::SafeTensors;
use serde_json::Value;

struct Case {
    golden: std::path::PathBuf,
    backbone: &'static str,
    counts: [usize; 4],
    bottleneck: bool,
    image_size: &'static str,
    label_space: &'static str,
}

fn cases() -> [Case; 2] {
    [
        Case {
            golden: golden_folder(),
            backbone: "resnet50",
            counts: [3, 4, 6, 3],
            bottleneck: true,
            image_size: "[256, 320]",
            label_space: "endovis-11",
        },
        Case {
            golden: golden_folder().join("small"),
            backbone: "resnet18",
            counts: [2, 2, 2, 2],
            bottleneck: false,
            image_size: "[192, 256]",
            label_space: "endovis-9",
        },
    ]
}

fn experiment(case: &Case, place: &Place, present: &str) -> String {
    format!(
        r#"
[experiment]
name = "acceptance"
tables = ["classification", "localization", "extraction"]

[data.held-out]
adapter = "endovis18"
root = "{root}"
train = [2]
validation = [1]
image_size = {image_size}
label_space = "{label_space}"
mean = [0.4084945, 0.25513682, 0.25353566]
std = [0.22662906, 0.20201652, 0.1962526]

[model.given]
backbone = "{backbone}"
data = "held-out"
weights = "{weights}"
train = "none"

[matrix]
model = ["given"]
extraction = ["ln-fe", "l-fe", "sl-fe"]
"extraction.roi_threshold" = [0.1, 0.3]
"extraction.pool" = [512, 128, 32]

[set]
extraction.present = {present}
extraction.feature_layer = "layer4"
"#,
        root = place.path("held-out").display(),
        weights = place.path("weights.safetensors").display(),
        image_size = case.image_size,
        label_space = case.label_space,
        backbone = case.backbone,
    )
}

/// Arrays of an npz file by name: (shape, numbers).
fn read_npz(path: &Path) -> HashMap<String, (Vec<u64>, Vec<f64>)> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).unwrap();
            let name = entry.name().unwrap().trim_end_matches(".npy").to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, read_npy(&bytes))
        })
        .collect()
}

fn read_npy(bytes: &[u8]) -> (Vec<u64>, Vec<f64>) {
    let file = npyz::NpyFile::new(bytes).unwrap();
    let shape = file.shape().to_vec();
    let values = match file.dtype().descr().contains("i8") {
        true => file.into_vec::<i64>().unwrap().into_iter().map(|value| value as f64).collect(),
        false => file.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
    };
    (shape, values)
}

fn floats(tensors: &SafeTensors, name: &str) -> Option<Vec<f64>> {
    let tensor = tensors.tensor(name).ok()?;
    Some(
        tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
            .collect(),
    )
}

fn assert_close(found: &[f64], expected: &[f64], relative: f64, absolute: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= relative * expected.abs() + absolute,
            "{what}: {found} for {expected}"
        );
    }
}

fn check(case: &Case) {
    let place = Place::new();
    let expected: Value =
        serde_json::from_slice(&std::fs::read(case.golden.join("expected.json")).unwrap()).unwrap();
    let bytes = std::fs::read(case.golden.join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let classes = expected["classes"].as_u64().unwrap() as usize;
    write_weights(
        &place.path("weights.safetensors"),
        case.counts,
        case.bottleneck,
        classes,
        expected["weight_seed"].as_u64().unwrap(),
    );
    // The first golden frame is for validation (sequence 1), the second for training (sequence 2).
    for (sequence, frame) in [(1, "frame000"), (2, "frame001")] {
        let picture =
            image::open(case.golden.join(format!("frames/{frame}.png"))).unwrap().into_rgb8();
        write_endovis18(&place.path("held-out"), &[(sequence, 0, picture, "1 0 1 0 0 0 1 0")]);
    }
    for (sequence, index) in [(1, 0), (2, 1)] {
        let frame = &expected["frames"][index];
        let file = place.write(
            &format!("experiment-{index}.toml"),
            &experiment(case, &place, &frame["present"].to_string()),
        );
        let file = file.to_str().unwrap();
        if index == 0 {
            place.run(
                &[
                    "run",
                    file,
                    "--set",
                    "experiment.speed_frames=2",
                    "--set",
                    "experiment.speed_warm_up=1",
                ],
                0,
            );
            let record = place.run_record("acceptance");
            assert_eq!(record["stages"]["failed"], 0);
            assert_eq!(record["skipped_frames"], 0);
        }
        let out = place.path(&format!("out-{index}"));
        for what in ["localization", "crops", "features"] {
            place.run(&["export", what, file, "--out", out.to_str().unwrap()], 0);
        }
        check_localization(
            case,
            frame,
            &tensors,
            &out.join(format!("given/seq_{sequence}/frame000.npz")),
        );
        check_crops(case, frame, &out.join(format!("given/0.3/seq_{sequence}")));
        check_features(frame, &tensors, &out, sequence, classes);
    }
}

fn check_localization(case: &Case, frame: &Value, tensors: &SafeTensors, path: &Path) {
    let name = frame["name"].as_str().unwrap();
    let exported = read_npz(path);
    assert_close(
        &exported["logits"].1,
        &floats(tensors, &format!("{name}/logits")).unwrap(),
        1e-2,
        1e-3,
        "logits",
    );
    let present: Vec<f64> = serde_json::from_value(frame["present"].clone()).unwrap();
    assert_eq!(exported["present"].1, present);
    let (shape, maps) = &exported["heat_maps"];
    let cells = (shape[1] * shape[2]) as usize;
    for (map, class) in maps.chunks(cells).zip(&present) {
        let expected = floats(tensors, &format!("{name}/cam_layer4_size/{class}")).unwrap();
        assert_close(map, &expected, 0.0, 5e-3, &format!("heat map {class}"));
    }
    for threshold in ["0.1", "0.3"] {
        let mut expected: Vec<Vec<f64>> = Vec::new();
        for class in &present {
            let mut boxes: Vec<[f64; 4]> =
                serde_json::from_value(frame["boxes"][threshold][class.to_string()].clone())
                    .unwrap();
            boxes.sort_by(|a, b| {
                [a[1], a[0], a[3], a[2]].partial_cmp(&[b[1], b[0], b[3], b[2]]).unwrap()
            });
            expected.extend(boxes.iter().map(|b| [&[*class], b.as_slice()].concat()));
        }
        let (shape, boxes) = &exported[&format!("boxes_{threshold}")];
        assert_eq!(shape, &[expected.len() as u64, 5], "{} {threshold}", case.backbone);
        assert_eq!(boxes, &expected.concat(), "{} {threshold}", case.backbone);
        assert_eq!(exported[&format!("confidence_{threshold}")].0, [expected.len() as u64]);
    }
}

fn check_crops(case: &Case, frame: &Value, folder: &Path) {
    let name = frame["name"].as_str().unwrap();
    let ours: HashMap<String, std::path::PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
            let parts: Vec<&str> = stem.split('_').collect();
            (format!("{} {}", parts[1], parts[3]), path)
        })
        .collect();
    let mut compared = 0;
    for entry in std::fs::read_dir(case.golden.join("crops")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
        let parts: Vec<&str> = stem.split('_').collect();
        if parts[0] == name {
            let crop =
                image::open(&ours[&format!("{} {}", parts[1], parts[3])]).unwrap().into_rgb8();
            assert_eq!(crop, image::open(&path).unwrap().into_rgb8(), "{stem}");
            compared += 1;
        }
    }
    assert!(compared > 3);
}

fn check_features(frame: &Value, tensors: &SafeTensors, out: &Path, sequence: u32, classes: usize) {
    let name = frame["name"].as_str().unwrap();
    let present: Vec<usize> = serde_json::from_value(frame["present"].clone()).unwrap();
    for (mode, key) in [("ln-fe", "ln_fe"), ("l-fe", "l_fe"), ("sl-fe", "sl_fe/layer4")] {
        for threshold in ["0.1", "0.3"] {
            for pool in [512, 128, 32] {
                let folder = out.join(format!("given/{mode}_roi{threshold}_pool{pool}"));
                let mut rows = 0;
                for &class in &present {
                    let files =
                        region_files(&folder.join(format!("per_region/seq_{sequence}")), class);
                    rows += files.len();
                    let Some(expected) =
                        floats(tensors, &format!("{name}/{key}/{threshold}/{pool}/{class}"))
                    else {
                        assert!(mode != "sl-fe" || files.is_empty(), "{mode} {class}");
                        continue;
                    };
                    let boxes: Vec<[i64; 4]> = serde_json::from_value(
                        frame["boxes"][threshold][class.to_string()].clone(),
                    )
                    .unwrap();
                    for (row, expected) in expected.chunks(512).enumerate() {
                        // The golden rows follow the golden order of the boxes; the tissue and
                        // SL-FE have one region.
                        let file = if mode == "sl-fe" || class + 1 == classes {
                            &files[0]
                        } else {
                            let [x1, y1, x2, y2] = boxes[row];
                            files
                                .iter()
                                .find(|file| {
                                    file.to_str()
                                        .unwrap()
                                        .ends_with(&format!("_{x1},{y1},{x2},{y2}.npz"))
                                })
                                .unwrap()
                        };
                        let what = format!("{mode} {threshold} {pool} class {class} row {row}");
                        assert_close(&read_npz(file)["feat"].1, expected, 1e-2, 1e-3, &what);
                    }
                }
                let (shape, _) = read_npy(
                    &std::fs::read(folder.join(format!("per_frame/seq_{sequence}/frame000.npy")))
                        .unwrap(),
                );
                assert_eq!(shape, [rows as u64, 512], "{mode} {threshold} {pool}");
            }
        }
    }
}

fn region_files(folder: &Path, class: usize) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&format!("frame000_{class}_"))
    });
    files.sort();
    files
}

#[test]
fn resnet50_exports_agree_with_golden_end_to_end() {
    check(&cases()[0]);
}

#[test]
fn resnet18_exports_agree_with_golden_end_to_end() {
    check(&cases()[1]);
}

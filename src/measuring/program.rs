//! This program as a user starts it, with how long it takes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::projects;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::store::{Store, read_json, stat};

/// A folder with a store and results of its own, in which this program is run.
pub struct MeasuredProgram {
    folder: tempfile::TempDir,
}

impl MeasuredProgram {
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()
            .map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
        Ok(MeasuredProgram { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs this program and tells how long it took.
    pub fn run(&self, arguments: &[&str]) -> Result<Duration> {
        let program = std::env::current_exe()
            .map_err(|error| Error::failure(format!("cannot find this program: {error}")))?;
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .env("SURGCAM_STORE", self.path().join("store"))
            .env("SURGCAM_RESULTS", self.path().join("results"));
        let begun = Instant::now();
        let output = command.stdin(Stdio::null()).output().at_path("start", &program)?;
        let time = begun.elapsed();
        if output.status.success() {
            return Ok(time);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::failure(format!(
            "surgcam {} failed: {}",
            arguments.join(" "),
            said.lines().last().unwrap_or_default()
        )))
    }

    /// The median of several runs, after one that is not counted.
    pub fn median(&self, arguments: &[&str]) -> Result<Duration> {
        const RUNS: usize = 9;
        self.run(arguments)?;
        let mut times = (0..RUNS).map(|_| self.run(arguments)).collect::<Result<Vec<_>>>()?;
        times.sort_unstable();
        Ok(times[RUNS / 2])
    }

    /// How many stages of a kind ran in the last run, and the sum of their seconds.
    pub fn executed(&self, experiment: &str, kind: &str) -> Result<(usize, f64)> {
        let path = self.path().join("results").join(experiment).join("run.json");
        let record: serde_json::Value = read_json(&path)?;
        let stages = record["executed"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|stage| stage["kind"] == kind);
        let seconds: Vec<f64> = stages.filter_map(|stage| stage["seconds"].as_f64()).collect();
        Ok((seconds.len(), seconds.iter().sum()))
    }

    /// Digests of all files of the data folder, with a digest cache of their own.
    pub fn hash_all(&self, name: &str) -> Result<()> {
        let store = Store::open(&self.path().join(name), None)?;
        let root = self.path().join(projects::DATA);
        let files = walkdir::WalkDir::new(&root)
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_file());
        let files: Vec<_> = files
            .filter_map(|entry| entry.path().strip_prefix(&root).ok().map(Path::to_path_buf))
            .collect();
        stat::digests(&store, &root, &files).map(|_| ())
    }
}

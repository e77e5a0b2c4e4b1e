//! A stage of a known kind, with its parameters and inputs. Its outputs are named by constants of
//! the kind.

use std::ops::Deref;
use std::path::PathBuf;

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::inputs::NamedInputs;
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, PathOf, StageKind};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::write_json;

use super::StageRun;

/// A kind of stage that this worker can make.
pub trait Make: StageKind {
    fn make(stage: &KindRun<Self>) -> Result<()>;
}

/// A stage of the kind `K` to make.
pub struct KindRun<'a, K: StageKind> {
    run: &'a StageRun<'a>,
    pub parameters: K,
    /// Objects by their digests; [`StageRun::path_of`] gives the path of one.
    pub inputs: K::Inputs<Digest>,
}

impl<'a, K: StageKind> KindRun<'a, K> {
    pub fn new(run: &'a StageRun<'a>) -> Result<Self> {
        let parts = &run.job.parts;
        let (ours, asked) = ((K::NAME, K::VERSION), (parts.kind.as_str(), parts.version));
        if ours != asked {
            return Err(Error::failure(format!(
                "asked for stage {asked:?}, this worker makes {ours:?}"
            ))
            .hint("build both programs again: `make build`"));
        }
        let parameters = serde_json::from_value(parts.parameters.clone()).map_err(|error| {
            Error::failure(format!("the stage's parameters are malformed: {error}"))
        })?;
        Ok(KindRun {
            run,
            parameters,
            inputs: <K::Inputs<Digest>>::from_named(parts.inputs.clone())?,
        })
    }

    pub fn place(&self, place: PathOf<K>) -> Result<PathBuf> {
        let name = place.name();
        self.run
            .job
            .paths
            .get(name)
            .cloned()
            .ok_or_else(|| Error::failure(format!("the stage has no place `{name}`")))
    }

    /// Where an output is to be written.
    pub fn output(&self, output: OutputOf<K>) -> PathBuf {
        self.run.workspace.join(output.name())
    }

    /// As [`KindRun::output`], for an output that is a folder. The folder is made.
    pub fn output_folder(&self, output: OutputOf<K>) -> Result<PathBuf> {
        let folder = self.output(output);
        std::fs::create_dir(&folder).at_path("create", &folder)?;
        Ok(folder)
    }
}

impl<K: HasMetrics> KindRun<'_, K> {
    pub fn write_metrics(&self, metrics: &K::Metrics) -> Result<()> {
        write_json(&self.output(K::METRICS), metrics)
    }
}

impl<'a, K: StageKind> Deref for KindRun<'a, K> {
    type Target = StageRun<'a>;

    fn deref(&self) -> &StageRun<'a> {
        self.run
    }
}

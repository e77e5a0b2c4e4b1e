//! The resolved recipes of a cell: those of the library, with the values of the cell and with
//! overrides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::experiment::{Cell, Experiment};
use super::library::Resolved;
use super::overrides::Rank;
use super::schema::*;
use super::target::{AimedOverride, Target};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_values::HeadTask;

impl Experiment {
    fn origin(&self, axis: &str, value: &toml::Value) -> String {
        format!(
            "{} ({axis} = {})",
            self.swept.get(axis).map_or("[matrix]", |swept| swept.place.as_str()),
            shortened(value)
        )
    }

    /// Those values of a cell that are about the recipes of a section.
    fn assigned<'a>(
        &'a self,
        cell: &'a Cell,
        section: Section,
    ) -> impl Iterator<Item = (&'a String, &'a toml::Value, &'a Target)> {
        cell.assignment.iter().filter_map(move |(axis, value)| {
            let target = &self.swept.get(axis)?.target;
            let (Target::Every { section: of, .. } | Target::One { section: of, .. }) = target
            else {
                return None;
            };
            (*of == section).then_some((axis, value, target))
        })
    }

    /// Resolves a recipe by merging all its layers, among them the values of the cell.
    fn resolve_layers<T>(
        &self,
        cell: Option<&Cell>,
        section: Section,
        name: &str,
    ) -> Result<Resolved<T>>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        let mut all = self.own.clone();
        for (axis, value, target) in cell.into_iter().flat_map(|cell| self.assigned(cell, section))
        {
            all.push(AimedOverride {
                target: target.clone(),
                value: value.clone(),
                rank: Rank::Cell,
                origin: self.origin(axis, value),
            });
        }
        all.extend(self.outer.iter().cloned());
        self.library.resolve(section, name, &all)
    }

    fn resolve<T>(&self, cell: &Cell, section: Section, name: &str) -> Result<Arc<Resolved<T>>>
    where
        T: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let values: String = self
            .assigned(cell, section)
            .map(|(axis, value, _)| format!("{axis}={value};"))
            .collect();
        self.resolved.get(section, name, values.clone(), || {
            if !values.is_empty()
                && let Some(patched) = self.patched(cell, section, name)?
            {
                return Ok(patched);
            }
            self.resolve_layers(Some(cell), section, name)
        })
    }

    /// A quick way to resolve a recipe in a sweep of many values: it takes the recipe without the
    /// cell and puts the values of the cell in. `None` if merging all layers could give another
    /// result. That includes all errors, because merging knows where a wrong value comes from.
    fn patched<T>(&self, cell: &Cell, section: Section, name: &str) -> Result<Option<Resolved<T>>>
    where
        T: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let base = self.resolved.get::<T>(section, name, "without the cell".into(), || {
            self.resolve_layers(None, section, name)
        });
        let Ok(base) = base else { return Ok(None) };
        let Ok(mut table) = toml::Table::try_from(&base.value) else { return Ok(None) };
        let mut origins = base.origins.clone();
        for (axis, value, target) in self.assigned(cell, section) {
            let Target::Every { key, .. } = target else { return Ok(None) };
            let [key] = key.as_slice() else { return Ok(None) };
            let is_overridden = self.outer.iter().any(|outer| match &outer.target {
                Target::Every { section: of, key: outer }
                | Target::One { section: of, key: outer, .. } => {
                    *of == section && outer.first() == Some(key)
                }
                _ => false,
            });
            if is_overridden || value.is_table() {
                return Ok(None);
            }
            table.insert(key.clone(), value.clone());
            origins.insert(key.clone(), self.origin(axis, value));
        }
        Ok(table.try_into().ok().map(|value| Resolved { name: name.to_string(), value, origins }))
    }

    pub fn model(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<ModelRecipe>>> {
        self.resolve(cell, Section::Model, name)
    }

    pub fn data(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<DataRecipe>>> {
        self.resolve(cell, Section::Data, name)
    }

    pub fn extraction(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<ExtractionRecipe>>> {
        self.resolve(cell, Section::Extraction, name)
    }

    pub fn head(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<HeadRecipe>>> {
        self.resolve(cell, Section::Head, name)
    }

    /// The heads that judge the features of a cell, by their tasks. The cell's own head replaces
    /// the experiment's head for the same task.
    pub fn heads(&self, cell: &Cell) -> Result<BTreeMap<HeadTask, Arc<Resolved<HeadRecipe>>>> {
        let mut heads: BTreeMap<HeadTask, Arc<Resolved<HeadRecipe>>> = BTreeMap::new();
        for name in &self.recipe.heads {
            let head = self.head(cell, name)?;
            if let Some(other) = heads.insert(head.value.task, head) {
                let task =
                    serde_json::to_string(&other.value.task).unwrap_or_default().replace('"', "");
                return Err(Error::usage(format!(
                    "experiment.heads has two heads for the task {task}: {} and {name}",
                    other.name
                ))
                .hint("sweep them: `head = [...]` under [matrix]"));
            }
        }
        if let Some(name) = &cell.head {
            let head = self.head(cell, name)?;
            heads.insert(head.value.task, head);
        }
        if !self.recipe.heads_for.matches(&cell.assignment) {
            heads.retain(|task, _| *task == HeadTask::Probe);
        }
        Ok(heads)
    }

    pub fn adapter(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<AdapterRecipe>>> {
        self.resolve(cell, Section::Adapter, name)
    }

    pub fn label_space(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<LabelSpaceRecipe>>> {
        self.resolve(cell, Section::LabelSpace, name)
    }

    /// The names of all classes of all label spaces.
    pub fn known_classes(&self, cell: &Cell) -> Result<BTreeSet<String>> {
        let mut known = BTreeSet::new();
        for name in self.library.names(Section::LabelSpace) {
            known.extend(
                self.label_space(cell, &name)?
                    .value
                    .classes
                    .iter()
                    .map(|class| class.as_str().to_string()),
            );
        }
        Ok(known)
    }
}

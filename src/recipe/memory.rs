//! Resolved recipes by what they depend on, so that a sweep of thousands of cells resolves each distinct recipe once.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::library::Resolved;
use super::schema::Section;
use surgcam_engine::error::Result;

/// Section, name, and the cell's values that concern the section.
type Question = (Section, String, String);

#[derive(Debug, Default)]
pub struct ResolvedRecipes {
    /// Each a `Resolved<T>` with the T of its section.
    answers: Mutex<HashMap<Question, Arc<dyn Any + Send + Sync>>>,
}

impl ResolvedRecipes {
    /// The answer to the question, made by `resolve` when it is first asked.
    pub fn get<T: Send + Sync + 'static>(
        &self,
        section: Section,
        name: &str,
        cell_values: String,
        resolve: impl FnOnce() -> Result<Resolved<T>>,
    ) -> Result<Arc<Resolved<T>>> {
        let question = (section, name.to_string(), cell_values);
        if let Some(known) = self.lock().get(&question)
            && let Ok(resolved) = Arc::clone(known).downcast::<Resolved<T>>()
        {
            return Ok(resolved);
        }
        let resolved = Arc::new(resolve()?);
        self.lock().insert(question, resolved.clone());
        Ok(resolved)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Question, Arc<dyn Any + Send + Sync>>> {
        self.answers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

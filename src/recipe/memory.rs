//! Keeps resolved recipes by what they depend on, so that a sweep of thousands of cells resolves
//! each distinct recipe only once.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::library::Resolved;
use super::schema::Section;
use surgcam_engine::error::Result;

/// What a resolved recipe depends on: its section, its name, and those values of the cell that
/// concern the section.
type Question = (Section, String, String);

#[derive(Debug, Default)]
pub struct ResolvedRecipes {
    /// Each answer is a `Resolved<T>`, where `T` is the type of the section's recipes.
    answers: Mutex<HashMap<Question, Arc<dyn Any + Send + Sync>>>,
}

impl ResolvedRecipes {
    /// The resolved recipe. `resolve` makes it when it is asked for the first time.
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

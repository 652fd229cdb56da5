//! What is kept of a request, and what is shown of anything, with its secrets masked: by their
//! names, and by their shapes.

mod excerpt;
mod form;
pub mod input;
mod json;
pub(crate) mod mask;
mod named;
mod names;
mod needles;
mod prefixes;
mod secret_paths;
mod segment;
mod shapes;
pub mod shown;
mod text;
pub mod url;

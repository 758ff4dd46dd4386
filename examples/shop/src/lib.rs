//! The shop as a whole: its three services in one process, what is shown of them, and a demo.

pub mod broker;
mod dead_letters;
pub mod demo;
mod http;
pub mod outcome;
mod schemas;
pub mod show;
mod table;
mod together;
pub mod warehouse;
mod welcome;

pub use schemas::schemas;
pub use together::Shop;
pub use welcome::welcome;

//! The macros of rabbitry.

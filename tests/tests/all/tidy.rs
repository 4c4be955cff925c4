//! Tidy: the rules of this repository, as tests. Each failure says which file, which line and what to do.

mod code;
mod layout;
mod repository;
mod words;

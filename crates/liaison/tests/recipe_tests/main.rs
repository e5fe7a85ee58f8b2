//! `liaison test` on the real binary: the tests of every recipe of the repository, and what the
//! command does with recipes and data of all kinds.

mod command;
mod record;
mod repository;
mod support;

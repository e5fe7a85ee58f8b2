//! What the engine decides, without a store and without a clock: recipes, events and scripted answers
//! in, journals out. Every finished journal is then cut after each of its commits and recovered.

mod bench;
mod crash;
mod key_life;
mod key_life_deep;
mod late;
mod stories;
mod streams;
mod trial;
mod words;
mod words_deep;

//! Runs as they meet circuits, budgets, people and clocks: engines in this process, on a store, in virtual time.

mod budgets;
mod cancel;
mod circuits;
mod classes;
mod clocks;
mod fairness;
mod health;
mod idle;
mod keys;
mod late;
mod leases;
mod memory;
mod moved;
mod parked;
mod patched;
mod polls;
mod replayed;
mod requests;
mod shapes;
mod world;

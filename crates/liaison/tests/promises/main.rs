//! The promises of the real binary, kept through `kill -9`, frozen processes and doubt: SQLite with one
//! process, PostgreSQL with one and three.

mod alarm_mail;
mod alarms;
mod authors;
mod backup;
mod begun;
mod bulk;
mod chaos;
mod circuits;
mod command;
mod crash;
mod damaged;
mod dead_letters;
mod doors;
mod doubt;
mod files;
mod fire_times;
mod frozen;
mod harness;
mod inbound;
mod input;
mod keys;
mod logs;
mod metrics;
mod payloads;
mod proxy;
mod ready;
mod retention;
mod schedule;
mod scopes;
mod scrape;
mod several;
mod signatures;
mod streams;
mod traces;
mod words;

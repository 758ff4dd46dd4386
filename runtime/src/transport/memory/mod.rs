//! A broker in this process that behaves as RabbitMQ 4.0 does, and keeps nothing on disk.

// Nothing outside uses it yet.
#[allow(dead_code, unused_imports)]
mod state;

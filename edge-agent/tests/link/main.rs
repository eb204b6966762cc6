//! The link against a real broker, and against brokers that misbehave in ways no real one can be
//! made to.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod bad_broker;
#[cfg(test)]
mod mosquitto;
#[cfg(test)]
mod node;
#[cfg(test)]
mod real_broker;
#[cfg(test)]
mod scripted;

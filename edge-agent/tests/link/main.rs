//! The link against a real broker, and against brokers that misbehave in ways no real one can be
//! made to.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod backoff;
#[cfg(test)]
mod bad_broker;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod gauntlet;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod mosquitto;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod node;
#[cfg(test)]
mod overrun;
#[cfg(test)]
mod real_broker;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod silence;

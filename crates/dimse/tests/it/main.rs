//! The crate from outside: listener and sender over loopback, against peers that follow a script.
// The attribute tells clippy that helpers are test code too.

#[cfg(test)]
mod associating;
#[cfg(test)]
mod committing;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod dcmtk;
#[cfg(test)]
mod draining;
#[cfg(test)]
mod examining;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod procedures;
#[cfg(test)]
mod property;
#[cfg(test)]
mod querying;
#[cfg(test)]
mod rejecting;
#[cfg(test)]
mod retrieving;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod storing;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_files;
#[cfg(test)]
mod window;

//! The crate from outside: real files where they are at hand, test vectors of other encoders, damage.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod property;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod vectors;

//! The proxy as a whole, before a real store and raw-socket tools.

#[cfg(test)]
mod framing;
#[cfg(test)]
mod guarded;
#[cfg(test)]
mod large;
mod limits;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod passing;
#[cfg(test)]
mod support;
#[cfg(test)]
mod timeouts;

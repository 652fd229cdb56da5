//! The proxy as a whole, before a real store and raw-socket tools.

#[cfg(test)]
mod framing;
#[cfg(test)]
mod guarded;
mod limits;
#[cfg(test)]
mod passing;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod support;
